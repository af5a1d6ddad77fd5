// Writer puts a line into System V shared memory and waits for Enter, step
// by step as a C program does it: ftok, shmget, shmat, store, shmdt.
//
//	go run ./examples/sysv/writer       and, in another terminal,
//	go run ./examples/sysv/reader
//
// The key comes from the file go.mod, so both run in the same directory. Any
// C program that calls ftok("go.mod", 65) meets the same segment.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"

	"github.com/seed-298b2b26/shm/sysv"
)

func main() {
	log.SetFlags(0)
	// 1. A key that both programs can compute.
	key, err := sysv.Ftok("go.mod", 65)
	if err != nil {
		log.Fatal(err)
	}
	// 2. The segment under that key, made if there is none.
	id, err := sysv.Get(key, 1024, sysv.IPC_CREAT|0o666)
	if err != nil {
		log.Fatal(err)
	}
	// 3. Attach it: from here on its bytes are ours, and everybody's.
	seg, err := sysv.Attach(id, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%v has %v, %d bytes\n", key, id, seg.Len())

	// 4. Store a text, with a NUL byte behind it, as C expects.
	fmt.Print("Message to shared memory: ")
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && line == "" {
		log.Fatal("no message: ", err)
	}
	b := seg.Bytes()
	n := copy(b[:len(b)-1], line)
	b[n] = 0

	// 5. Detach. The segment and its bytes stay, until somebody removes them.
	if err := seg.Detach(); err != nil {
		log.Fatal(err)
	}
}
