package memfd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// File is an open memfd: a descriptor, to be mapped, handed over and closed.
// A mapping stays valid after Close. Methods may be called concurrently, but
// not concurrently with Close; after it they answer fs.ErrClosed.
type File struct {
	name string
	fd   *sys.FD
}

func newFile(fd int, name string) *File { return &File{name: name, fd: sys.NewFD(fd)} }

// FD is the descriptor, for package mapping; -1 after Close. It stays the
// File's.
func (f *File) FD() int { return f.fd.Int() }

// Name is the name that was given at creation.
func (f *File) Name() string { return f.name }

// Address is how this process and, as long as the file is open, others with
// the right to it name the memory: "memfd:PID/FD".
func (f *File) Address() string { return fmt.Sprintf("memfd:%d/%d", os.Getpid(), f.FD()) }

// Close closes the descriptor. Later calls do nothing.
func (f *File) Close() error { return f.wrap("close", f.fd.Close()) }

// Status is what the kernel knows about a memfd.
type Status struct {
	Name   string
	Size   int64 // bytes
	Used   int64 // bytes for which memory is allocated
	Mode   uint32
	UID    uint32
	GID    uint32
	Inode  uint64
	Dev    uint64
	Access time.Time
	Modify time.Time
	Change time.Time
	Seals  Seals
}

// Stat is fstat(2), and fcntl(2) with F_GET_SEALS.
func (f *File) Stat() (Status, error) {
	st, err := f.fd.Stat()
	if err != nil {
		return Status{}, f.wrap("fstat", err)
	}
	seals, err := f.Seals()
	if err != nil {
		return Status{}, err
	}
	return Status{
		Name: f.name, Size: st.Size, Used: st.Blocks * 512, Mode: st.Mode & 0o7777,
		UID: st.UID, GID: st.GID, Inode: st.Ino, Dev: st.Dev,
		Access: st.Access, Modify: st.Modify, Change: st.Change, Seals: seals,
	}, nil
}

// Truncate is ftruncate(2): it sets the size without reserving memory.
// F_SEAL_SHRINK and F_SEAL_GROW forbid their direction with EPERM.
func (f *File) Truncate(size int64) error { return f.wrap("ftruncate", f.fd.Truncate(size)) }

// Reserve is fallocate(2): it takes memory for length bytes from offset on
// and makes the memfd at least so long.
func (f *File) Reserve(offset, length int64) error {
	return f.wrap("fallocate", f.fd.Reserve(offset, length))
}

// PunchHole gives the memory of a range back; it reads as zeros afterwards.
func (f *File) PunchHole(offset, length int64) error {
	return f.wrap("fallocate", f.fd.PunchHole(offset, length))
}

// Chmod is fchmod(2).
func (f *File) Chmod(mode uint32) error { return f.wrap("fchmod", f.fd.Chmod(mode)) }

// ReadAt is pread(2), until p is full or the memfd ends (io.EOF).
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.fd.ReadAt(p, off)
	return n, f.wrap("pread", err)
}

// WriteAt is pwrite(2), until p is written or the kernel refuses.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.fd.WriteAt(p, off)
	return n, f.wrap("pwrite", err)
}

// Inherit says whether the descriptor survives an exec, as it does not
// unless told so. For a child started by os/exec use ExtraFiles instead.
func (f *File) Inherit(on bool) error {
	flag := 1
	if on {
		flag = 0
	}
	_, err := f.fd.Fcntl(setFD, flag)
	return f.wrap("fcntl", err)
}

// setFD is F_SETFD, whose only flag is FD_CLOEXEC, 1.
const setFD = 2

// OSFile gives a copy of the descriptor as an *os.File, for ExtraFiles of
// os/exec, by which a child inherits the memory. The caller closes it.
func (f *File) OSFile() (*os.File, error) {
	fd := f.FD()
	if fd < 0 {
		return nil, f.wrap("dup", os.ErrClosed)
	}
	n, err := sys.Dup(fd)
	if err != nil {
		return nil, f.wrap("dup", err)
	}
	return os.NewFile(uintptr(n), "memfd:"+f.name), nil
}

// Writable reports whether the descriptor is open for writing. Seals are
// another matter.
func (f *File) Writable() (bool, error) {
	fl, err := f.fd.Fcntl(sys.F_GETFL, 0)
	if err != nil {
		return false, f.wrap("fcntl", err)
	}
	return fl&sys.O_ACCMODE != sys.O_RDONLY, nil
}

// Reopen opens the same memory anew with another access mode, os.O_RDONLY or
// os.O_RDWR, through /proc.
func (f *File) Reopen(flags int) (*File, error) {
	fd := f.FD()
	if fd < 0 {
		return nil, f.wrap("open", os.ErrClosed)
	}
	return openProc("self", fd, f.label(), flags)
}

func (f *File) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	e := &sys.Error{Op: op, Kind: "memfd", Name: f.label(), Err: err}
	if errors.Is(err, syscall.EPERM) {
		e.Hint = "a seal forbids it, or somebody else owns the memory"
	}
	return e
}

// label is the name for error texts. It may come from a stranger, so what is
// not plain text in it is quoted.
func (f *File) label() string {
	if q := strconv.Quote(f.name); q != `"`+f.name+`"` {
		return "memfd:" + q
	}
	return "memfd:" + f.name
}
