package posix

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Object is an open shared memory object: a descriptor, to be mapped and
// closed. A mapping stays valid after Close. Methods may be called
// concurrently, but not concurrently with Close; after it they answer
// fs.ErrClosed. No finalizer closes an Object.
type Object struct {
	name string
	path string
	fd   *sys.FD
}

// FD is the descriptor, for package mapping and for handing over; -1 after
// Close. It stays the Object's: whoever wants one of their own duplicates it.
func (o *Object) FD() int { return o.fd.Int() }

// Name is the object's name with one leading slash.
func (o *Object) Name() string { return o.name }

// Path is the file under which the object was opened.
func (o *Object) Path() string { return o.path }

// Close closes the descriptor. Later calls do nothing.
func (o *Object) Close() error { return o.wrap("close", o.fd.Close()) }

// Status is what the kernel knows about an object.
type Status struct {
	Name   string // with one leading slash; "" when asked by descriptor
	Size   int64  // bytes
	Used   int64  // bytes for which memory is allocated
	Mode   fs.FileMode
	UID    uint32
	GID    uint32
	Links  uint64 // names; 0 after Unlink
	Dev    uint64 // with Inode the identity: names are not
	Inode  uint64
	Access time.Time
	Modify time.Time
	Change time.Time
}

// Regular reports whether it is a regular file, as every object is. The
// mount may hold other things.
func (s *Status) Regular() bool { return s.Mode.IsRegular() }

func status(name string, st *sys.Stat) Status {
	return Status{
		Name: name, Size: st.Size, Used: st.Blocks * 512, Mode: fileMode(st.Mode),
		UID: st.UID, GID: st.GID, Links: st.Nlink, Dev: st.Dev, Inode: st.Ino,
		Access: st.Access, Modify: st.Modify, Change: st.Change,
	}
}

func fileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & sys.S_IFMT {
	case sys.S_IFDIR:
		mode |= fs.ModeDir
	case sys.S_IFLNK:
		mode |= fs.ModeSymlink
	case sys.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case sys.S_IFSOCK:
		mode |= fs.ModeSocket
	case sys.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case sys.S_IFBLK:
		mode |= fs.ModeDevice
	}
	if m&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if m&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if m&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}

// Stat is fstat(2).
func (o *Object) Stat() (Status, error) {
	st, err := o.fd.Stat()
	if err != nil {
		return Status{}, o.wrap("fstat", err)
	}
	return status(o.name, &st), nil
}

// Truncate is ftruncate(2): it sets the size. New bytes are zero and take no
// memory until they are touched, so a store to them may find none left
// (SIGBUS); Reserve cannot fail later. Whoever has a cut-off part mapped
// gets SIGBUS there.
func (o *Object) Truncate(size int64) error {
	err := o.fd.Truncate(size)
	switch {
	case errors.Is(err, syscall.EINVAL) && size < 0:
		err = fmt.Errorf("%d is no size: %w", size, err)
	case errors.Is(err, syscall.EINVAL):
		err = fmt.Errorf("the object is not open for writing: %w", err)
	case errors.Is(err, syscall.EFBIG):
		err = fmt.Errorf("%d bytes are more than RLIMIT_FSIZE (ulimit -f) or the file system allows: %w", size, err)
	}
	return o.wrap("ftruncate", err)
}

// PunchHole gives the memory of a range back: it reads as zeros afterwards,
// for everyone.
func (o *Object) PunchHole(offset, length int64) error {
	return o.wrap("fallocate", o.fd.PunchHole(offset, length))
}

// Chmod is fchmod(2). Descriptors that are open keep the access they have.
func (o *Object) Chmod(mode fs.FileMode) error {
	return o.wrap("fchmod", o.fd.Chmod(uint32(mode.Perm())))
}

// Chown is fchown(2); -1 leaves an owner as it is.
func (o *Object) Chown(uid, gid int) error { return o.wrap("fchown", o.fd.Chown(uid, gid)) }

// ReadAt is pread(2), until p is full or the object ends (io.EOF).
func (o *Object) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.fd.ReadAt(p, off)
	return n, o.wrap("pread", err)
}

// WriteAt is pwrite(2), until p is written. It makes the object longer where
// p ends behind it.
func (o *Object) WriteAt(p []byte, off int64) (int, error) {
	n, err := o.fd.WriteAt(p, off)
	return n, o.wrap("pwrite", err)
}

func (o *Object) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if err == io.EOF {
		return err
	}
	e := &sys.Error{Op: op, Kind: "posix", Name: Address(o.name), Err: err}
	if errors.Is(err, syscall.ENOSPC) {
		e.Hint = "the shared memory mount is full; df shows it"
	}
	return e
}
