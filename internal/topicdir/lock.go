package topicdir

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// alive reports whether the participant lives whose file fd is and whose
// header names the maker: its write lock is held, and not merely by a child
// that it has left behind. An error of the look counts as life.
func alive(fd *sys.FD, m *Maker) bool {
	var l life
	return l.alive(fd, m)
}

// life is what is remembered of a participant that is asked for again and
// again: when /proc was last asked for it, which takes ten times as long as
// all the rest.
type life struct {
	looked atomic.Int64 // ns since 1970
}

func (l *life) alive(fd *sys.FD, m *Maker) bool {
	n := fd.Int()
	if n < 0 {
		return false
	}
	locked, err := sys.ByteLocked(n)
	switch {
	case err != nil:
		return true
	case !locked || m.vanished():
		return false
	}
	now := time.Now().UnixNano()
	if before := l.looked.Load(); before != 0 && now-before < int64(time.Second) && now >= before {
		return true
	}
	if m.Gone() {
		return false
	}
	l.looked.Store(now)
	return true
}

// Process is a process for messages.
type Process struct {
	PID     int
	Command string // its name, as /proc/PID/comm has it; may be empty
}

func (p Process) String() string {
	if p.Command == "" {
		return fmt.Sprintf("process %d", p.PID)
	}
	return fmt.Sprintf("process %d (%s)", p.PID, p.Command)
}

func describe(pid int) Process {
	comm, _ := procfs.Default.Comm(pid)
	return Process{pid, procfs.Printable(comm)}
}

// holders finds the processes that hold the write lock on the first byte of
// the file with the inode: the one that took it and children that it was
// passed to. Only processes that the caller may trace can be found.
func holders(st *sys.Stat, name string) []Process {
	pids, err := procfs.Default.PIDs()
	if err != nil {
		return nil
	}
	var found []Process
	for _, pid := range pids {
		if holds(pid, st, name) {
			found = append(found, describe(pid))
		}
	}
	return found
}

func holds(pid int, st *sys.Stat, name string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range fds {
		// The link spares reading the fdinfo of every descriptor. A file
		// that was made unnamed keeps a name of its inode there.
		link, err := os.Readlink(dir + "/" + e.Name())
		base := path.Base(strings.TrimSuffix(link, " (deleted)"))
		if err != nil || base != name && base != "#"+strconv.FormatUint(st.Ino, 10) {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		info, err := procfs.Default.FDInfo(pid, fd)
		if err != nil {
			continue
		}
		for _, l := range info.Locks {
			if l.Class == procfs.LockOFD && l.Type == "WRITE" && l.Inode == st.Ino && l.Start == 0 && !l.Waiting {
				return true
			}
		}
	}
	return false
}

// busy says who keeps a topic from being taken: fd is its lock, and owner is
// the maker of the present p.ID, if that could be read.
func busy(fd int, owner *Maker) error {
	var found []Process
	if st, err := sys.Fstat(fd); err == nil {
		found = holders(&st, lockFile)
	}
	names := make([]string, len(found))
	for i, p := range found {
		if owner != nil && p.PID == owner.PID && !owner.Gone() {
			return hinted("end that publisher first, or choose another name", "%v publishes it: %w", p, sys.ErrBusy)
		}
		names[i] = p.String()
	}
	who := strings.Join(names, " and ")
	switch {
	case owner != nil && owner.Gone() && who != "":
		return hinted("end that process, or use another name",
			"its publisher, process %d, is gone, but %s still holds its lock, passed on by fork: %w", owner.PID, who, sys.ErrBusy)
	case who != "":
		return hinted("end it first, or choose another name", "%s holds its lock: %w", who, sys.ErrBusy)
	case owner != nil && owner.Gone():
		return hinted("fuser(1) may find it", "its publisher, process %d, is gone, but a process that cannot be seen from here holds its lock: %w", owner.PID, sys.ErrBusy)
	case owner != nil && owner.Elsewhere():
		return hinted("end that publisher first, or choose another name", "process %d of another pid namespace publishes it: %w", owner.PID, sys.ErrBusy)
	case owner != nil:
		return hinted("end that publisher first, or choose another name", "process %d publishes it: %w", owner.PID, sys.ErrBusy)
	}
	return hinted("", "somebody holds its lock: %w", sys.ErrBusy)
}

// isBusy tells a lock that somebody has from other errors.
func isBusy(err error) bool { return errors.Is(err, syscall.EAGAIN) }
