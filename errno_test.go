//go:build linux

package shm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// place is where an errno is provoked: this process or a child.
type place struct {
	check func(error)
	arg   string // what the row's setting up gave
}

// errnoRow provokes one errno of one call.
type errnoRow struct {
	call  string
	errno syscall.Errno
	cause string
	f     func(x place) error

	up    func(t *testing.T) string // done in the test's process before
	child *shmtest.Command          // if not nil, f runs in such a child

	native bool // the emulator answers otherwise than the kernel
}

// Where f runs.
var (
	asNobody = &shmtest.Command{User: nobody}
	alone    = &shmtest.Command{}
	ownIPC   = &shmtest.Command{OwnIPC: true}
)

func nobodyWithLocked(bytes uint64) *shmtest.Command {
	return &shmtest.Command{User: nobody, Rlimits: []shmtest.Rlimit{{Resource: unix.RLIMIT_MEMLOCK, Cur: bytes, Max: bytes}}}
}

// Ways to something that is in the way.

func segmentOf(mode int) func(t *testing.T) string {
	return func(t *testing.T) string {
		s := create(t, newAddress(t, "sysv"), 100, &shm.Options{Mode: fs.FileMode(mode)})
		i, err := s.Info()
		want(t, err)
		return fmt.Sprintf("%d %d", i.SysV.Key, i.SysV.ID)
	}
}

func (x place) segment() (sysv.Key, sysv.ID) {
	var key, id int
	_, err := fmt.Sscan(x.arg, &key, &id)
	x.check(err)
	return sysv.Key(key), sysv.ID(id)
}

func objectOf(mode fs.FileMode) func(t *testing.T) string {
	return func(t *testing.T) string {
		s := create(t, newAddress(t, "posix"), 100, &shm.Options{Mode: mode})
		want(t, os.Chmod(shmtest.ShmMount+strings.TrimPrefix(s.Address(), "posix:"), mode))
		return strings.TrimPrefix(s.Address(), "posix:/")
	}
}

func fileIn(make func(path string) error) func(t *testing.T) string {
	return func(t *testing.T) string {
		path := filepath.Join(shmtest.Dir(t), "x")
		want(t, make(path))
		return path
	}
}

// private runs f with a segment of its own.
func (x place) private(size int64, flags int, f func(sysv.ID) error) error {
	id, err := sysv.Get(sysv.IPC_PRIVATE, size, flags|0o600)
	x.check(err)
	defer sysv.Remove(id)
	return f(id)
}

// memfd runs f with a memfd of two pages.
func (x place) memfd(seals memfd.Seals, f func(*memfd.File) error) error {
	m, err := memfd.CreateSized("x", 8192, &memfd.Options{Seals: seals})
	x.check(err)
	defer m.Close()
	return f(m)
}

// little leaves the process 64 MiB of address space.
func (x place) little() {
	b, err := os.ReadFile("/proc/self/statm")
	x.check(err)
	pages, err := strconv.ParseUint(strings.Fields(string(b))[0], 10, 64)
	x.check(err)
	limit := pages*uint64(os.Getpagesize()) + 64<<20
	x.check(syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}))
}

