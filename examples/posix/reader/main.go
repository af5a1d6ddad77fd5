// Reader prints the text that the writer left in a POSIX shared memory
// object, and unlinks the object. See the writer beside it.
package main

import (
	"bytes"
	"fmt"
	"log"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
)

func main() {
	log.SetFlags(0)
	obj, err := posix.Open("/example", posix.O_RDONLY, 0, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer obj.Close()
	// The object's own size, not one that we believe in: bytes behind its
	// end could not be touched.
	st, err := obj.Stat()
	if err != nil {
		log.Fatal(err)
	}
	m, err := mapping.SharedFile(obj.FD(), 0, int(st.Size), mapping.PROT_READ, nil)
	if err != nil {
		log.Fatal(err)
	}
	text, _, _ := bytes.Cut(m.Bytes(), []byte{0})
	fmt.Printf("read: %s\n", text)
	if err := m.Unmap(); err != nil {
		log.Fatal(err)
	}
	if err := posix.Unlink("/example", nil); err != nil {
		log.Fatal(err)
	}
}
