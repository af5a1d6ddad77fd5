package inspect

import (
	"io/fs"
	"time"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// Object is a piece of shared memory, or what stands beside it in the shared
// memory mount. Which fields count depends on Kind; times are zero and
// numbers of bytes -1 where they are not known.
type Object struct {
	Kind Kind

	// Address is what Find and package shm find the object by: "sysv:0x0000002a"
	// (a key that is not IPC_PRIVATE), "sysv:id=7", "posix:/name",
	// "memfd:PID/FD" by the descriptor of one holder; "topic:NAME" is for
	// package topic, and Find takes "posix:/NAME.topic"; "shmnet:inode=N" for
	// Find alone. It is empty where no
	// address leads there: an unlinked object, a memfd that is only mapped,
	// another namespace's object.
	Address string

	// Name is the POSIX object's or semaphore's file name with one leading
	// slash ("/sem.x" for a semaphore); a topic's name; the name that a memfd
	// was created with; of shmnet the address of the connection's socket.
	// Any byte may be in it. Of what is unlinked it is the last that the kernel
	// knows: "/#17" where it was made without a name, as posix.CreateSized does.
	Name  string
	Names []string // POSIX: every name in the mount (hard links), sorted; nil when unlinked

	Key sysv.Key // System V: IPC_PRIVATE when made so, and after IPC_RMID
	ID  sysv.ID  // System V
	// OldKey is the key that the segment was made with, as mappings of its
	// holders show it for ever; IPC_PRIVATE where there are none.
	OldKey sysv.Key

	Size    int64 // bytes, as asked for
	Used    int64 // bytes of memory taken, swap included
	Swapped int64 // bytes of that on swap; System V only
	// AtLeast says that Size and Used are only what could be told from
	// holders' mappings: the object may be larger.
	AtLeast bool

	Mode fs.FileMode // permissions; for KindOther the type too
	ACL  bool        // POSIX: there is an access control list, and the mode's group bits are its mask
	UID  uint32      // owner
	GID  uint32
	CUID uint32 // System V: creator
	CGID uint32

	NAttach uint64 // System V: attachments, which are not processes
	LPID    int    // System V: process that attached or detached last, 0 for none or not visible
	Creator Creator

	// Holders are the processes that have the object attached, mapped or open,
	// by process id: all of them when Reasons is empty.
	Holders []Holder
	// Unseen is, for System V, how many attachments belong to processes that
	// could not be seen.
	Unseen uint64
	// Reasons say why processes may be missing from Holders.
	Reasons []Reason

	Created  time.Time // System V: creation, or the last IPC_SET
	Modified time.Time // POSIX, memfd: write(2) or a change of size; stores through mappings leave no trace
	LastUsed time.Time // last attach or detach; last mmap, read or write

	// Removed says that the object has no name any more and goes with its last
	// holder: a System V segment marked by IPC_RMID, an unlinked file. A memfd
	// has no name from the start, and is not Removed.
	Removed bool
	// Foreign says that the object belongs to another IPC namespace, or to
	// another mount's /dev/shm, than the caller's: no address leads there.
	Foreign bool
	// IPCNamespace is the inode of a foreign segment's IPC namespace.
	IPCNamespace uint64

	Seals    memfd.Seals // memfd, if HasSeals
	HasSeals bool
	Locked   bool  // System V: SHM_LOCK
	Huge     int64 // size of the huge pages it is made of, 0 for ordinary ones or where it is not known

	Links uint64 // POSIX: names, also outside the mount's top directory
	Dev   uint64 // with Inode the identity of all but System V segments
	Inode uint64

	// Semaphore is the state of a semaphore, if Options.Semaphores asked for it
	// and it could be read.
	Semaphore *posix.Semaphore

	// Via is a path below /proc by which the bytes can be reached where there
	// is no name: of a memfd, or of what is unlinked or foreign. Opening it
	// needs the right to trace the holder, and for map_files
	// CAP_CHECKPOINT_RESTORE.
	Via string

	seen     time.Time // when it was looked at
	attached uint64    // mappings of a System V segment that were seen
	unstated bool      // the file itself could not be asked: all is from mappings
}

// State says in a word how an object is used.
type State string

// The states of objects.
const (
	StateUsed     State = "used"     // somebody has it attached, mapped or open
	StateRemoved  State = "removed"  // used, but its name is gone: it goes with the last holder
	StateUnused   State = "unused"   // nobody has it
	StateOrphaned State = "orphaned" // nobody has it, and nobody will come for it as far as one can tell: see Object.Orphaned
	StateUnknown  State = "unknown"  // nobody was seen to have it, but not all processes could be seen
)

// State says how the object is used.
func (o *Object) State() State {
	used, certain := o.InUse()
	switch {
	case o.Removed:
		return StateRemoved
	case used:
		return StateUsed
	case !certain:
		return StateUnknown
	}
	if orphaned, _ := o.Orphaned(); orphaned {
		return StateOrphaned
	}
	return StateUnused
}

// InUse reports whether a process has the object attached, mapped or open.
// When certain is false, none was seen, but not all could be looked at. For
// System V segments the kernel's count of attachments decides, so that answer
// is always certain.
func (o *Object) InUse() (used, certain bool) {
	switch {
	case o.Kind == KindSysV && !o.Foreign:
		return o.NAttach > 0 || len(o.Holders) > 0, true
	case len(o.Holders) > 0:
		return true, true
	}
	return false, len(o.Reasons) == 0
}

// Partial reports whether processes may be missing from Holders.
func (o *Object) Partial() bool { return len(o.Reasons) > 0 }

// at gives the place of a process in Holders, adding it if it is not there.
// Processes come one after the other.
func (o *Object) at(h *Holder) *Holder {
	if n := len(o.Holders); n > 0 && o.Holders[n-1].PID == h.PID {
		return &o.Holders[n-1]
	}
	o.Holders = append(o.Holders, *h)
	return &o.Holders[len(o.Holders)-1]
}
