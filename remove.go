package shm

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// Remove takes the name of an object away without opening it: permission to
// read it is not needed. Processes that use the memory go on. Of the options
// Dir counts. A memfd has no name: that is errors.ErrUnsupported.
func Remove(address string, opts *Options) error {
	a, err := ParseAddress(address)
	if err != nil {
		return err
	}
	switch a.Kind {
	case POSIX:
		err = posix.Unlink(a.Name, opts.orDefault().posix())
	case Memfd:
		err = &Error{Err: fmt.Errorf("a memfd has no name to be removed: %w", errors.ErrUnsupported), Hint: "it goes when the last process that has it closes it or ends"}
	default:
		var id sysv.ID
		if id, err = findSysV(a); err == nil {
			err = sysv.Remove(id)
		}
	}
	if err != nil {
		return named(err, "remove", a.Kind, a.String())
	}
	return nil
}

// Stat asks the kernel what it knows about an object, without opening it. Of
// the options Dir counts. Permission to read it is needed only for a memfd,
// and for a System V segment where there is no /proc.
func Stat(address string, opts *Options) (Info, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return Info{}, err
	}
	var i Info
	switch a.Kind {
	case POSIX:
		var st posix.Status
		if st, err = posix.Stat(a.Name, opts.orDefault().posix()); err == nil {
			i = posixInfo(st)
			if !st.Regular() {
				err = fmt.Errorf("it is no shared memory object but something else (%v): %w", st.Mode, syscall.EINVAL)
			}
		}
	case Memfd:
		i, err = statMemfd(a)
	default:
		var id sysv.ID
		if id, err = findSysV(a); err == nil {
			var s sysv.Segment
			if s, err = statSysV(id); err == nil {
				i = sysvInfo(s)
			}
		}
	}
	if err != nil {
		return Info{}, named(err, "info", a.Kind, a.String())
	}
	i.Address = a.String()
	return i, nil
}

func statMemfd(a Address) (Info, error) {
	if a.By != ByDescriptor {
		return Info{}, &Error{Err: fmt.Errorf("a memfd's name finds nothing: %w", syscall.EINVAL), Hint: "name it by memfd:PID/FD"}
	}
	f, err := memfd.OpenProc(a.PID, a.FD, posix.O_RDONLY)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	return memfdInfo(st), nil
}
