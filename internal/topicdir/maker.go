package topicdir

import (
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// self is what does not change about this process. What /proc does not tell
// stays zero, and then nobody takes the process for dead by it.
var self = sync.OnceValue(func() Maker {
	m := Maker{PID: os.Getpid(), UID: uint32(os.Geteuid())}
	if st, err := stat(m.PID); err == nil && pidsAreOurs(m.PID) {
		m.Start = st.StartTicks
	}
	if ns, err := procfs.Default.Namespace(procfs.Self, "pid"); err == nil {
		m.PIDNamespace = ns.Inode
	}
	if id, err := procfs.Default.BootID(); err == nil {
		m.Boot = id
	}
	return m
})

// pidsAreOurs reports whether /proc counts processes as getpid(2) does: it may
// have been mounted for another pid namespace.
func pidsAreOurs(pid int) bool {
	link, err := os.Readlink("/proc/self")
	return err == nil && link == strconv.Itoa(pid)
}

// stat reads /proc/PID/stat, but by way of the process' first thread, which
// has the same start time: qemu-user makes up the other file for itself, and
// there with the time of its own start.
func stat(pid int) (*procfs.Stat, error) {
	return procfs.Root("/proc/" + strconv.Itoa(pid) + "/task").Stat(pid)
}

// thisMaker is this process, now.
func thisMaker() Maker {
	m := self()
	m.UID = uint32(os.Geteuid())
	m.Made = time.Now()
	return m
}

// near reports whether the process was one of this process' own pid namespace
// and boot, so that its process id means something here.
func (m *Maker) near() bool {
	me := self()
	return m.PID > 0 && m.PIDNamespace != 0 && m.PIDNamespace == me.PIDNamespace && m.Boot == me.Boot && m.Boot != [16]byte{}
}

// Elsewhere reports whether the process was one of another pid namespace or
// boot: its process id is none of those that are seen here.
func (m *Maker) Elsewhere() bool { return !m.near() }

// vanished reports whether no process has the process id any more. kill(2)
// knows this namespace for certain; /proc may be hidden (hidepid), or be that
// of another namespace.
func (m *Maker) vanished() bool { return m.near() && !sys.ProcessExists(m.PID) }

// Gone reports whether the process is known to be gone: it was one of this
// process' own pid namespace and boot, and is there no more, or only as a
// zombie. What cannot be known is false. The maker of a file that is gone may
// have left a child that holds its lock.
func (m *Maker) Gone() bool {
	if !m.near() {
		return false
	}
	if m.vanished() {
		return true
	}
	me := self()
	if me.Start == 0 {
		return false // /proc is not this namespace's
	}
	st, err := stat(m.PID)
	if err != nil {
		return procfs.Gone(err) && !sys.ProcessExists(m.PID)
	}
	if st.StartTicks != m.Start {
		return sameTime(m.PID)
	}
	return st.Zombie() && !hasThreads(m.PID)
}

// sameTime reports whether start times as this process sees them are those
// that the process pid sees of itself: whether both are in one time
// namespace. Where that cannot be told, it is false.
func sameTime(pid int) bool {
	mine, err := procfs.Default.Namespace(procfs.Self, "time")
	if err != nil {
		return os.IsNotExist(err) // before Linux 5.6 there is only one
	}
	theirs, err := procfs.Default.Namespace(pid, "time")
	return err == nil && mine == theirs
}

// hasThreads reports whether a process whose first thread has ended goes on
// in others.
func hasThreads(pid int) bool {
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	return err == nil && len(tasks) > 1
}
