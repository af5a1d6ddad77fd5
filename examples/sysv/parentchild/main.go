// Parentchild is a parent and a child process that talk through System V
// shared memory without a key: IPC_PRIVATE makes it, and the parent tells the
// child its identifier.
//
//	go run ./examples/sysv/parentchild
//
// Go programs do not fork; the child is this program, executed again.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"strconv"

	"github.com/seed-298b2b26/shm/sysv"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 {
		child(os.Args[1])
		return
	}
	id, err := sysv.Get(sysv.IPC_PRIVATE, 4096, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	seg, err := sysv.Attach(id, 0, 0)
	if err != nil {
		sysv.Remove(id)
		log.Fatal(err)
	}
	// Marked now, gone with the last detach: nothing is left behind, however
	// we end. Attaching by identifier is still possible.
	if err := sysv.Remove(id); err != nil {
		log.Fatal(err)
	}
	copy(seg.Bytes(), "from the parent")

	cmd := exec.Command(os.Args[0], strconv.Itoa(int(id)))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	// The child's end orders its stores before our loads.
	fmt.Printf("parent %d reads: %q\n", os.Getpid(), seg.Bytes()[2048:2048+14])
	if err := seg.Detach(); err != nil {
		log.Fatal(err)
	}
}

func child(arg string) {
	id, err := strconv.Atoi(arg)
	if err != nil {
		log.Fatal(err)
	}
	seg, err := sysv.Attach(sysv.ID(id), 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("child %d reads: %q\n", os.Getpid(), seg.Bytes()[:15])
	copy(seg.Bytes()[2048:], "from the child")
	if err := seg.Detach(); err != nil {
		log.Fatal(err)
	}
}
