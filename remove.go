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
		err = &Error{Kind: string(Memfd), Err: fmt.Errorf("a memfd has no name to be removed: %w", errors.ErrUnsupported), Hint: "it goes when the last process that has it closes it or ends"}
	default:
		var id sysv.ID
		if id, err = findSysV(a); err == nil {
			err = notThere(sysv.Remove(id))
		}
	}
	if err != nil {
		return rename(err, "remove", a.String())
	}
	return nil
}

// Stat asks the kernel what it knows about an object, without opening it. Of
// the options Dir counts. System V segments need permission to be read.
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
		}
	case Memfd:
		i, err = statMemfd(a)
	default:
		var id sysv.ID
		if id, err = findSysV(a); err == nil {
			var s sysv.Segment
			if s, err = sysv.Stat(id); err == nil {
				i = sysvInfo(s)
			}
			err = notThere(err)
		}
	}
	if err != nil {
		return Info{}, rename(err, "info", a.String())
	}
	i.Address = a.String()
	return i, nil
}

func statMemfd(a Address) (Info, error) {
	if a.By != ByDescriptor {
		return Info{}, &Error{Kind: string(Memfd), Err: fmt.Errorf("a memfd's name finds nothing: %w", syscall.EINVAL), Hint: "name it by memfd:PID/FD"}
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

// notThere adds fs.ErrNotExist to the EINVAL by which the kernel says that
// an identifier stands for no segment. Only for calls in which nothing else
// can be invalid.
func notThere(err error) error {
	if !errors.Is(err, syscall.EINVAL) {
		return err
	}
	e := *err.(*Error)
	e.Err = fmt.Errorf("no segment has this identifier: %w (%w)", syscall.ENOENT, syscall.EINVAL)
	return &e
}
