package mapping_test

import (
	"fmt"
	"log"
	"os"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
)

// Two mappings of one object, which could as well be in two processes.
func Example() {
	name := fmt.Sprintf("/mapping-example-%d", os.Getpid())
	o, err := posix.CreateSized(name, 4096, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	defer posix.Unlink(name, nil)

	a, err := mapping.SharedFile(o.FD(), 0, 4096, mapping.PROT_READ|mapping.PROT_WRITE, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Unmap()
	b, err := mapping.SharedFile(o.FD(), 0, 4096, mapping.PROT_READ, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Unmap()

	copy(a.Bytes(), "hello")
	fmt.Println(string(b.Bytes()[:5]))
	// Output: hello
}

// A file is changed in memory without being changed on disk.
func ExamplePrivateFile() {
	f, err := os.CreateTemp("", "mapping")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.WriteString("hello, file"); err != nil {
		log.Fatal(err)
	}

	m, err := mapping.PrivateFile(int(f.Fd()), 0, 11, mapping.PROT_READ|mapping.PROT_WRITE, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Unmap()
	copy(m.Bytes(), "HELLO")
	text, err := os.ReadFile(f.Name())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("memory: %s\nfile: %s\n", m.Bytes(), text)
	// Output:
	// memory: HELLO, file
	// file: hello, file
}

// Memory outside of Go's heap, a part of which becomes read-only.
func ExamplePrivateAnonymous() {
	page := os.Getpagesize()
	m, err := mapping.PrivateAnonymous(2*page, mapping.PROT_READ|mapping.PROT_WRITE, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Unmap()
	copy(m.Bytes(), "constant")
	if err := m.Protect(0, page, mapping.PROT_READ); err != nil {
		log.Fatal(err)
	}
	m.Bytes()[page] = 1 // a store to the first page would be a fault
	fmt.Println(string(m.Bytes()[:8]))
	// Output: constant
}
