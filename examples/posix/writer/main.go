// Writer puts a text into a POSIX shared memory object, step by step as a C
// program does it: shm_open, ftruncate, mmap, store, munmap.
//
//	go run ./examples/posix/writer
//	ls -l /dev/shm
//	go run ./examples/posix/reader
package main

import (
	"fmt"
	"log"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
)

const size = 100

func main() {
	log.SetFlags(0)
	// 1. The object: a file in /dev/shm, of size 0 when new.
	obj, err := posix.Open("/example", posix.O_CREAT|posix.O_RDWR, 0o666, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer obj.Close()
	// 2. Its size. (Reserve in place of Truncate also takes the memory, so
	// that no later store can fail. posix.CreateSized does it all at once.)
	if err := obj.Truncate(size); err != nil {
		log.Fatal(err)
	}
	// 3. Map it shared: what we store, all others see.
	m, err := mapping.SharedFile(obj.FD(), 0, size, mapping.PROT_READ|mapping.PROT_WRITE, nil)
	if err != nil {
		log.Fatal(err)
	}
	n := copy(m.Bytes(), "hello from process to process\x00")
	fmt.Printf("wrote %d bytes into %s\n", n, obj.Path())
	// 4. Unmap. The object and its bytes stay, until somebody unlinks it.
	if err := m.Unmap(); err != nil {
		log.Fatal(err)
	}
}
