package memfd_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
)

// Memory that its owner can no longer truncate is handed to another process,
// which here is a goroutine.
func Example() {
	dir, err := os.MkdirTemp("", "memfd")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addr := &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "socket")}
	l, err := net.ListenUnix("unix", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	go func() {
		c, err := net.DialUnix("unix", nil, addr)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		f, err := memfd.CreateSized("greeting", 4096, &memfd.Options{Seals: memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW})
		if err != nil {
			log.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("hello"), 0); err != nil {
			log.Fatal(err)
		}
		if err := memfd.Send(context.Background(), c, f); err != nil {
			log.Fatal(err)
		}
	}()

	c, err := l.AcceptUnix()
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	f, err := memfd.Receive(context.Background(), c, &memfd.Want{Seals: memfd.F_SEAL_SHRINK, MinSize: 5})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	m, err := mapping.SharedFile(f.FD(), 0, 4096, mapping.PROT_READ, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Unmap()
	fmt.Printf("%s: %s\n", f.Name(), m.Bytes()[:5])
	// Output: greeting: hello
}

// Memory is sealed step by step, as the calls of the manual page do it.
func ExampleCreate() {
	f, err := memfd.Create("table", memfd.MFD_ALLOW_SEALING)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		log.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("constant"), 0); err != nil {
		log.Fatal(err)
	}
	if err := f.AddSeals(memfd.F_SEAL_SHRINK | memfd.F_SEAL_WRITE); err != nil {
		log.Fatal(err)
	}
	_, err = f.WriteAt([]byte("changed?"), 0)
	fmt.Println(err)
	// Output: shm: pwrite memfd:table: operation not permitted
}
