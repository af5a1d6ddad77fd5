package sys

import (
	"io"
	"io/fs"
	"sync/atomic"
)

// reserveStep bounds one fallocate call: kernels before 5.19 start all over
// when a signal arrives, so one large call may never end in a program with a
// profiling timer.
const reserveStep = 8 << 20

// FD is a descriptor that is closed once, explicitly, and never by a
// finalizer. Its methods answer fs.ErrClosed afterwards. Methods may be
// called concurrently, but not concurrently with Close.
type FD struct {
	n atomic.Int64 // the descriptor plus one; 0 when closed
}

// NewFD takes ownership of n.
func NewFD(n int) *FD {
	f := new(FD)
	f.n.Store(int64(n) + 1)
	return f
}

// Int is the number of the descriptor, -1 after Close.
func (f *FD) Int() int { return int(f.n.Load()) - 1 }

// Close closes the descriptor; the second and every later call does nothing.
func (f *FD) Close() error {
	n := int(f.n.Swap(0)) - 1
	if n < 0 {
		return nil
	}
	return Close(n)
}

func (f *FD) use() (int, error) {
	n := f.Int()
	if n < 0 {
		return -1, fs.ErrClosed
	}
	return n, nil
}

// Stat is fstat(2).
func (f *FD) Stat() (Stat, error) {
	n, err := f.use()
	if err != nil {
		return Stat{}, err
	}
	return Fstat(n)
}

// Truncate is ftruncate(2).
func (f *FD) Truncate(size int64) error {
	n, err := f.use()
	if err != nil {
		return err
	}
	return Ftruncate(n, size)
}

// Reserve allocates memory for length bytes from offset on and makes the
// file at least so long. What an earlier step reserved stays reserved when a
// later one fails.
func (f *FD) Reserve(offset, length int64) error {
	n, err := f.use()
	if err != nil {
		return err
	}
	if length <= 0 || offset < 0 {
		return Fallocate(n, 0, offset, length)
	}
	for done := int64(0); done < length; {
		step := min(length-done, reserveStep)
		if err := Fallocate(n, 0, offset+done, step); err != nil {
			return err
		}
		done += step
	}
	return nil
}

// PunchHole gives the memory of a range back; it reads as zeros afterwards.
func (f *FD) PunchHole(offset, length int64) error {
	n, err := f.use()
	if err != nil {
		return err
	}
	return Fallocate(n, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, offset, length)
}

// ReadAt is pread(2) until p is full.
func (f *FD) ReadAt(p []byte, off int64) (done int, err error) {
	n, err := f.use()
	if err != nil {
		return 0, err
	}
	for done < len(p) {
		m, err := Pread(n, p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		if m == 0 {
			return done, io.EOF
		}
		done += m
	}
	return done, nil
}

// WriteAt is pwrite(2) until p is written.
func (f *FD) WriteAt(p []byte, off int64) (done int, err error) {
	n, err := f.use()
	if err != nil {
		return 0, err
	}
	for done < len(p) {
		m, err := Pwrite(n, p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		done += m
	}
	return done, nil
}

// Fcntl is fcntl(2) for commands with an integer argument.
func (f *FD) Fcntl(cmd, arg int) (int, error) {
	n, err := f.use()
	if err != nil {
		return -1, err
	}
	return Fcntl(n, cmd, arg)
}

// Chmod is fchmod(2).
func (f *FD) Chmod(mode uint32) error {
	n, err := f.use()
	if err != nil {
		return err
	}
	return Fchmod(n, mode)
}

// Chown is fchown(2).
func (f *FD) Chown(uid, gid int) error {
	n, err := f.use()
	if err != nil {
		return err
	}
	return Fchown(n, uid, gid)
}