// until repeats f until it fails.
func until(f func() error) error {
	for range 1 << 20 {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// mmap is mapping.Mmap that keeps nothing.
func mmap(addr uintptr, length, prot, flags, fd int, offset int64) error {
	m, err := mapping.Mmap(addr, length, prot, flags, fd, offset)
	if err == nil {
		m.Unmap()
	}
	return err
}

const (
	rw      = mapping.PROT_READ | mapping.PROT_WRITE
	anon    = mapping.MAP_PRIVATE | mapping.MAP_ANONYMOUS
	noHuge  = "vm.nr_hugepages"
	noHuge2 = "vm.nr_overcommit_hugepages"
)

func withoutHugePages(t *testing.T) string {
	shmtest.Sysctl(t, noHuge, "0")
	shmtest.Sysctl(t, noHuge2, "0")
	return ""
}

var fewFiles = &shmtest.Command{Rlimits: []shmtest.Rlimit{{Resource: syscall.RLIMIT_NOFILE, Cur: 40, Max: 40}}}

var errnoRows = []errnoRow{
	{call: "shmget", errno: syscall.EACCES, cause: "a permission that the mode lacks", up: segmentOf(0o600), child: asNobody, f: func(x place) error {
		key, _ := x.segment()
		_, err := sysv.Get(key, 0, 0o400)
		return err
	}},
	{call: "shmget", errno: syscall.EEXIST, cause: "the key exists", up: segmentOf(0o600), f: func(x place) error {
		key, _ := x.segment()
		_, err := sysv.Get(key, 100, sysv.IPC_CREAT|sysv.IPC_EXCL|0o600)
		return err
	}},
	{call: "shmget", errno: syscall.EINVAL, cause: "size 0", f: func(x place) error {
		_, err := sysv.Get(sysv.IPC_PRIVATE, 0, 0o600)
		return err
	}},
	{call: "shmget", errno: syscall.EINVAL, cause: "more than SHMMAX", f: func(x place) error {
		_, err := sysv.Get(sysv.IPC_PRIVATE, -1, 0o600)
		return err
	}},
	{call: "shmget", errno: syscall.EINVAL, cause: "more than the segment has", up: segmentOf(0o600), f: func(x place) error {
		key, _ := x.segment()
		_, err := sysv.Get(key, 101, 0)
		return err
	}},
	{call: "shmget", errno: syscall.ENOENT, cause: "no such key", up: func(t *testing.T) string { return fmt.Sprint(shmtest.Key(t), 0) }, f: func(x place) error {
		key, _ := x.segment()
		_, err := sysv.Get(key, 0, 0)
		return err
	}},
	{call: "shmget", errno: syscall.ENOMEM, cause: "no huge pages", up: withoutHugePages, f: func(x place) error {
		_, err := sysv.Get(sysv.IPC_PRIVATE, 2<<20, sysv.SHM_HUGETLB|0o600)
		return err
	}},
	{call: "shmget", errno: syscall.ENOSPC, cause: "SHMMNI", child: ownIPC, f: func(x place) error {
		x.check(os.WriteFile("/proc/sys/kernel/shmmni", []byte("1"), 0))
		return x.private(1, 0, func(sysv.ID) error {
			_, err := sysv.Get(sysv.IPC_PRIVATE, 1, 0o600)
			return err
		})
	}},
	{call: "shmget", errno: syscall.ENOSPC, cause: "SHMALL", child: ownIPC, f: func(x place) error {
		x.check(os.WriteFile("/proc/sys/kernel/shmall", []byte("1"), 0))
		_, err := sysv.Get(sysv.IPC_PRIVATE, 2*int64(os.Getpagesize()), 0o600)
		return err
	}},
	{call: "shmget", errno: syscall.EPERM, cause: "huge pages without CAP_IPC_LOCK", child: nobodyWithLocked(0), f: func(x place) error {
		_, err := sysv.Get(sysv.IPC_PRIVATE, 2<<20, sysv.SHM_HUGETLB|0o600)
		return err
	}},

	{call: "shmat", errno: syscall.EACCES, cause: "no right to read", up: segmentOf(0o600), child: asNobody, f: func(x place) error {
		_, id := x.segment()
		_, err := sysv.Attach(id, 0, sysv.SHM_RDONLY)
		return err
	}},
	{call: "shmat", errno: syscall.EACCES, cause: "no right to write", up: segmentOf(0o644), child: asNobody, f: func(x place) error {
		_, id := x.segment()
		_, err := sysv.Attach(id, 0, 0)
		return err
	}},
	{call: "shmat", errno: syscall.EINVAL, cause: "no such id", f: func(x place) error {
		_, err := sysv.Attach(math.MaxInt32, 0, 0)
		return err
	}},
	{call: "shmat", errno: syscall.EINVAL, cause: "unaligned", f: func(x place) error {
		return x.private(1, 0, func(id sysv.ID) error { _, err := sysv.Attach(id, 0x7000_0000_0001, 0); return err })
	}},
	{call: "shmat", errno: syscall.EINVAL, cause: "range taken", f: func(x place) error {
		return x.private(1, 0, func(id sysv.ID) error {
			a, err := sysv.Attach(id, 0, 0)
			x.check(err)
			defer a.Detach()
			_, err = sysv.Attach(id, a.Addr(), 0)
			return err
		})
	}},
	{call: "shmat", errno: syscall.EINVAL, cause: "SHM_REMAP without address", native: true, f: func(x place) error {
		return x.private(1, 0, func(id sysv.ID) error { _, err := sysv.Attach(id, 0, sysv.SHM_REMAP); return err })
	}},
	{call: "shmat", errno: syscall.ENOMEM, cause: "RLIMIT_AS", native: true, child: alone, f: func(x place) error {
		return x.private(1<<30, sysv.SHM_NORESERVE, func(id sysv.ID) error {
			x.little()
			_, err := sysv.Attach(id, 0, 0)
			return err
		})
	}},

	{call: "shmdt", errno: syscall.EINVAL, cause: "nothing there", f: func(x place) error { return sysv.Detach(uintptr(os.Getpagesize())) }},
	{call: "shmdt", errno: syscall.EINVAL, cause: "unaligned", f: func(x place) error {
		return x.private(1, 0, func(id sysv.ID) error {
			a, err := sysv.Attach(id, 0, 0)
			x.check(err)
			defer a.Detach()
			return sysv.Detach(a.Addr() + 1)
		})
	}},

	{call: "shmctl", errno: syscall.EACCES, cause: "IPC_STAT without right to read", up: segmentOf(0o600), child: asNobody, f: func(x place) error {
		_, id := x.segment()
		_, err := sysv.Stat(id)
		return err
	}},
	{call: "shmctl", errno: syscall.EFAULT, cause: "IPC_STAT without buffer", f: func(x place) error {
		return x.private(1, 0, func(id sysv.ID) error { return sysv.Ctl(id, 2) })
	}},
	{call: "shmctl", errno: syscall.EINVAL, cause: "no such id", f: func(x place) error { _, err := sysv.Stat(math.MaxInt32); return err }},
	{call: "shmctl", errno: syscall.EINVAL, cause: "no such command", f: func(x place) error {
		return x.private(1, 0, func(id sysv.ID) error { return sysv.Ctl(id, 99) })
	}},
	{call: "shmctl", errno: syscall.EINVAL, cause: "free slot", child: ownIPC, f: func(x place) error { _, err := sysv.StatIndex(7); return err }},
	{call: "shmctl", errno: syscall.ENOMEM, cause: "SHM_LOCK beyond RLIMIT_MEMLOCK", child: nobodyWithLocked(4096), f: func(x place) error {
		return x.private(1<<20, 0, sysv.Lock)
	}},
	{call: "shmctl", errno: syscall.EPERM, cause: "SHM_LOCK with RLIMIT_MEMLOCK 0", child: nobodyWithLocked(0), f: func(x place) error {
		return x.private(1, 0, sysv.Lock)
	}},
	{call: "shmctl", errno: syscall.EPERM, cause: "IPC_RMID of another's", up: segmentOf(0o666), child: asNobody, f: func(x place) error {
		_, id := x.segment()
		return sysv.Remove(id)
	}},
	{call: "shmctl", errno: syscall.EPERM, cause: "IPC_SET of another's", up: segmentOf(0o666), child: asNobody, f: func(x place) error {
		_, id := x.segment()
		return sysv.Set(id, 65534, 65534, 0o777)
	}},

	{call: "ftok", errno: syscall.ENOENT, cause: "no file", f: func(x place) error { _, err := sysv.Ftok("/no/such/file", 1); return err }},
	{call: "ftok", errno: syscall.ENOTDIR, cause: "a file on the way", f: func(x place) error { _, err := sysv.Ftok("/dev/null/file", 1); return err }},
	{call: "ftok", errno: syscall.EACCES, cause: "a closed directory on the way", up: func(t *testing.T) string {
		dir := shmtest.Dir(t)
		want(t, os.Chmod(dir, 0o700))
		return dir + "/x"
	}, child: asNobody, f: func(x place) error { _, err := sysv.Ftok(x.arg, 1); return err }},
	{call: "ftok", errno: syscall.ELOOP, cause: "links in a circle", up: fileIn(func(p string) error { return os.Symlink(p, p) }), f: func(x place) error {
		_, err := sysv.Ftok(x.arg, 1)
		return err
	}},
	{call: "ftok", errno: syscall.ENAMETOOLONG, cause: "a long name", f: func(x place) error {
		_, err := sysv.Ftok("/tmp/"+strings.Repeat("n", 256), 1)
		return err
	}},

	{call: "shm_open", errno: syscall.EACCES, cause: "the mode", up: objectOf(0o600), child: asNobody, f: func(x place) error {
		_, err := posix.Open(x.arg, posix.O_RDONLY, 0, nil)
		return err
	}},
	{call: "shm_open", errno: syscall.EACCES, cause: "O_TRUNC without right to write", up: objectOf(0o644), child: asNobody, f: func(x place) error {
		_, err := posix.Open(x.arg, posix.O_RDONLY|posix.O_TRUNC, 0, nil)
		return err
	}},
	{call: "shm_open", errno: syscall.EEXIST, cause: "O_EXCL", up: objectOf(0o600), f: func(x place) error {
		_, err := posix.Open(x.arg, posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600, nil)
		return err
	}},
	{call: "shm_open", errno: syscall.EINVAL, cause: "no name", f: func(x place) error { _, err := posix.Open("", posix.O_RDWR, 0, nil); return err }},
	{call: "shm_open", errno: syscall.EINVAL, cause: "a slash", f: func(x place) error { _, err := posix.Open("/", posix.O_RDWR, 0, nil); return err }},
	{call: "shm_open", errno: syscall.EINVAL, cause: "a slash inside", f: func(x place) error { _, err := posix.Open("/a/b", posix.O_RDWR, 0, nil); return err }},
	{call: "shm_open", errno: syscall.EINVAL, cause: "a directory", up: fileIn(func(p string) error { return os.Mkdir(p, 0o700) }), f: func(x place) error {
		_, err := posix.Open("x", posix.O_RDWR, 0, &posix.Options{Dir: filepath.Dir(x.arg)})
		return err
	}},
	{call: "shm_open", errno: syscall.ELOOP, cause: "a symbolic link", up: fileIn(func(p string) error { return os.Symlink("y", p) }), f: func(x place) error {
		_, err := posix.Open("x", posix.O_RDWR, 0, &posix.Options{Dir: filepath.Dir(x.arg)})
		return err
	}},
	{call: "shm_open", errno: syscall.EMFILE, cause: "RLIMIT_NOFILE", up: objectOf(0o600), child: fewFiles, f: func(x place) error {
		return until(func() error { _, err := posix.Open(x.arg, posix.O_RDWR, 0, nil); return err })
	}},
	{call: "shm_open", errno: syscall.ENAMETOOLONG, cause: "256 bytes", f: func(x place) error {
		_, err := posix.Open(strings.Repeat("n", 256), posix.O_RDWR, 0, nil)
		return err
	}},
	{call: "shm_open", errno: syscall.ENOENT, cause: "absent", f: func(x place) error { _, err := posix.Open("no-such-object", posix.O_RDWR, 0, nil); return err }},
	{call: "shm_open", errno: syscall.ENOENT, cause: "no directory", f: func(x place) error {
		_, err := posix.Open("x", posix.O_RDWR|posix.O_CREAT, 0o600, &posix.Options{Dir: "/no/such/dir"})
		return err
	}},

	{call: "shm_unlink", errno: syscall.EACCES, cause: "another's in a sticky directory", up: objectOf(0o666), child: asNobody, f: func(x place) error {
		return posix.Unlink(x.arg, nil)
	}},
	{call: "shm_unlink", errno: syscall.ENOENT, cause: "absent", f: func(x place) error { return posix.Unlink("no-such-object", nil) }},
	{call: "shm_unlink", errno: syscall.ENOENT, cause: "no name", f: func(x place) error { return posix.Unlink("/", nil) }},

	{call: "ftruncate", errno: syscall.EFBIG, cause: "RLIMIT_FSIZE", child: &shmtest.Command{
		Rlimits: []shmtest.Rlimit{{Resource: syscall.RLIMIT_FSIZE, Cur: 100, Max: 100}},
	}, f: func(x place) error {
		m, err := memfd.Create("x", 0)
		x.check(err)
		return m.Truncate(101)
	}},
	{call: "ftruncate", errno: syscall.EINVAL, cause: "negative", f: func(x place) error {
		return x.memfd(0, func(m *memfd.File) error { return m.Truncate(-1) })
	}},
	{call: "ftruncate", errno: syscall.EINVAL, cause: "not open for writing", up: objectOf(0o600), f: func(x place) error {
		o, err := posix.Open(x.arg, posix.O_RDONLY, 0, nil)
		x.check(err)
		defer o.Close()
		return o.Truncate(1)
	}},
	{call: "ftruncate", errno: syscall.EPERM, cause: "F_SEAL_SHRINK", f: func(x place) error {
		return x.memfd(memfd.F_SEAL_SHRINK, func(m *memfd.File) error { return m.Truncate(1) })
	}},
	{call: "ftruncate", errno: syscall.EPERM, cause: "F_SEAL_GROW", f: func(x place) error {
		return x.memfd(memfd.F_SEAL_GROW, func(m *memfd.File) error { return m.Truncate(1 << 20) })
	}},

	{call: "mmap", errno: syscall.EACCES, cause: "a descriptor that cannot be read", up: objectOf(0o600), f: func(x place) error {
		o, err := posix.Open(x.arg, 1, 0, nil) // O_WRONLY
		x.check(err)
		defer o.Close()
		return mmap(0, 100, mapping.PROT_WRITE, mapping.MAP_SHARED, o.FD(), 0)
	}},
	{call: "mmap", errno: syscall.EACCES, cause: "a descriptor that cannot be written", up: objectOf(0o600), f: func(x place) error {
		o, err := posix.Open(x.arg, posix.O_RDONLY, 0, nil)
		x.check(err)
		defer o.Close()
		return mmap(0, 100, rw, mapping.MAP_SHARED, o.FD(), 0)
	}},
	{call: "mmap", errno: syscall.EAGAIN, cause: "MAP_LOCKED beyond RLIMIT_MEMLOCK", child: nobodyWithLocked(4096), f: func(x place) error {
		return mmap(0, 1<<20, rw, anon|mapping.MAP_LOCKED, -1, 0)
	}},
	{call: "mmap", errno: syscall.EBADF, cause: "no descriptor", f: func(x place) error { return mmap(0, 100, rw, mapping.MAP_SHARED, -1, 0) }},
	{call: "mmap", errno: syscall.EBADF, cause: "O_PATH", f: func(x place) error {
		fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
		x.check(err)
		defer unix.Close(fd)
		return mmap(0, 100, mapping.PROT_READ, mapping.MAP_SHARED, fd, 0)
	}},
	{call: "mmap", errno: syscall.EEXIST, cause: "MAP_FIXED_NOREPLACE", native: true, f: func(x place) error {
		m, err := mapping.PrivateAnonymous(100, rw, nil)
		x.check(err)
		defer m.Unmap()
		return mmap(m.Addr(), 100, rw, anon|mapping.MAP_FIXED_NOREPLACE, -1, 0)
	}},
	{call: "mmap", errno: syscall.EINVAL, cause: "length 0", f: func(x place) error { return mmap(0, 0, rw, anon, -1, 0) }},
	{call: "mmap", errno: syscall.EINVAL, cause: "no type", f: func(x place) error { return mmap(0, 100, rw, mapping.MAP_ANONYMOUS, -1, 0) }},
	{call: "mmap", errno: syscall.EINVAL, cause: "unaligned offset", f: func(x place) error {
		return x.memfd(0, func(m *memfd.File) error { return mmap(0, 100, rw, mapping.MAP_SHARED, m.FD(), 1) })
	}},
	{call: "mmap", errno: syscall.EINVAL, cause: "unaligned address", native: true, f: func(x place) error {
		return mmap(0x7000_0000_0001, 100, rw, anon|mapping.MAP_FIXED_NOREPLACE, -1, 0)
	}},
	{call: "mmap", errno: syscall.EINVAL, cause: "no such huge size", f: func(x place) error {
		return mmap(0, 4096, rw, anon|mapping.MAP_HUGETLB|13<<26, -1, 0)
	}},
	{call: "mmap", errno: syscall.ENODEV, cause: "a directory", f: func(x place) error {
		f, err := os.Open("/")
		x.check(err)
		defer f.Close()
		return mmap(0, 100, mapping.PROT_READ, mapping.MAP_SHARED, int(f.Fd()), 0)
	}},
	{call: "mmap", errno: syscall.ENOMEM, cause: "RLIMIT_AS", native: true, child: alone, f: func(x place) error {
		x.little()
		return mmap(0, 1<<30, rw, anon|mapping.MAP_NORESERVE, -1, 0)
	}},
	{call: "mmap", errno: syscall.ENOMEM, cause: "no huge pages", native: true, up: withoutHugePages, f: func(x place) error {
		return mmap(0, 2<<20, rw, anon|mapping.MAP_HUGETLB, -1, 0)
	}},
	{call: "mmap", errno: syscall.EOPNOTSUPP, cause: "MAP_SYNC without such memory", native: true, f: func(x place) error {
		return x.memfd(0, func(m *memfd.File) error {
			return mmap(0, 100, rw, mapping.MAP_SHARED_VALIDATE|mapping.MAP_SYNC, m.FD(), 0)
		})
	}},
	{call: "mmap", errno: syscall.EPERM, cause: "a write seal", f: func(x place) error {
		return x.memfd(memfd.F_SEAL_WRITE, func(m *memfd.File) error { return mmap(0, 100, rw, mapping.MAP_SHARED, m.FD(), 0) })
	}},
	{call: "mmap", errno: syscall.EPERM, cause: "PROT_EXEC on a noexec mount", native: true, child: &shmtest.Command{OwnShm: true}, f: func(x place) error {
		x.check(syscall.Mount("none", shmtest.ShmMount, "", syscall.MS_REMOUNT|syscall.MS_NOEXEC, ""))
		o, err := posix.CreateSized("x", 4096, 0o700, nil)
		x.check(err)
		return mmap(0, 4096, mapping.PROT_READ|mapping.PROT_EXEC, mapping.MAP_SHARED, o.FD(), 0)
	}},

	{call: "munmap", errno: syscall.EINVAL, cause: "unaligned", f: func(x place) error {
		m, err := mapping.PrivateAnonymous(8192, rw, nil)
		x.check(err)
		defer m.Unmap()
		return m.UnmapRange(1, 4096)
	}},
	{call: "munmap", errno: syscall.EINVAL, cause: "length 0", f: func(x place) error {
		m, err := mapping.PrivateAnonymous(8192, rw, nil)
		x.check(err)
		defer m.Unmap()
		return m.UnmapRange(0, 0)
	}},
	{call: "munmap", errno: syscall.ENOMEM, cause: "vm.max_map_count", native: true, child: alone, f: func(x place) error {
		// Every other page goes, so that each leaves one range more. Fewer
		// calls of ours follow when most of them are made beforehand.
		page := os.Getpagesize()
		b, err := os.ReadFile("/proc/sys/vm/max_map_count")
		x.check(err)
		limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
		x.check(err)
		m, err := mapping.PrivateAnonymous((2*limit+2)*page, mapping.PROT_NONE, &mapping.Options{NoReserve: true})
		x.check(err)
		for i := range limit - 500 {
			// Behind the mapping's back, for it remembers each.
			_, _, e := unix.RawSyscall(unix.SYS_MUNMAP, m.Addr()+uintptr((2*i+1)*page), uintptr(page), 0)
			if e != 0 {
				return fmt.Errorf("after %d: %w", i, e)
			}
		}
		i := limit - 500
		return until(func() error { i++; return m.UnmapRange((2*i+1)*page, page) })
	}},

	{call: "memfd_create", errno: syscall.EINVAL, cause: "unknown flag", f: func(x place) error { _, err := memfd.Create("x", 1<<20); return err }},
	{call: "memfd_create", errno: syscall.EINVAL, cause: "a name of 250 bytes", f: func(x place) error {
		_, err := memfd.Create(strings.Repeat("n", 250), 0)
		return err
	}},
	{call: "memfd_create", errno: syscall.EINVAL, cause: "both exec flags", f: func(x place) error {
		_, err := memfd.Create("x", memfd.MFD_EXEC|memfd.MFD_NOEXEC_SEAL)
		return err
	}},
	{call: "memfd_create", errno: syscall.EMFILE, cause: "RLIMIT_NOFILE", child: fewFiles, f: func(x place) error {
		return until(func() error { _, err := memfd.Create("x", 0); return err })
	}},

	{call: "F_ADD_SEALS", errno: syscall.EBUSY, cause: "a writable mapping", f: func(x place) error {
		return x.memfd(0, func(m *memfd.File) error {
			p, err := mapping.SharedFile(m.FD(), 0, 4096, rw, nil)
			x.check(err)
			defer p.Unmap()
			return m.AddSeals(memfd.F_SEAL_WRITE)
		})
	}},
	{call: "F_ADD_SEALS", errno: syscall.EINVAL, cause: "unknown bit", f: func(x place) error {
		return x.memfd(0, func(m *memfd.File) error { return m.AddSeals(1 << 20) })
	}},
	{call: "F_ADD_SEALS", errno: syscall.EPERM, cause: "F_SEAL_SEAL", f: func(x place) error {
		return x.memfd(memfd.F_SEAL_SEAL, func(m *memfd.File) error { return m.AddSeals(memfd.F_SEAL_GROW) })
	}},
	{call: "F_ADD_SEALS", errno: syscall.EPERM, cause: "not open for writing", f: func(x place) error {
		return x.memfd(0, func(m *memfd.File) error {
			r, err := m.Reopen(os.O_RDONLY)
			x.check(err)
			defer r.Close()
			return r.AddSeals(memfd.F_SEAL_GROW)
		})
	}},
}

// judge says what is wrong with the error of a row.
func (row errnoRow) judge(err error) string {
	if why := unwanted(err, row.errno); why != "" {
		return why
	}
	for errno, target := range map[syscall.Errno]error{
		syscall.ENOENT: fs.ErrNotExist, syscall.EEXIST: fs.ErrExist, syscall.EACCES: fs.ErrPermission, syscall.EPERM: fs.ErrPermission,
		syscall.ENOSPC: shm.ErrNoSpace, syscall.EBUSY: shm.ErrBusy,
	} {
		// An identifier that nobody has is EINVAL, and fs.ErrNotExist too.
		known := target == fs.ErrPermission || target == fs.ErrNotExist && row.errno == syscall.EINVAL
		if is := errors.Is(err, target); is != (row.errno == errno) && !known {
			return fmt.Sprintf("%v: is %v: %v", err, target, is)
		}
	}
	return ""
}

// TestErrno provokes every errno of every call that can be provoked, and
// finds it with errors.Is in an error that names the object. The other ones:
// EIDRM needs a segment that goes while shmat looks at it, ENFILE a machine
// without descriptors, memfd_create's EFAULT and ftruncate's EBADF arguments
// that these packages never pass, its ENOMEM a kernel without memory; see
// TestErrnoKinds.
func TestErrno(t *testing.T) {
	for i, row := range errnoRows {
		t.Run(fmt.Sprintf("%s %s %s", row.call, unix.ErrnoName(row.errno), row.cause), func(t *testing.T) {
			if row.native && emulated() {
				t.Skip("needs the kernel's own answer: the emulator gives another")
			}
			arg := ""
			if row.up != nil {
				arg = row.up(t)
			}
			if row.child == nil {
				err := row.f(place{check: func(err error) { t.Helper(); want(t, err) }, arg: arg})
				if why := row.judge(err); why != "" {
					t.Error(why)
				}
				return
			}
			command := *row.child
			command.Handler, command.Args = "errno", []string{strconv.Itoa(i), arg}
			p := command.Start(t)
			p.Expect("as it should")
			p.Wait()
		})
	}
}

func init() {
	shmtest.Handle("errno", func(c *shmtest.Child) {
		// Some limits are meant for the call alone, not for new threads.
		runtime.LockOSThread()
		i, err := strconv.Atoi(c.Args[0])
		c.Check(err)
		row := errnoRows[i]
		if why := row.judge(row.f(place{check: c.Check, arg: c.Args[1]})); why != "" {
			c.Fatal(why)
		}
		c.Send("as it should")
	})
}

// TestErrnoKinds: what callers branch on is found whichever errno it was.
func TestErrnoKinds(t *testing.T) {
	for _, tt := range []struct {
		errno  syscall.Errno
		target error
	}{
		{unix.EIDRM, fs.ErrNotExist}, {syscall.ENOENT, fs.ErrNotExist}, {syscall.EEXIST, fs.ErrExist},
		{syscall.EACCES, fs.ErrPermission}, {syscall.EPERM, fs.ErrPermission},
		{syscall.ETIMEDOUT, os.ErrDeadlineExceeded}, {syscall.ENOSPC, shm.ErrNoSpace}, {syscall.EBUSY, shm.ErrBusy},
		{syscall.ENOSYS, errors.ErrUnsupported}, {syscall.EOPNOTSUPP, errors.ErrUnsupported},
		{syscall.ENFILE, syscall.ENFILE}, {syscall.EFAULT, syscall.EFAULT}, {syscall.ENOMEM, syscall.ENOMEM}, {syscall.EBADF, syscall.EBADF},
	} {
		for _, err := range []error{
			&shm.Error{Op: "x", Name: "y", Err: tt.errno},
			fmt.Errorf("outside: %w", &shm.Error{Op: "x", Name: "y", Err: fmt.Errorf("inside: %w", tt.errno)}),
		} {
			if !errors.Is(err, tt.target) || !errors.Is(err, tt.errno) {
				t.Errorf("%v is not %v", err, tt.target)
			}
			if errors.Is(err, fs.ErrClosed) || tt.target != fs.ErrNotExist && errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v is too much", err)
			}
		}
	}
}
