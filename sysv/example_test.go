//go:build linux

package sysv_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/seed-298b2b26/shm/sysv"
)

// Two programs that agree on a key share memory.
func Example() {
	const key sysv.Key = 0x5eed1234

	// The first program creates the segment,
	id, err := sysv.Get(key, 4096, sysv.IPC_CREAT|sysv.IPC_EXCL|0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer sysv.Remove(id)
	first, err := sysv.Attach(id, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer first.Detach()
	copy(first.Bytes(), "hello")

	// and the second one finds it.
	found, err := sysv.Get(key, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	second, err := sysv.Attach(found, 0, sysv.SHM_RDONLY)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Detach()
	fmt.Printf("%s, %d bytes\n", second.Bytes()[:5], second.Len())
	// Output: hello, 4096 bytes
}

// A private segment has no key. Other processes attach it by its identifier,
// and removing it at once, while it is attached, means that nothing stays
// behind, however the program ends.
func ExampleRemove() {
	id, err := sysv.Get(sysv.IPC_PRIVATE, 4096, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	a, err := sysv.Attach(id, 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := sysv.Remove(id); err != nil {
		log.Fatal(err)
	}
	copy(a.Bytes(), "still here")

	s, err := sysv.Stat(id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s; removed: %v\n", a.Bytes()[:10], s.Removed())
	a.Detach()
	_, err = sysv.Stat(id)
	fmt.Println("gone:", errors.Is(err, fs.ErrNotExist))
	// Output:
	// still here; removed: true
	// gone: true
}

// Programs derive a key from a file that both can reach.
func ExampleFtok() {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("ftok-%d", os.Getpid()))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		log.Fatal(err)
	}
	defer os.Remove(path)

	key, err := sysv.Ftok(path, 'A')
	if err != nil {
		log.Fatal(err)
	}
	again, err := sysv.Ftok(path, 'A')
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key == again, uint32(key)>>24 == 'A')

	_, err = sysv.Ftok(path+"-absent", 'A')
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// true true
	// true
}

// Set takes owner, group and mode together: pass what shall stay.
func ExampleSet() {
	id, err := sysv.Get(sysv.IPC_PRIVATE, 1, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer sysv.Remove(id)

	s, err := sysv.Stat(id)
	if err != nil {
		log.Fatal(err)
	}
	if err := sysv.Set(id, s.UID, s.GID, 0o640); err != nil {
		log.Fatal(err)
	}
	s, err = sysv.Stat(id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Perm())
	// Output: -rw-r-----
}

// List shows the segments of all users.
func ExampleList() {
	id, err := sysv.Get(sysv.IPC_PRIVATE, 5000, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	defer sysv.Remove(id)

	all, err := sysv.List()
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			fmt.Println(s.Size, s.Perm(), s.NAttach)
		}
	}
	// Output: 5000 -rw------- 0
}
