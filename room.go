package shm

import (
	"fmt"
	"os"

	"github.com/seed-298b2b26/shm/internal/procfs"
)

// roomFrom is the size from which on the limits are read before memory is
// taken. Below, reading them costs more than the object.
const roomFrom = 1 << 20

// checkRoom refuses size bytes that the memory cgroup or the machine has not
// got. No mount bounds memfds and System V segments, and for the cgroup not
// even a tmpfs's own limit counts: what passes it is not refused but makes
// the kernel kill a process. What others take between this look and the
// reservation is a race that remains. Limits that cannot be read do not
// count.
func checkRoom(size int64) error {
	if size < roomFrom {
		return nil
	}
	proc := procfs.Root("/proc")
	if lim, err := proc.MemoryLimit(os.Getpid()); err == nil && lim.Limit != procfs.NoLimit {
		room := lim.Room()
		if st, err := lim.Stat(); err == nil {
			// Cached files count as used, and are dropped before anything
			// is refused.
			room += st.ActiveFile + st.InactiveFile
		}
		if uint64(size) > room {
			return fmt.Errorf("the memory cgroup %s has room for %d more bytes of its %d: %w", lim.Path, room, lim.Limit, ErrNoSpace)
		}
	}
	if m, err := proc.Meminfo(); err == nil && m["MemAvailable"] > 0 {
		if room := m["MemAvailable"] + m["SwapFree"]; uint64(size) > room {
			return fmt.Errorf("the machine has room for %d more bytes: %w", room, ErrNoSpace)
		}
	}
	return nil
}
