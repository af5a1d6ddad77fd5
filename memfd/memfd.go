// Package memfd is memory without a name: memfd_create(2) and the seals of
// fcntl(2), and the way such memory is handed to another process, as a
// descriptor on a Unix socket.
//
// What seals promise holds for everyone who has the memory: with
// F_SEAL_SHRINK nobody can truncate it under a mapping, so it is the one
// kind of shared memory whose bytes are safe to touch whoever the peer is.
// It is gone when the last descriptor and mapping are gone, also when
// everybody was killed.
//
// # Guarantees
//
//   - Descriptors are close-on-exec from the start, and no finalizer closes
//     them.
//   - Receive hands out only what it has checked: that it is a memfd, its
//     size, its seals and its access mode. Whatever else arrives is closed.
//
// # Limits
//
// No mount bounds the size of memfds: only the memory cgroup does, by killing
// a process. CreateSized reserves, and package shm reads the cgroup's limit
// before that. A descriptor opened read-only protects nothing: whoever may
// open /proc/PID/fd/N, or owns the memory, can open it for writing again;
// only seals protect.
//
// All functions may be called concurrently.
package memfd

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Flags of Create. MFD_CLOEXEC is always added; File.Inherit takes it back.
const (
	MFD_CLOEXEC       = sys.MFD_CLOEXEC
	MFD_ALLOW_SEALING = sys.MFD_ALLOW_SEALING // seals can be added
	MFD_HUGETLB       = sys.MFD_HUGETLB       // huge pages, of the default size unless a size is given too
	MFD_NOEXEC_SEAL   = sys.MFD_NOEXEC_SEAL   // never executable, and sealed so; implies MFD_ALLOW_SEALING (Linux 6.3)
	MFD_EXEC          = sys.MFD_EXEC          // executable (Linux 6.3)
	MFD_HUGE_2MB      = 21 << sys.HUGE_SHIFT  // with MFD_HUGETLB: pages of 2 MiB
	MFD_HUGE_1GB      = 30 << sys.HUGE_SHIFT  // with MFD_HUGETLB: pages of 1 GiB
)

// NameMax is the longest name in bytes.
const NameMax = 249

// Options are wishes for CreateSized. A nil *Options means none.
type Options struct {
	// Seals are added when the memory has its size.
	Seals Seals

	// Huge is the size of the pages to use, in bytes: 0 for ordinary ones,
	// 1 for huge ones of the default size, else a power of two. The size of
	// the memory must be a multiple of it.
	Huge int64

	// Sparse sets the size without reserving the memory.
	Sparse bool
}

// Create is memfd_create(2): memory of size 0. The name is only for people
// who look into /proc; any number of memfds may have the same one.
func Create(name string, flags int) (*File, error) {
	fd, err := sys.MemfdCreate(name, flags|MFD_CLOEXEC)
	if err != nil {
		e := &sys.Error{Op: "memfd_create", Kind: "memfd", Name: strconv.Quote(name), Err: err}
		switch {
		case strings.ContainsRune(name, 0):
			e.Err = fmt.Errorf("the name contains a zero byte: %w", err)
		case errors.Is(err, syscall.EINVAL) && len(name) > NameMax:
			e.Err = fmt.Errorf("the name has %d bytes, %d are allowed: %w", len(name), NameMax, err)
		case errors.Is(err, syscall.EINVAL):
			e.Err = fmt.Errorf("flags %#x: %w", flags, err)
		case errors.Is(err, syscall.ENODEV):
			e.Err = fmt.Errorf("no huge pages of this size here: %w", err)
		case errors.Is(err, syscall.EMFILE):
			e.Hint = "too many open descriptors in this process (ulimit -n)"
		case errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
			e.Hint = "this kernel or sandbox has no memfd_create; a POSIX object with a random name serves instead"
		}
		return nil, e
	}
	return newFile(fd, name), nil
}

