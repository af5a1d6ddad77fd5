package shm

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// Open opens memory that exists, all of it, for reading and writing unless
// opts.ReadOnly. It never resizes. What does not exist is fs.ErrNotExist, a
// POSIX object or memfd of size 0 ErrNotReady.
func Open(address string, opts *Options) (*Segment, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	o := opts.orDefault()
	var s *Segment
	switch a.Kind {
	case POSIX:
		s, err = openPOSIX(a, o)
	case Memfd:
		s, err = openMemfd(a, o)
	default:
		s, err = openSysV(a, o)
	}
	if err != nil {
		return nil, named(err, "open", a.Kind, a.String())
	}
	return s, nil
}

func openPOSIX(a Address, o *Options) (*Segment, error) {
	flags := posix.O_RDWR
	if o.ReadOnly || o.Private {
		flags = posix.O_RDONLY
	}
	obj, err := posix.Open(a.Name, flags, 0, o.posix())
	if err != nil {
		return nil, err
	}
	s, err := FromPOSIX(obj, o)
	if err != nil {
		obj.Close()
	}
	return s, err
}

// usableSize refuses what cannot be mapped.
func usableSize(size int64) error {
	if size == 0 {
		return &Error{Err: ErrNotReady, Hint: "try again in a moment; if it stays so, its creator died or made it wrong, and it can be removed"}
	}
	if size > math.MaxInt {
		return &Error{Err: fmt.Errorf("%d bytes cannot be mapped: %w", size, syscall.ENOMEM)}
	}
	return nil
}

// mapFD maps a whole object as the options want it.
func mapFD(fd int, size int64, o *Options) (*mapping.Mapping, error) {
	prot := mapping.PROT_READ
	if !o.ReadOnly {
		prot |= mapping.PROT_WRITE
	}
	if o.Private {
		return mapping.PrivateFile(fd, 0, int(size), prot, nil)
	}
	return mapping.SharedFile(fd, 0, int(size), prot, nil)
}

func mapPOSIX(a Address, obj *posix.Object, size int64, o *Options) (*Segment, error) {
	m, err := mapFD(obj.FD(), size, o)
	if err != nil {
		return nil, err
	}
	return newSegment(a.Kind, a.String(), m.Bytes(), o, &posixBacking{obj: obj, m: m, opts: o.posix()}), nil
}

func newSegment(kind Kind, address string, b []byte, o *Options, backing backing) *Segment {
	return &Segment{kind: kind, address: address, region: mem.Of(b), readOnly: o.ReadOnly, backing: backing}
}

func openMemfd(a Address, o *Options) (*Segment, error) {
	if a.By != ByDescriptor {
		return nil, &Error{Err: fmt.Errorf("a memfd's name finds nothing: %w", syscall.EINVAL), Hint: "open with memfd:PID/FD"}
	}
	flags := posix.O_RDWR
	if o.ReadOnly || o.Private {
		flags = posix.O_RDONLY
	}
	f, err := memfd.OpenProc(a.PID, a.FD, flags)
	if err != nil {
		return nil, err
	}
	s, err := FromMemfd(f, o)
	if err != nil {
		f.Close()
	}
	return s, err
}

// FromMemfd maps a memfd, such as memfd.Receive gave, and owns it from then
// on: Close closes it too. On an error it stays the caller's. Of the options
// ReadOnly and Private count.
func FromMemfd(f *memfd.File, opts *Options) (*Segment, error) {
	o := opts.orDefault()
	address := f.Address()
	st, err := f.Stat()
	if err == nil {
		err = usableSize(st.Size)
	}
	var m *mapping.Mapping
	if err == nil {
		m, err = mapFD(f.FD(), st.Size, o)
	}
	if err != nil {
		err := named(err, "open", Memfd, address).(*Error)
		if errors.Is(err, syscall.EPERM) && !o.ReadOnly && !o.Private {
			err.Hint = "a seal forbids new writers (F_SEAL_WRITE, F_SEAL_FUTURE_WRITE): open it read-only or private"
		}
		return nil, err
	}
	return newSegment(Memfd, address, m.Bytes(), o, &memfdBacking{file: f, m: m}), nil
}

// FromPOSIX maps a POSIX object, such as posix.Adopt makes of an inherited
// descriptor, and owns it from then on: Close closes it too. On an error it
// stays the caller's. Of the options ReadOnly and Private count.
func FromPOSIX(obj *posix.Object, opts *Options) (*Segment, error) {
	a := Address{Kind: POSIX, By: ByName, Name: obj.Name()}
	st, err := obj.Stat()
	if err == nil {
		err = usableSize(st.Size)
	}
	var s *Segment
	if err == nil {
		o := *opts.orDefault()
		o.Dir = filepath.Dir(obj.Path())
		s, err = mapPOSIX(a, obj, st.Size, &o)
	}
	if err != nil {
		return nil, named(err, "open", a.Kind, a.String())
	}
	return s, nil
}

func openSysV(a Address, o *Options) (*Segment, error) {
	id, err := findSysV(a)
	if err != nil {
		return nil, err
	}
	return attachSysV(a, id, o)
}

// findSysV gives the identifier that an address means now.
func findSysV(a Address) (sysv.ID, error) {
	switch a.By {
	case ByID:
		return a.ID, nil
	case ByPrivate:
		return 0, &Error{Err: fmt.Errorf("a private segment has no key: %w", syscall.EINVAL), Hint: "open it by its identifier, sysv:id=N"}
	}
	key, err := a.key()
	if err != nil {
		return 0, err
	}
	id, err := sysv.Get(key, 0, 0)
	if errors.Is(err, syscall.ENOENT) {
		e := *err.(*Error)
		e.Err = fmt.Errorf("no segment has the key 0x%08x: %w", uint32(key), e.Err)
		err = &e
	}
	return id, err
}

var errSysVPrivate = &Error{
	Err:  fmt.Errorf("a segment cannot be mapped privately: %w", errors.ErrUnsupported),
	Hint: "open it read-only",
}

func attachSysV(a Address, id sysv.ID, o *Options) (*Segment, error) {
	if o.Private {
		return nil, errSysVPrivate
	}
	flags := 0
	if o.ReadOnly {
		flags = sysv.SHM_RDONLY
	}
	att, err := sysv.Attach(id, 0, flags)
	if err != nil {
		return nil, err
	}
	address := a.String()
	if a.By == ByPrivate {
		address = id.String()
	}
	b := att.Bytes()
	if att.Rounded() {
		// /proc has the size where shmctl is refused.
		if st, err := statSysV(id); err == nil && st.Size < int64(len(b)) {
			b = b[:st.Size:st.Size]
		}
	}
	return newSegment(SysV, address, b, o, &sysvBacking{att}), nil
}
