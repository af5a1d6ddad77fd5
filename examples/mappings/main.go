// Mappings shows the four kinds of memory mapping and who sees a store to
// each.
//
//	go run ./examples/mappings
package main

import (
	"fmt"
	"log"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
)

func main() {
	log.SetFlags(0)
	const rw = mapping.PROT_READ | mapping.PROT_WRITE

	// Anonymous: zeroed memory without a file. Private is this process'
	// alone. Shared would be shared with a forked child; a Go program has
	// none, so for a second process it takes a file.
	private := check(mapping.PrivateAnonymous(4096, rw, nil))
	defer private.Unmap()
	shared := check(mapping.SharedAnonymous(4096, rw, nil))
	defer shared.Unmap()
	fmt.Printf("private anonymous: %d zeroed bytes at %#x\n", private.Len(), private.Addr())
	fmt.Printf("shared anonymous:  %d zeroed bytes at %#x\n", shared.Len(), shared.Addr())

	// A file to map: memory without a name, which behaves as one.
	f, err := memfd.CreateSized("example", 8192, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	// Shared file: the file itself, in every mapping of it.
	one := check(mapping.SharedFile(f.FD(), 0, 8192, rw, nil))
	defer one.Unmap()
	two := check(mapping.SharedFile(f.FD(), 0, 8192, mapping.PROT_READ, nil))
	defer two.Unmap()
	copy(one.Bytes(), "stored shared")
	fmt.Printf("shared file:       another mapping reads %q\n", two.Bytes()[:13])

	// Private file: copy-on-write. Our store stays here.
	cow := check(mapping.PrivateFile(f.FD(), 0, 8192, rw, nil))
	defer cow.Unmap()
	copy(cow.Bytes(), "stored for me")
	fmt.Printf("private file:      here %q, in the file still %q\n", cow.Bytes()[:13], two.Bytes()[:13])

	// The page that was not stored to still follows the file (on Linux).
	copy(one.Bytes()[4096:], "later")
	fmt.Printf("                   an untouched page follows the file: %q\n", cow.Bytes()[4096:4096+5])
}

func check(m *mapping.Mapping, err error) *mapping.Mapping {
	if err != nil {
		log.Fatal(err)
	}
	return m
}
