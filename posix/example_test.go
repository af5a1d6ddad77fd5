package posix_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"time"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
)

// One process creates an object with its memory and writes; any other that
// knows the name reads.
func Example() {
	o, err := posix.CreateSized("/example-greeting", 4096, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer posix.Unlink(o.Name(), nil)
	defer o.Close()
	writer, err := mapping.SharedFile(o.FD(), 0, 4096, mapping.PROT_READ|mapping.PROT_WRITE, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer writer.Unmap()
	copy(writer.Bytes(), "hello")

	// In the other process:
	other, err := posix.Open("/example-greeting", posix.O_RDONLY, 0, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	size, err := other.Size()
	if err != nil {
		log.Fatal(err)
	}
	reader, err := mapping.SharedFile(other.FD(), 0, int(size), mapping.PROT_READ, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Unmap()
	fmt.Printf("%s, %d bytes\n", reader.Bytes()[:5], size)
	// Output: hello, 4096 bytes
}

// What C programs do: shm_open, ftruncate, shm_unlink.
func ExampleOpen() {
	o, err := posix.Open("/example-open", posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	if err := o.Truncate(100); err != nil {
		log.Fatal(err)
	}
	st, err := o.Stat()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(st.Name, st.Size, st.Used, st.Mode)
	if err := posix.Unlink("/example-open", nil); err != nil {
		log.Fatal(err)
	}
	_, err = posix.Open("/example-open", posix.O_RDWR, 0, nil)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// /example-open 100 0 -rw-------
	// true
}

// An object whose name does not matter.
func ExampleCreateTemp() {
	o, err := posix.CreateTemp("/example-*.buf", 1<<20, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer posix.Unlink(o.Name(), nil)
	defer o.Close()
	fmt.Println(len(o.Name()), "bytes of name")
	// Output: 39 bytes of name
}

// A C peer creates the name first and gives it a size later.
func ExampleObject_WaitSize() {
	o, err := posix.Open("/example-wait", posix.O_RDWR|posix.O_CREAT, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer posix.Unlink(o.Name(), nil)
	defer o.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = o.WaitSize(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

// What is in the shared memory mount.
func ExampleList() {
	for st, err := range posix.List(nil) {
		if err != nil {
			log.Fatal(err)
		}
		if name, ok := st.Semaphore(); ok {
			fmt.Println("semaphore", name)
			continue
		}
		if st.Regular() {
			fmt.Println(posix.Address(st.Name), st.Size, "bytes,", st.Used, "in memory")
		}
	}
}

// The state of a semaphore that a C program has made with sem_open.
func ExampleReadSemaphore() {
	s, err := posix.ReadSemaphore("/queue-slots", nil)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("no such semaphore")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Value, "free,", s.Waiters, "waiting")
	// Output: no such semaphore
}
