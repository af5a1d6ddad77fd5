// Package inspect finds the shared memory of a Linux machine and says who
// uses it: System V segments, POSIX objects and semaphores, memfds, what was
// unlinked and is still held, and what belongs to other namespaces.
//
//	snap, err := inspect.Scan(ctx, nil)
//	for _, o := range snap.Objects {
//		fmt.Println(o.Address, o.Size, o.Used, o.State(), o.Holders)
//	}
//
// # Guarantees
//
//   - Looking changes nothing. No object is attached, mapped or written, no
//     name is opened; only memfds are opened, for reading, for the moment that
//     it takes to ask for their seals, and directories of topics to list them.
//     (Options.Semaphores opens semaphores.)
//   - Identity is the kernel's, never a path: System V segments are joined with
//     the processes that have them attached by identifier within one IPC
//     namespace, files by device and inode. An object with two names, a memfd
//     in ten processes, is one Object.
//   - Used is memory really taken, not the size asked for.
//   - Processes and objects that vanish during the scan do no harm.
//   - What could not be seen is told: Snapshot.Partial and Snapshot.Reasons
//     for the whole, Object.Reasons where it bears on one object. Nothing is
//     called unused or orphaned on the strength of what could not be seen.
//   - A scan does not find its own temporary descriptors, nor those of another
//     scan in the same process.
//
// # Limits
//
//   - A scan is a series of glimpses, not one moment.
//   - To look into a process takes its user's rights, or root's.
//   - Processes of outer pid namespaces are invisible, so within one (as in a
//     container) every snapshot is Partial.
//   - What no process holds is not seen either: a descriptor on its way
//     through a Unix socket, registered with io_uring, or behind a loop device.
//     Nor are descriptor tables that a thread has for itself (CLONE_FILES).
//   - A process that changed its IPC namespace after attaching counts where
//     it is now.
//   - A mapping does not leave a trace when its bytes are used: LastUsed is the
//     last attach, detach, mmap, read or write.
//   - Names and command lines are the processes' own claims, and may hold any
//     byte; Address, Holder.Command and Holder.Cmdline are made printable, Name
//     is not.
//   - Linux only. Elsewhere everything compiles and answers
//     errors.ErrUnsupported.
//
// All functions may be called concurrently. Nothing starts a goroutine.
package inspect

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
)

// Options say where and how to look. A nil *Options means the zero value.
type Options struct {
	// Dir is the shared memory mount, posix.DefaultDir when empty.
	Dir string

	// Proc is where proc(5) is mounted, /proc when empty.
	Proc string

	// Kinds are the kinds of objects to find; nil means all but
	// KindAnonymous.
	Kinds []Kind

	// NoHolders leaves the processes out: the scan is quick, finds only what
	// has a name or an identifier, and cannot say what is in use.
	NoHolders bool

	// Semaphores opens and reads POSIX semaphores for their value, which
	// counts as a use of the file (its access time) where the mount keeps
	// that.
	Semaphores bool

	// Existing makes Watch begin with an Added event for everything that
	// exists.
	Existing bool
}

func (o *Options) orDefault() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Dir == "" {
		c.Dir = posix.DefaultDir
	}
	if c.Proc == "" {
		c.Proc = string(procfs.Default)
	}
	return c
}

func (o *Options) wants(k Kind) bool {
	if o.Kinds == nil {
		return k != KindAnonymous
	}
	return slices.Contains(o.Kinds, k)
}

func (o *Options) wantsFiles() bool {
	return o.wants(KindPOSIX) || o.wants(KindSemaphore) || o.wants(KindTopic) || o.wants(KindOther)
}

// wantsDescriptors reports whether objects are wanted that processes can have
// open: System V segments are only ever mapped.
func (o *Options) wantsDescriptors() bool { return o.wantsFiles() || o.wantsMemfds() }

func (o *Options) wantsMemfds() bool { return o.wants(KindMemfd) || o.wants(KindShmnet) }

// Snapshot is what a Scan found.
type Snapshot struct {
	Time    time.Time
	Objects []Object // by kind; within a kind by identifier or name

	// Partial says that not everything could be seen; Reasons say what.
	Partial bool
	Reasons []Reason

	// Shmem is all shared memory of the machine in bytes, of every kind and
	// namespace (tmpfs, System V, memfd, shared anonymous; no huge pages): the
	// line Shmem of /proc/meminfo. 0 where that could not be read.
	Shmem uint64

	// MountSize and MountFree are the bytes of the shared memory mount, both 0
	// where it has no limit or could not be asked. Only POSIX objects, named
	// or held, take room in it.
	MountSize, MountFree uint64
}

// Scan looks at everything. An error means that nothing could be done at all
// (or ctx's end); whatever else is wrong stands in Snapshot.Reasons.
func Scan(ctx context.Context, opts *Options) (*Snapshot, error) {
	if runtime.GOOS != "linux" {
		return nil, &sys.Error{Op: "scan", Err: sys.ErrPlatform}
	}
	s := newScan(ctx, opts.orDefault())
	s.totals()
	if s.opts.wants(KindSysV) {
		s.listSegments()
	}
	if s.opts.wantsFiles() {
		s.listFiles()
	}
	if s.opts.NoHolders {
		s.reason(Reason{Code: ReasonNoHolders})
	} else if err := s.processes(); err != nil {
		return nil, &sys.Error{Op: "scan", Err: err}
	}
	return s.finish(), nil
}
