package inspect

import (
	"os"
	"strconv"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
)

// Life says whether a process lives.
type Life string

// What can be known of a creator.
const (
	Alive   Life = "alive"
	Dead    Life = "dead"
	Unknown Life = "unknown" // hidden, in another pid namespace, or not recorded
)

// Creator is the process that made a System V segment. Of no other kind does
// the kernel keep it.
type Creator struct {
	PID  int // 0 where it is not known: it was in a pid namespace that the caller does not see
	Life Life
	// Reused says that another process has the id now: it started after the
	// segment was made.
	Reused  bool
	Command string // printable; of a living creator
}

// startSlack is how much a process may seem to have started after what it
// made: the time of boot and a segment's times are whole seconds.
const startSlack = 2 * time.Second

// creator finds out about the process that made something before the time
// given. A clock that was set forward since then makes a living creator look
// as if its id had been reused.
func (s *scan) creator(pid int, before time.Time) Creator {
	c := Creator{PID: pid, Life: Unknown}
	if pid <= 0 || !s.ownPIDs {
		return c
	}
	st, err := s.creatorStat(pid)
	switch {
	case procfs.Gone(err):
		// /proc may hide what lives (hidepid).
		if !exists(pid) {
			c.Life = Dead
		}
		return c
	case err != nil:
		return c
	case st.Zombie():
		// The first thread may have ended before the others.
		if status, err := s.root.Status(pid); err != nil || status.Threads <= 1 {
			c.Life = Dead
			return c
		}
	}
	if !s.boot.IsZero() && !before.IsZero() && st.StartTime(s.boot).After(before.Add(startSlack)) {
		c.Life, c.Reused = Dead, true
		return c
	}
	c.Life, c.Command = Alive, procfs.Printable(st.Comm)
	return c
}

// creatorStat reads a process' state once a scan: few processes make many
// segments.
func (s *scan) creatorStat(pid int) (*procfs.Stat, error) {
	if st, ok := s.creators[pid]; ok {
		return st.stat, st.err
	}
	st, err := s.root.Stat(pid)
	s.creators[pid] = statResult{st, err}
	return st, err
}

type statResult struct {
	stat *procfs.Stat
	err  error
}

// ownNumbers reports whether /proc counts processes as the caller does: it
// may have been mounted in another pid namespace.
func ownNumbers(proc string) bool {
	self, err := os.Readlink(proc + "/self")
	return err == nil && self == strconv.Itoa(os.Getpid())
}