// CreateSized gives memory of size bytes, all zero and reserved (unless
// opts.Sparse), with opts.Seals on it. Sealing is allowed, executing is not
// where the kernel can forbid it.
func CreateSized(name string, size int64, opts *Options) (*File, error) {
	if opts == nil {
		opts = &Options{}
	}
	flags := 0
	switch {
	case opts.Huge < 0 || opts.Huge&(opts.Huge-1) != 0:
		return nil, &sys.Error{Op: "memfd_create", Kind: "memfd", Name: strconv.Quote(name), Err: fmt.Errorf("%d is no page size: it must be a power of two: %w", opts.Huge, syscall.EINVAL)}
	case opts.Huge == 1:
		flags = MFD_HUGETLB
	case opts.Huge > 1:
		flags = MFD_HUGETLB | bits.TrailingZeros64(uint64(opts.Huge))<<sys.HUGE_SHIFT
	}
	f, err := Create(name, flags|MFD_NOEXEC_SEAL)
	if errors.Is(err, syscall.EINVAL) {
		// Before Linux 6.3 there was no such flag.
		f, err = Create(name, flags|MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	if err := f.init(size, opts); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) init(size int64, opts *Options) error {
	if size < 0 {
		return f.wrap("create", fmt.Errorf("%d is no size: %w", size, syscall.EINVAL))
	}
	if size > 0 && (opts.Sparse || opts.Huge != 0) {
		// For huge pages it is only this call that refuses a size which is no
		// multiple of theirs; what fallocate makes of it has a last page that
		// cannot be touched.
		err := f.Truncate(size)
		if opts.Huge != 0 && errors.Is(err, syscall.EINVAL) {
			return f.wrap("create", fmt.Errorf("%d bytes are no multiple of the huge page size: %w", size, syscall.EINVAL))
		}
		if err != nil {
			return err
		}
	}
	if size > 0 && !opts.Sparse {
		if err := f.Reserve(0, size); err != nil {
			return err
		}
	}
	if opts.Seals == 0 {
		return nil
	}
	return f.AddSeals(opts.Seals)
}

// OpenProc opens the memfd that is descriptor fd of process pid, through
// /proc. It needs the right to trace the process: one's own user's, or
// root's. flags is os.O_RDONLY or os.O_RDWR.
func OpenProc(pid, fd int, flags int) (*File, error) {
	return openProc(strconv.Itoa(pid), fd, fmt.Sprintf("memfd:%d/%d", pid, fd), flags)
}

// openProc opens descriptor fd of a process: a pid, or "self", which is right
// also where /proc counts processes differently (pid namespaces).
func openProc(pid string, fd int, addr string, flags int) (*File, error) {
	fail := func(err error, hint string) (*File, error) {
		return nil, &sys.Error{Op: "open", Kind: "memfd", Name: addr, Err: err, Hint: hint}
	}
	if flags != sys.O_RDONLY && flags != sys.O_RDWR {
		return fail(fmt.Errorf("flags %#x: only O_RDONLY and O_RDWR mean something: %w", flags, syscall.EINVAL), "")
	}
	path := fmt.Sprintf("/proc/%s/fd/%d", pid, fd)
	// The link is looked at first: opening what it stands for may have
	// effects, where that is a device or a FIFO.
	link, err := os.Readlink(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		switch {
		case errors.Is(err, fs.ErrPermission):
			return fail(err, "only the process' own user and root may look into it")
		case errors.Is(err, fs.ErrNotExist):
			if _, e := os.Stat("/proc/" + pid); e != nil {
				return fail(fmt.Errorf("there is no process %s: %w", pid, err), "")
			}
			return fail(fmt.Errorf("process %s has no descriptor %d: %w", pid, fd, err), "")
		}
		return fail(err, "")
	}
	if !isLink(link) {
		return fail(fmt.Errorf("descriptor %d of process %s is %q, not a memfd: %w", fd, pid, link, sys.ErrType), "")
	}
	n, err := sys.Open(path, flags|sys.O_CLOEXEC|sys.O_NONBLOCK, 0)
	if err != nil {
		return fail(err, "only the process' own user and root may open it")
	}
	f, err := Adopt(n)
	if err != nil {
		sys.Close(n)
		return fail(errors.Unwrap(err), "")
	}
	return f, nil
}

// Adopt makes a File of a descriptor and owns it from then on. It fails, and
// leaves the descriptor alone, when that is not a memfd.
func Adopt(fd int) (*File, error) {
	fail := func(err error) (*File, error) {
		return nil, &sys.Error{Op: "adopt", Kind: "memfd", Name: fmt.Sprintf("descriptor %d", fd), Err: err}
	}
	st, err := sys.Fstat(fd)
	if err != nil {
		return fail(err)
	}
	if !st.Regular() {
		return fail(fmt.Errorf("it is a %s, not a memfd: %w", st.TypeName(), sys.ErrType))
	}
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return fail(err)
	}
	if st.Nlink != 0 || !isLink(link) {
		return fail(fmt.Errorf("it is %q, not a memfd: %w", link, sys.ErrType))
	}
	seals, err := sys.Fcntl(fd, sys.F_GET_SEALS, 0)
	if err != nil {
		return fail(fmt.Errorf("it is %q, but its seals cannot be read (O_PATH?): %w: %w", link, err, sys.ErrType))
	}
	// Whoever can mount a tmpfs can unlink a file there whose path reads like
	// a memfd's. Such a file has no seal but F_SEAL_SEAL, and it is not on
	// the mount of the kernel's own where memfds are. (Nobody but root mounts
	// a hugetlbfs.)
	if seals == sys.F_SEAL_SEAL {
		fs, err := sys.Fstatfs(fd)
		if err != nil {
			return fail(err)
		}
		dev, err := memfdDev()
		if err != nil {
			return fail(fmt.Errorf("the device of memfds cannot be found out: %w", err))
		}
		if st.Dev != dev && uint64(uint32(fs.Type)) != sys.HUGETLBFS_MAGIC {
			return fail(fmt.Errorf("it is %q of some tmpfs, not a memfd: %w", link, sys.ErrType))
		}
	}
	return newFile(fd, strings.TrimSuffix(strings.TrimPrefix(link, "/memfd:"), " (deleted)")), nil
}

func isLink(s string) bool {
	return strings.HasPrefix(s, "/memfd:") && strings.HasSuffix(s, " (deleted)")
}

var knownDev atomic.Uint64 // 0: not known yet

// memfdDev is the device number of all memfds of ordinary pages.
func memfdDev() (uint64, error) {
	if dev := knownDev.Load(); dev != 0 {
		return dev, nil
	}
	fd, err := sys.MemfdCreate("", MFD_CLOEXEC|MFD_NOEXEC_SEAL)
	if errors.Is(err, syscall.EINVAL) {
		fd, err = sys.MemfdCreate("", MFD_CLOEXEC)
	}
	if err != nil {
		return 0, err
	}
	defer sys.Close(fd)
	st, err := sys.Fstat(fd)
	if err != nil {
		return 0, err
	}
	knownDev.Store(st.Dev)
	return st.Dev, nil
}
