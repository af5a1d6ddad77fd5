package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// sysvBacking is an attached System V segment.
type sysvBacking struct {
	att *sysv.Attachment
}

func (b *sysvBacking) size() (int64, error) { return int64(b.att.Len()), nil }
func (b *sysvBacking) truncatable() bool    { return false }
func (b *sysvBacking) full() bool           { return false }
func (b *sysvBacking) close() error         { return b.att.Detach() }

func (b *sysvBacking) info() (Info, error) {
	s, err := statSysV(b.att.ID())
	if err != nil {
		return Info{}, err
	}
	return sysvInfo(s), nil
}

// remove marks by identifier, which stays this segment's as long as it is
// attached.
func (b *sysvBacking) remove() error {
	if s, err := statSysV(b.att.ID()); err == nil && s.Removed() {
		return fmt.Errorf("%w: its key is free", ErrRemoved)
	}
	return sysv.Remove(b.att.ID())
}

// statSysV asks shmctl, and where that is refused, by the segment's mode or
// by a sandbox, reads /proc.
func statSysV(id sysv.ID) (sysv.Segment, error) {
	s, err := sysv.Stat(id)
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errors.ErrUnsupported) {
		return s, err
	}
	all, listErr := sysv.ReadProc("/proc")
	if listErr != nil {
		return s, err
	}
	i := slices.IndexFunc(all, func(s sysv.Segment) bool { return s.ID == id })
	if i < 0 {
		return s, err
	}
	return all[i], nil
}

// posixBacking is an open and mapped POSIX object.
type posixBacking struct {
	obj  *posix.Object
	m    *mapping.Mapping
	opts *posix.Options
}

func (b *posixBacking) size() (int64, error) {
	st, err := b.obj.Stat()
	return st.Size, err
}

func (b *posixBacking) truncatable() bool { return true }
func (b *posixBacking) full() bool        { return fullMount(b.obj.FD()) }

func (b *posixBacking) close() error { return errors.Join(b.m.Unmap(), b.obj.Close()) }

func (b *posixBacking) info() (Info, error) {
	st, err := b.obj.Stat()
	if err != nil {
		return Info{}, err
	}
	return posixInfo(st), nil
}

// remove unlinks the name if it still stands for this object. Between the
// look and the unlink somebody else could put another object there: nothing
// in the kernel unlinks by inode.
func (b *posixBacking) remove() error {
	mine, err := b.obj.Stat()
	if err != nil {
		return err
	}
	named, err := posix.Stat(b.obj.Name(), b.opts)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", ErrRemoved, fs.ErrNotExist)
		}
		return err
	}
	if named.Dev != mine.Dev || named.Inode != mine.Inode {
		return fmt.Errorf("%w: the name stands for another object now", ErrRemoved)
	}
	return posix.Unlink(b.obj.Name(), b.opts)
}

// fullMount reports whether the mount of a file has a limit and is at it.
func fullMount(fd int) bool {
	st, err := sys.Fstatfs(fd)
	return err == nil && st.Blocks != 0 && st.Free == 0
}

// memfdBacking is an open and mapped memfd.
type memfdBacking struct {
	file *memfd.File
	m    *mapping.Mapping
}

func (b *memfdBacking) size() (int64, error) {
	st, err := b.file.Stat()
	return st.Size, err
}

func (b *memfdBacking) truncatable() bool {
	seals, err := b.file.Seals()
	return err != nil || seals&memfd.F_SEAL_SHRINK == 0
}

// A memfd's mount has a limit only where huge pages have one.
func (b *memfdBacking) full() bool { return fullMount(b.file.FD()) }

func (b *memfdBacking) close() error { return errors.Join(b.m.Unmap(), b.file.Close()) }

func (b *memfdBacking) info() (Info, error) {
	st, err := b.file.Stat()
	if err != nil {
		return Info{}, err
	}
	return memfdInfo(st), nil
}

func (b *memfdBacking) remove() error { return nil }
