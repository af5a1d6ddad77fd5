// Package shm shares memory between processes on one Linux machine: one type,
// Segment, over System V segments, POSIX objects and memfds, found by one
// address syntax.
//
//	posix:/name          a POSIX object; "/name" and "name" mean this too
//	sysv:0x1234          a System V segment by its key
//	sysv:id=7            by its identifier
//	sysv:ftok=PATH,PROJ  by the key that ftok(3) makes of a file
//	sysv:private         a new one without a key (Create only)
//	memfd:PID/FD         the memfd that is a descriptor of a process
//	memfd:NAME           a new one (Create only)
//
// C, C++ and Python programs that use the same objects are ordinary peers:
// nothing is added to the bytes.
//
// # Guarantees
//
//   - Opening never resizes, and creating never shows a half-made object: it
//     is of its full size, and reserved, when it gets its name.
//   - A full /dev/shm is ErrNoSpace at creation, and so is, from 1 MiB on, a
//     memory cgroup or a machine that has not got the memory.
//   - A peer that truncates the object under us costs an ErrTruncated, never
//     the process, in ReadAt, WriteAt, View, Update, Typed and all adapters.
//   - A method of a closed Segment answers ErrClosed, and Close waits for the
//     methods that are at work.
//   - No finalizer unmaps anything; no goroutine is started; the environment
//     is not read; nothing is logged.
//
// # Limits
//
//   - Slices and pointers into the memory (Bytes, Slice, Atomic,
//     Typed.Pointer) are raw. They are valid until Close, and where
//     Truncatable says so a peer can make touching them a fatal SIGBUS.
//     debug.SetPanicOnFault helps there, but not under the race detector with
//     sync/atomic, whose code is in C then and cannot be left by a panic.
//   - A peer that cuts the object inside a page leaves the rest of that page
//     readable, as zeros: that is no fault, and nobody is told.
//   - What was never written, of a sparse or of a System V object, takes memory
//     when it is read, page by page: mapped memory cannot be looked at without.
//   - System V memory is not reserved when it is created: where the system
//     runs out, accessors answer ErrNoSpace.
//   - The memory cgroup's limit is read before memory is taken; what another
//     process takes in between is a race that remains. Smaller objects than
//     1 MiB are made without that look.
//   - A peer that makes an object shorter and longer again between two
//     accesses is not noticed; what was beyond its end reads as zeros.
//   - Linux on amd64, arm64, loong64 and riscv64. Elsewhere everything
//     compiles, and every call answers errors.ErrUnsupported.
//
// The packages sysv, posix, mapping and memfd have the system calls
// themselves.
package shm

import (
	"io/fs"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Error is the one error type of this module. Op is the call or verb that
// failed, Kind the sort of object ("sysv", "posix", "memfd", "mapping"), Name
// the object's address, Err the cause, most often a syscall.Errno, and Hint,
// where there is one, the next step for a person.
//
// errors.Is finds the errno, and: fs.ErrNotExist for ENOENT and EIDRM,
// fs.ErrExist, fs.ErrPermission for EACCES and EPERM, os.ErrDeadlineExceeded
// for ETIMEDOUT, errors.ErrUnsupported, ErrNoSpace for ENOSPC and (of this
// package's functions) ENOMEM, ErrBusy for EBUSY.
type Error = sys.Error

// Causes on which callers branch, beside those of package io/fs.
var (
	// ErrClosed: the Segment was closed.
	ErrClosed = fs.ErrClosed

	// ErrNoSpace: the shared memory mount, the memory cgroup or the machine
	// has no room for the object, or none for a page of it.
	ErrNoSpace = sys.ErrNoSpace

	// ErrTruncated: another process made the object shorter while it was
	// mapped.
	ErrTruncated = sys.ErrTruncated

	// ErrNotReady: the object has size 0, because its creator, as C programs
	// do, gave it its name before its size. Trying again soon may succeed.
	ErrNotReady = sys.ErrNotReady

	// ErrType: the object is not of the kind, or the Go type not of the form,
	// that is needed.
	ErrType = sys.ErrType

	// ErrBusy: somebody uses the object.
	ErrBusy = sys.ErrBusy

	// ErrRemoved: the name stands for another object, or none, by now.
	ErrRemoved = sys.ErrRemoved
)
