package topicdir

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// roomFrom is the size from which on the memory limits of the control group
// are read; below, reading them costs more than the topic.
const roomFrom = 1 << 20

// checkRoom refuses size bytes that the file system of dir or the memory
// control group has not got, before anything is taken from others. What they
// take between this look and the reservation, the reservation finds out,
// except for the control group.
func checkRoom(dir int, size int64) error {
	fs, err := sys.Fstatfs(dir)
	if err != nil || fs.Type != sys.TMPFS_MAGIC || fs.BlockSize <= 0 {
		return nil // not memory, or it does not tell: fallocate will
	}
	if fs.Blocks != 0 && uint64(size) > fs.Free*uint64(fs.BlockSize) {
		return &noRoom{free: int64(fs.Free) * fs.BlockSize, where: "are free there"}
	}
	if size < roomFrom {
		return nil
	}
	lim, err := procfs.Default.MemoryLimit(os.Getpid())
	if err != nil || lim.Limit == procfs.NoLimit {
		return nil
	}
	room := lim.Room()
	if st, err := lim.Stat(); err == nil {
		// Cached files count as used, and are dropped before anything is
		// refused.
		room = min(room+st.Reclaimable(), lim.Limit)
	}
	if uint64(size) > room {
		return &noRoom{free: int64(room), where: "are left to the memory cgroup " + lim.Path}
	}
	return nil
}

// noRoom is ENOSPC with what is free.
type noRoom struct {
	free  int64
	where string
}

func (e *noRoom) Error() string { return fmt.Sprintf("%d bytes %s", e.free, e.where) }
func (e *noRoom) Unwrap() error { return syscall.ENOSPC }

// roomError says what a topic of this configuration needs and what would fit.
func roomError(dir int, c *Config, l *Layout, err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	var e *noRoom
	if !errors.As(err, &e) {
		e = &noRoom{where: "are free there"}
		if fs, err := sys.Fstatfs(dir); err == nil {
			e.free = int64(fs.Free) * fs.BlockSize
		}
	}
	hint := "free some memory there, or use fewer subscribers"
	if fewer, smaller := c.fitting(e.free); fewer > 0 || smaller > 0 {
		hint = "free some memory there"
		if fewer > 0 {
			hint += fmt.Sprintf(", or use %d slots", fewer)
		}
		if smaller > 0 {
			hint += fmt.Sprintf(", or at most %d bytes a slot", smaller)
		}
	}
	return hinted(hint, "%d slots x %d bytes need %d bytes, and %d %s: %w",
		c.Slots, c.Capacity, l.Size+overhead, e.free, e.where, syscall.ENOSPC)
}

// overhead is what a topic takes beside data: p.ID and the bell, and a page
// for a first subscriber's file. Directory and lock take no pages.
const overhead = PublisherSize + BellSize + 2*HeaderSize

// fitting gives how many slots of this capacity, and what capacity with as
// many slots, would fit into free bytes; 0 where that does not help.
func (c *Config) fitting(free int64) (slots, capacity int64) {
	fits := func(try Config) bool {
		l, err := try.layout()
		return err == nil && l.Size+overhead <= free
	}
	try := *c
	for try.Slots /= 2; try.Slots >= MinSlots && slots == 0; try.Slots /= 2 {
		if fits(try) {
			slots = try.Slots
		}
	}
	try = *c
	lo, hi := int64(0), c.Capacity
	for lo < hi { // lo fits, or is 0
		try.Capacity = lo + (hi-lo+1)/2
		if fits(try) {
			lo = try.Capacity
		} else {
			hi = try.Capacity - 1
		}
	}
	return slots, lo
}
