package procfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log"

	"github.com/seed-298b2b26/shm/internal/procfs"
)

// Who has the System V segment with identifier 7 attached?
func ExampleRoot_Maps() {
	var root procfs.Root // /proc
	here, err := root.Namespace(procfs.Thread, "ipc")
	if err != nil {
		log.Fatal(err)
	}
	pids, err := root.PIDs()
	if err != nil {
		log.Fatal(err)
	}
	partial := false
	for _, pid := range pids {
		// Identifiers mean something inside one IPC namespace only.
		if ns, err := root.Namespace(pid, "ipc"); err == nil && ns != here {
			continue
		}
		for m, err := range root.Maps(pid) {
			if errors.Is(err, fs.ErrPermission) {
				partial = true // another user's process
			}
			if err != nil {
				break // or it has ended: procfs.Gone(err)
			}
			if m.Shared() && m.Kind() == procfs.KindSysV && m.Inode == 7 {
				comm, _ := root.Comm(pid)
				fmt.Println(pid, procfs.Printable(comm))
				break
			}
		}
	}
	if partial {
		fmt.Println("some processes may not be looked at")
	}
}

// How much can this process take before its control group is full?
func ExampleRoot_MemoryLimit() {
	limit, err := procfs.Default.MemoryLimit(procfs.Thread)
	if err != nil {
		log.Fatal(err)
	}
	if limit.Limit == procfs.NoLimit {
		fmt.Println("no limit")
		return
	}
	room := limit.Room()
	if stat, err := limit.Stat(); err == nil {
		room += min(stat.Reclaimable(), limit.Limit-room)
	}
	fmt.Println(room, "bytes in", limit.Path)
}
