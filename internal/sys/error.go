package sys

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Sentinels on which callers branch. The root package exports them under the
// same names and documents them for users.
var (
	ErrNoSpace   = errors.New("no space left for shared memory")
	ErrTruncated = errors.New("the object was truncated while it was mapped")
	ErrCorrupt   = errors.New("the bytes are not what the format demands")
	ErrVersion   = errors.New("the layout version does not fit")
	ErrType      = errors.New("the type does not fit")
	ErrBusy      = errors.New("in use")
	ErrFenced    = errors.New("replaced by another owner")
	ErrRemoved   = errors.New("the name was removed while in use")
	ErrOwnerDied = errors.New("the owner died")
	ErrNotReady  = errors.New("the object has size 0: its creator has not given it a size yet")

	// ErrPlatform is what every call answers where the module is not
	// implemented.
	ErrPlatform = platformError{}
)

type platformError struct{}

func (platformError) Error() string {
	return "shared memory is implemented for Linux on amd64, arm64, loong64 and riscv64 only"
}

func (platformError) Is(target error) bool { return target == errors.ErrUnsupported }

// Error is the one error type of the module; the root package exports it as
// shm.Error, where its fields are documented for users.
type Error struct {
	Op   string // the call or verb that failed: "shmget", "create"
	Kind string // "sysv", "posix", "memfd", "mapping"
	Name string // the object, as an address where it has one
	Err  error  // the cause, most often a syscall.Errno
	Hint string // the next step for a person, where one is known
}

// Error gives operation, object and cause in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("shm: ")
	b.WriteString(e.Op)
	if e.Name != "" {
		b.WriteByte(' ')
		b.WriteString(e.Name)
	}
	b.WriteString(": ")
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString("unknown error")
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is adds to what syscall.Errno answers by itself: EIDRM is a kind of
// fs.ErrNotExist, ETIMEDOUT of os.ErrDeadlineExceeded, ENOSPC is ErrNoSpace
// and EBUSY is ErrBusy.
func (e *Error) Is(target error) bool {
	var errno syscall.Errno
	if !errors.As(e.Err, &errno) {
		return false
	}
	switch target {
	case fs.ErrNotExist:
		return errno == EIDRM
	case os.ErrDeadlineExceeded:
		return errno == syscall.ETIMEDOUT
	case ErrNoSpace:
		return errno == syscall.ENOSPC
	case ErrBusy:
		return errno == syscall.EBUSY
	}
	return false
}
