package shm

import (
	"fmt"
	"os"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
)

// roomFrom is the size from which on the memory limits are read before memory
// is taken. Below, reading them costs more than the object.
const roomFrom = 1 << 20

// checkRoom refuses size bytes that the memory cgroup or the machine has not
// got, before anything is taken. No mount bounds memfds and System V
// segments, and for the cgroup not even a tmpfs's own limit counts: what
// passes it is not refused but makes the kernel kill a process. What others
// take between this look and the reservation is a race that remains. Limits
// that cannot be read do not count.
func checkRoom(kind Kind, size int64, o *Options) error {
	if o.Sparse || o.Huge != 0 {
		// Huge pages are a pool of their own, which the kernel asks at once.
		return nil
	}
	if size < roomFrom {
		return nil
	}
	if kind == POSIX {
		dir := o.Dir
		if dir == "" {
			dir = posix.DefaultDir
		}
		if st, err := sys.StatfsPath(dir); err != nil || st.Type != sys.TMPFS_MAGIC {
			return nil // not memory, or nothing at all, as creating will tell
		}
	}
	proc := procfs.Root("/proc")
	if lim, err := proc.MemoryLimit(os.Getpid()); err == nil && lim.Limit != procfs.NoLimit {
		room := lim.Room()
		if st, err := lim.Stat(); err == nil {
			// Cached files count as used, and are dropped before anything
			// is refused.
			room = min(room+st.Reclaimable(), lim.Limit)
		}
		if uint64(size) > room {
			return &Error{
				Err:  fmt.Errorf("the memory cgroup %s has room for %d more bytes of its %d, and %d are needed: %w", lim.Path, room, lim.Limit, size, syscall.ENOSPC),
				Hint: "ask for less, raise the limit, or create it sparse and use a part of it",
			}
		}
	}
	if m, err := proc.Meminfo(); err == nil && m["MemAvailable"] > 0 {
		if room := m["MemAvailable"] + m["SwapFree"]; uint64(size) > room {
			return &Error{
				Err:  fmt.Errorf("the machine has room for %d more bytes, and %d are needed: %w", room, size, syscall.ENOSPC),
				Hint: "ask for less, free memory, or create it sparse and use a part of it",
			}
		}
	}
	return nil
}
