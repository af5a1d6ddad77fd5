package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
)

// openMount opens the directory that topics stand in.
func openMount(path string) (*sys.FD, error) {
	n, err := sys.Open(path, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sys.NewFD(n), nil
}

// openDir opens a topic's directory by its path.
func openDir(path string) (*sys.FD, sys.Stat, error) {
	n, err := sys.Open(path, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_NOFOLLOW|sys.O_NONBLOCK|sys.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
			err = corrupt("%s is not a directory", path)
		}
		return nil, sys.Stat{}, err
	}
	fd := sys.NewFD(n)
	st, err := fd.Stat()
	if err != nil {
		fd.Close()
		return nil, sys.Stat{}, err
	}
	return fd, st, nil
}

// named reports whether the entry of a directory, or the path where dir is
// AT_FDCWD, still stands for the file.
func named(dir int, name string, st *sys.Stat) (bool, error) {
	now, err := sys.LstatAt(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && now.Ino == st.Ino && now.Dev == st.Dev, err
}

// rules are what a file has to be before it is mapped.
type rules struct {
	dir *sys.Stat // of the directory
	uid int64     // the owner; -1: anybody but the overflow uid
	// links: it may have further names. Where the owner is given they mean
	// nothing, and where sysctl fs.protected_hardlinks is off, or for what
	// they may write, others can make them: that shall not keep anybody out.
	links   bool
	own     bool // nobody but the owner may write it
	minSize int64
}

// openChecked opens a file of a topic and holds it to the rules. The flags
// O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC are added.
func openChecked(dir int, name string, flags int, r rules) (*sys.FD, sys.Stat, error) {
	n, err := sys.Openat(dir, name, flags|sys.O_NOFOLLOW|sys.O_NONBLOCK|sys.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, sys.Stat{}, corrupt("%s is a symbolic link", name)
	case errors.Is(err, syscall.EISDIR):
		return nil, sys.Stat{}, corrupt("%s is a directory", name)
	case errors.Is(err, syscall.ENXIO):
		return nil, sys.Stat{}, corrupt("%s is a FIFO, a socket or a device", name)
	case err != nil:
		return nil, sys.Stat{}, fmt.Errorf("%s: %w", name, err)
	}
	fd := sys.NewFD(n)
	st, err := fd.Stat()
	if err == nil {
		err = r.check(name, &st)
	}
	if err != nil {
		fd.Close()
		return nil, st, err
	}
	return fd, st, nil
}

func (r *rules) check(name string, st *sys.Stat) error {
	switch {
	case !st.Regular():
		return corrupt("%s is a %s", name, st.TypeName())
	case st.Nlink == 0:
		return fmt.Errorf("%s: %w", name, syscall.ENOENT)
	case st.Nlink != 1 && !r.links:
		return corrupt("%s has %d names", name, st.Nlink)
	case st.Dev != r.dir.Dev:
		return corrupt("%s is on another file system than its directory", name)
	case r.uid >= 0 && int64(st.UID) != r.uid:
		return corrupt("%s belongs to uid %d, not to uid %d", name, st.UID, r.uid)
	case r.uid < 0 && st.UID == overflowUID() && st.UID != r.dir.UID:
		return corrupt("%s belongs to a user that this user namespace does not know", name)
	case r.own && st.Mode&0o022 != 0:
		return corrupt("%s may be written by others (mode %#o)", name, st.Mode&0o7777)
	case st.Size < r.minSize:
		return corrupt("%s has %d bytes, at least %d are needed", name, st.Size, r.minSize)
	}
	return nil
}

// overflowUID is the owner that stat(2) shows of files whose owner has no
// number in this user namespace (user_namespaces(7)).
var overflowUID = sync.OnceValue(func() uint32 {
	b, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if n, e := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil && e == nil {
		return uint32(n)
	}
	return 65534
})

// memory is a mapped file.
type memory struct {
	mapping *mapping.Mapping
	region  mem.Region
}

func mapFile(fd *sys.FD, size int64, write bool) (memory, error) {
	prot := mapping.PROT_READ
	if write {
		prot |= mapping.PROT_WRITE
	}
	m, err := mapping.Mmap(0, int(size), prot, mapping.MAP_SHARED, fd.Int(), 0)
	if err != nil {
		return memory{}, err
	}
	return memory{m, mem.Of(m.Bytes())}, nil
}

func (m *memory) unmap() error {
	if m.mapping == nil {
		return nil
	}
	m.region = mem.Region{}
	return m.mapping.Unmap()
}

// mapChecked maps a file of which openChecked has taken care and checks its
// header.
func mapChecked(fd *sys.FD, st *sys.Stat, kind uint32, size int64, write bool) (memory, *Header, []byte, error) {
	m, err := mapFile(fd, size, write)
	if err != nil {
		return memory{}, nil, nil, err
	}
	b, err := copyHeader(m.region)
	var h *Header
	if err == nil {
		h, err = DecodeHeader(b, kind, st.Size)
	}
	if err != nil {
		m.unmap()
		return memory{}, nil, nil, err
	}
	return m, h, b, nil
}
