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
	s, err := create(a, size, o)
	if err != nil {
		return nil, named(err, "create", a.Kind, a.String())
	}
	return s, nil
}

func create(a Address, size int64, o *Options) (*Segment, error) {
	if size <= 0 || size > math.MaxInt {
		return nil, &Error{
			Err:  fmt.Errorf("%d is no size for shared memory: %w", size, syscall.EINVAL),
			Hint: "a size is a number of bytes, at least 1",
		}
	}
	if err := checkRoom(a.Kind, size, o); err != nil {
		if taken(a, o) {
			return nil, &Error{Err: syscall.EEXIST, Hint: "open it, or remove it first"}
		}
		return nil, err
	}
	switch a.Kind {
	case POSIX:
		return createPOSIX(a, size, o)
	case Memfd:
		return createMemfd(a, size, o)
	}
	return createSysV(a, size, o)
}

// taken reports whether the name or key has an object.
func taken(a Address, o *Options) bool {
	switch {
	case a.Kind == POSIX:
		_, err := posix.Stat(a.Name, o.posix())
		return err == nil
	case a.By == ByKey || a.By == ByFtok:
		_, err := findSysV(a)
		return err == nil
	}
	return false
}

func createPOSIX(a Address, size int64, o *Options) (*Segment, error) {
	if o.Huge != 0 {
		return nil, &Error{Err: fmt.Errorf("no huge pages in a tmpfs object: %w", errors.ErrUnsupported), Hint: "use sysv: or memfd: for huge pages"}
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
		return nil, &Error{Err: fmt.Errorf("PID/FD names a memfd that exists: %w", syscall.EINVAL), Hint: "create with memfd:NAME"}
	}
	if o.Seals&memfd.F_SEAL_WRITE != 0 {
		return nil, &Error{
			Err:  fmt.Errorf("F_SEAL_WRITE cannot stand on memory that is mapped for writing: %w", syscall.EINVAL),
			Hint: "F_SEAL_FUTURE_WRITE leaves this Segment alone the right to write; package memfd can write first and seal then",
		}
	}
	f, err := memfd.CreateSized(a.Name, size, &memfd.Options{
		Seals: memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW, Huge: o.Huge, Sparse: o.Sparse,
	})
	if err != nil {
		if e, ok := err.(*Error); ok && o.Huge != 0 && errors.Is(err, ErrNoSpace) {
			err = &Error{
				Err:  fmt.Errorf("not enough free huge pages: %w", e.Err),
				Hint: "reserve some with the sysctl vm.nr_hugepages, or do without",
			}
		}
		return nil, err
	}
	s, err := FromMemfd(f, &Options{Private: o.Private})
	if err != nil {
		f.Close()
		return nil, err
	}
	// Only now: F_SEAL_FUTURE_WRITE forbids new mappings for writing, ours
	// too.
	if o.Seals != 0 {
		if err := f.AddSeals(o.Seals); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func createSysV(a Address, size int64, o *Options) (*Segment, error) {
	if o.Private {
		return nil, errSysVPrivate
	}
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
		return nil, &Error{Err: fmt.Errorf("the kernel chooses identifiers: %w", syscall.EINVAL), Hint: "create with a key, or with sysv:private"}
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
	s, err := attachSysV(a, id, &Options{})
	if err != nil {
		// Otherwise it would stay, unused, under its key.
		sysv.Remove(id)
		return nil, err
	}
	return s, nil
}

// OpenOrCreate opens the memory, or makes it with size bytes where there is
// none, and says which. Memory that exists is never resized: less than size
// bytes of it are an error, EINVAL, more are fine, and size 0 is content with
// any. While its creator has not given it a size yet, as C programs leave it
// for a moment, OpenOrCreate waits up to a second, then gives ErrNotReady.
//
// sysv:private and memfd:NAME always create; sysv:id=N and memfd:PID/FD never
// do.
func OpenOrCreate(address string, size int64, opts *Options) (s *Segment, created bool, err error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, false, err
	}
	if size < 0 {
		return nil, false, named(&Error{
			Err:  fmt.Errorf("%d is no size for shared memory: %w", size, syscall.EINVAL),
			Hint: "a size is a number of bytes",
		}, "open", a.Kind, a.String())
	}
	if a.By == ByPrivate || a.Kind == Memfd && a.By == ByName {
		s, err = Create(address, size, opts)
		return s, err == nil, err
	}
	deadline := time.Now().Add(time.Second)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		s, err = Open(address, opts)
		if errors.Is(err, fs.ErrNotExist) && canCreate(a) {
			s, err = Create(address, size, opts)
			if err == nil {
				return s, true, nil
			}
			if errors.Is(err, fs.ErrExist) && time.Now().Before(deadline) {
				continue // somebody was faster
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
		err := s.fail("open", &Error{
			Err:  fmt.Errorf("it has %d bytes and %d were asked for: %w", s.Size(), size, syscall.EINVAL),
			Hint: "opening never resizes: ask for its size or less, or remove it and create it anew",
		})
		s.Close()
		return nil, false, err
	}
	return s, false, nil
}

// canCreate reports whether what the address names can be absent and made. A
// file that ftok does not find is not made.
func canCreate(a Address) bool {
	switch a.By {
	case ByName, ByKey:
		return true
	case ByFtok:
		_, err := a.key()
		return err == nil
	}
	return false
}
