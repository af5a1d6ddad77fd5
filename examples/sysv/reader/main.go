// Reader prints the text that the writer left in System V shared memory, and
// removes the segment. See the writer beside it.
package main

import (
	"bytes"
	"fmt"
	"log"

	"github.com/seed-298b2b26/shm/sysv"
)

func main() {
	log.SetFlags(0)
	key, err := sysv.Ftok("go.mod", 65)
	if err != nil {
		log.Fatal(err)
	}
	// No IPC_CREAT: a reader without a writer is an error, not an empty
	// segment.
	id, err := sysv.Get(key, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	seg, err := sysv.Attach(id, 0, sysv.SHM_RDONLY)
	if err != nil {
		log.Fatal(err)
	}
	text, _, _ := bytes.Cut(seg.Bytes(), []byte{0})
	fmt.Printf("Data read from memory: %s\n", text)
	if err := seg.Detach(); err != nil {
		log.Fatal(err)
	}
	// Without this the bytes could be read again and again.
	if err := sysv.Remove(id); err != nil {
		log.Fatal(err)
	}
}
