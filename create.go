package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// Create makes new memory of size bytes, all zero, and opens it for reading
// and writing. A name or key that is taken gives fs.ErrExist, too little room
// ErrNoSpace; then nothing was made.
func Create(address string, size int64, opts *Options) (*Segment, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	o := opts.orDefault()
	fail := func(err error) (*Segment, error) { return nil, rename(err, "create", a.String()) }
	if size <= 0 || size > math.MaxInt {
		return fail(&Error{Kind: string(a.Kind), Err: fmt.Errorf("%d is no size for shared memory: %w", size, syscall.EINVAL)})
	}
	if !o.Sparse {
		if err := checkRoom(size); err != nil {
			return fail(&Error{Kind: string(a.Kind), Err: err, Hint: "ask for less, free memory, or create it sparse"})
		}
	}
	var s *Segment
	switch a.Kind {
	case POSIX:
		s, err = createPOSIX(a, size, o)
	case Memfd:
		s, err = createMemfd(a, size, o)
	default:
		s, err = createSysV(a, size, o)
	}
	if err != nil {
		return fail(err)
	}
	return s, nil
}

func createPOSIX(a Address, size int64, o *Options) (*Segment, error) {
	if o.Huge != 0 {
		return nil, &Error{Kind: string(POSIX), Err: fmt.Errorf("no huge pages in a tmpfs object: %w", errors.ErrUnsupported), Hint: "use sysv: or memfd: for huge pages"}
	}
	obj, err := posix.CreateSized(a.Name, size, o.mode(), o.posix())
	if err != nil {
		return nil, err
	}
	s, err := mapPOSIX(a, obj, size, &Options{Dir: o.Dir, Private: o.Private})
	if err != nil {
		// Ours a moment ago, and useless.
		posix.Unlink(a.Name, o.posix())
		obj.Close()
		return nil, err
	}
	return s, nil
}

func createMemfd(a Address, size int64, o *Options) (*Segment, error) {
	if a.By != ByName {
		return nil, &Error{Kind: string(Memfd), Err: fmt.Errorf("PID/FD names a memfd that exists: %w", syscall.EINVAL), Hint: "create with memfd:NAME"}
	}
	f, err := memfd.CreateSized(a.Name, size, &memfd.Options{
		Seals:  o.Seals&^memfd.F_SEAL_WRITE | memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW,
		Huge:   o.Huge,
		Sparse: o.Sparse,
	})
	if err != nil {
		return nil, err
	}
	s, err := FromMemfd(f, &Options{Private: o.Private})
	if err != nil {
		f.Close()
	}
	return s, err
}

func createSysV(a Address, size int64, o *Options) (*Segment, error) {
	flags := sysv.IPC_CREAT | sysv.IPC_EXCL | int(o.mode())
	if o.Sparse {
		flags |= sysv.SHM_NORESERVE
	}
	if o.Huge != 0 {
		huge := o.Huge
		if huge == 1 {
			huge = 0
		}
		more, err := sysv.HugeSize(huge)
		if err != nil {
			return nil, err
		}
		flags |= more
	}
	var key sysv.Key
	switch a.By {
	case ByID:
		return nil, &Error{Kind: string(SysV), Err: fmt.Errorf("the kernel chooses identifiers: %w", syscall.EINVAL), Hint: "create with a key, or with sysv:private"}
	case ByPrivate:
		key = sysv.IPC_PRIVATE
	default:
		var err error
		if key, err = a.key(); err != nil {
			return nil, err
		}
	}
	id, err := sysv.Get(key, size, flags)
	if err != nil {
		return nil, err
	}
	s, err := attachSysV(a, id, &Options{Private: o.Private})
	if err != nil {
		// Otherwise it would stay, unused, under its key.
		sysv.Remove(id)
		return nil, err
	}
	return s, nil
}

// OpenOrCreate opens the memory, or makes it with size bytes where there is
// none, and says which. Memory that exists is never resized: less than size
// bytes of it are an error, EINVAL, more are fine. While its creator has not
// given it a size yet, as C programs leave it for a moment, OpenOrCreate
// waits up to a second, then gives ErrNotReady.
func OpenOrCreate(address string, size int64, opts *Options) (s *Segment, created bool, err error) {
	deadline := time.Now().Add(time.Second)
	for pause := 100 * time.Microsecond; ; pause *= 2 {
		s, err = Open(address, opts)
		if errors.Is(err, fs.ErrNotExist) {
			s, err = Create(address, size, opts)
			if err == nil {
				return s, true, nil
			}
			if errors.Is(err, fs.ErrExist) && time.Now().Before(deadline) {
				continue
			}
			return nil, false, err
		}
		if !errors.Is(err, ErrNotReady) || time.Now().Add(pause).After(deadline) {
			break
		}
		time.Sleep(pause)
	}
	if err != nil {
		return nil, false, err
	}
	if s.Size() < size {
		err := s.fail("open", fmt.Errorf("it has %d bytes and %d were asked for: %w", s.Size(), size, syscall.EINVAL)).(*Error)
		err.Hint = "opening never resizes: ask for its size or less, or remove it and create it anew"
		s.Close()
		return nil, false, err
	}
	return s, false, nil
}
