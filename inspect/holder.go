package inspect

import (
	"github.com/seed-298b2b26/shm/internal/procfs"
)

// Holder is a process that uses an object: it has it attached, mapped or
// open.
type Holder struct {
	PID     int
	Command string // the process' name, printable
	Cmdline string // its arguments joined by spaces, printable, of any length
	UID     uint32 // effective user

	// Maps is how many mappings of the object the process has; for System V
	// segments these are what nattch counts. A mapping of which a part was
	// protected differently counts as several.
	Maps int
	// FDs are its descriptors of the object, ascending.
	FDs []int
	// Writable says that a shared mapping can be written, or that a descriptor
	// is open for writing.
	Writable bool

	// Start is when the process started, in clock ticks since boot: with PID it
	// identifies the process.
	Start uint64
	// InnerPID is the process id in the process' own pid namespace where that
	// is another than the reader's, else 0.
	InnerPID int
}

// holder reads what there is to say about a process; nil when it is gone.
func (s *scan) holder(pid int) *Holder {
	st, err := s.root.Stat(pid)
	if err != nil {
		return nil
	}
	h := &Holder{PID: pid, Command: procfs.Printable(st.Comm), Start: st.StartTicks}
	status, err := s.root.Status(pid)
	if err != nil {
		return nil
	}
	h.UID = status.UID.Effective
	if status.Contained() {
		h.InnerPID = status.NSPID[len(status.NSPID)-1]
	}
	cmdline, err := s.root.Cmdline(pid)
	if procfs.Gone(err) {
		return nil
	}
	h.Cmdline = cmdline.String()
	return h
}
