// Parentchild is a parent and a child process that talk through a POSIX
// shared memory object, by package shm: one type for all shared memory, whose
// accessors survive what a peer does to it.
//
//	go run ./examples/posix/parentchild
//
// Whose turn it is stands in a word that both read and write atomically.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm"
)

// message is what the memory holds, on both sides.
type message struct {
	Turn uint32 // 1: the parent has written, 2: the child has
	Len  uint32
	Text [56]byte
}

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 {
		child(os.Args[1])
		return
	}
	name := fmt.Sprintf("/example-%d", os.Getpid())
	seg, err := shm.Create(name, 4096, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()
	defer seg.Remove()
	send(seg, 1, "from the parent")

	cmd := exec.Command(os.Args[0], name)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		log.Print(err)
		return
	}
	fmt.Printf("parent %d reads: %q\n", os.Getpid(), receive(seg, 2))
	if err := cmd.Wait(); err != nil {
		log.Print(err)
	}
}

func child(name string) {
	seg, err := shm.Open(name, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer seg.Close()
	fmt.Printf("child %d reads: %q\n", os.Getpid(), receive(seg, 1))
	send(seg, 2, "from the child")
}

// send writes the text first and the turn last: who sees the turn sees the
// text.
func send(seg *shm.Segment, turn uint32, text string) {
	m, err := shm.At[message](seg, 0)
	if err != nil {
		log.Fatal(err)
	}
	p := m.Pointer()
	p.Len = uint32(copy(p.Text[:], text))
	word, err := shm.Atomic[atomic.Uint32](seg, 0)
	if err != nil {
		log.Fatal(err)
	}
	word.Store(turn)
}

// receive waits for the turn. The length comes from another process: it is
// read once and checked.
func receive(seg *shm.Segment, turn uint32) string {
	word, err := shm.Atomic[atomic.Uint32](seg, 0)
	if err != nil {
		log.Fatal(err)
	}
	for begin := time.Now(); word.Load() != turn; time.Sleep(100 * time.Microsecond) {
		if time.Since(begin) > 10*time.Second {
			log.Fatal("the other process does not answer")
		}
	}
	m, err := shm.At[message](seg, 0)
	if err != nil {
		log.Fatal(err)
	}
	v, err := m.Load()
	if err != nil {
		log.Fatal(err)
	}
	if v.Len > uint32(len(v.Text)) {
		log.Fatalf("the other process says that its text has %d bytes", v.Len)
	}
	return string(v.Text[:v.Len])
}
