package shmnet

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
)

const (
	// needSeals are on every memory that is handed over, and mayNotSeals are
	// on none: with them nobody could write, or map it for writing.
	needSeals   = memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW | memfd.F_SEAL_SEAL
	mayNotSeals = memfd.F_SEAL_WRITE | memfd.F_SEAL_FUTURE_WRITE

	// roomFrom is the size from which on the memory limits are read first.
	roomFrom = 1 << 20
)

// memory is a mapping that is unmapped when its last user lets go of it.
type memory struct {
	region mem.Region
	users  atomic.Int32
	unmap  func() error
	punch  func(offset, length int) error // gives pages back; nil: it cannot
}

func newMemory(r mem.Region, users int32, unmap func() error) *memory {
	m := &memory{region: r, unmap: unmap}
	m.users.Store(users)
	return m
}

func (m *memory) release() {
	if m.users.Add(-1) == 0 && m.unmap != nil {
		m.unmap() // fails only for what is not mapped
	}
}

// keepOnly gives all pages back but those with the n bytes at a place. What
// was in them reads as zeros then, here and wherever else they are mapped.
func (m *memory) keepOnly(at, n int) {
	if m.punch == nil {
		return
	}
	page := os.Getpagesize()
	from, to := at/page*page, (at+n+page-1)/page*page
	if from > 0 {
		m.punch(0, from) // that it does not work costs memory alone
	}
	if rest := m.region.Len() - to; rest > 0 {
		m.punch(to, rest)
	}
}

// source makes and takes memory. Tests have one that hands out memory from
// the heap.
type source interface {
	make(name string, size int64) (*memory, *memfd.File, error)
	take(f *memfd.File, size int64) (*memory, error)
}

// kernel is the source of memory that other processes can have too.
type kernel struct{}

// make gives reserved and sealed memory. The caller closes the file.
func (kernel) make(name string, size int64) (*memory, *memfd.File, error) {
	if err := checkRoom(size); err != nil {
		return nil, nil, err
	}
	f, err := memfd.CreateSized(name, size, &memfd.Options{Seals: needSeals})
	if err != nil {
		return nil, nil, err
	}
	m, err := kernel{}.take(f, size)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return m, f, nil
}

// take maps memory that was made, or was checked on arrival.
func (kernel) take(f *memfd.File, size int64) (*memory, error) {
	m, err := mapping.SharedFile(f.FD(), 0, int(size), mapping.PROT_READ|mapping.PROT_WRITE, nil)
	if err != nil {
		return nil, err
	}
	taken := newMemory(mem.Of(m.Bytes()), 1, m.Unmap)
	taken.punch = func(offset, length int) error { return m.Advise(offset, length, mapping.MADV_REMOVE) }
	return taken, nil
}

// want is what memory of a size must be like when it arrives.
func want(least, most int64) *memfd.Want {
	return &memfd.Want{MinSize: least, MaxSize: most, Seals: needSeals, NoSeals: mayNotSeals, Writable: true}
}

// checkRoom refuses memory that the memory cgroup has not got: what passes
// its limit is not refused but makes the kernel kill a process. What others
// take after this look is a race that remains.
func checkRoom(size int64) error {
	if size < roomFrom {
		return nil
	}
	lim, err := procfs.Root("/proc").MemoryLimit(os.Getpid())
	if err != nil || lim.Limit == procfs.NoLimit {
		return nil
	}
	room := lim.Room()
	if st, err := lim.Stat(); err == nil {
		// Cached files count as used, and go before anything is refused.
		room = min(room+st.Reclaimable(), lim.Limit)
	}
	if uint64(size) > room {
		return fmt.Errorf("the memory cgroup %s has room for %d more bytes, and %d are needed: %w", lim.Path, room, size, syscall.ENOSPC)
	}
	return nil
}
