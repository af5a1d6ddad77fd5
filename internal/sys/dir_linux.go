//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/point"
)

// AT_FDCWD stands for the working directory where a directory's descriptor
// is asked for.
const AT_FDCWD = unix.AT_FDCWD

// Openat is openat(2), retried after a signal.
func Openat(dir int, name string, flags int, mode uint32) (int, error) {
	passOpen(flags)
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Mkdirat is mkdirat(2).
func Mkdirat(dir int, name string, mode uint32) error {
	point.Pass("mkdir", 0, 0)
	return unix.Mkdirat(dir, name, mode)
}

// Chmodat is fchmodat(2); a symbolic link is followed.
func Chmodat(dir int, name string, mode uint32) error {
	point.Pass("chmod", 0, 0)
	return unix.Fchmodat(dir, name, mode, 0)
}

// Unlinkat is unlinkat(2) for anything but a directory.
func Unlinkat(dir int, name string) error {
	point.Pass("unlink", 0, 0)
	return unix.Unlinkat(dir, name, 0)
}

// Rmdirat is unlinkat(2) for an empty directory.
func Rmdirat(dir int, name string) error {
	point.Pass("rmdir", 0, 0)
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// RenameatNoReplace is renameat2(2) with RENAME_NOREPLACE inside one
// directory.
func RenameatNoReplace(dir int, from, to string) error {
	point.Pass("rename", 0, 0)
	return unix.Renameat2(dir, from, dir, to, unix.RENAME_NOREPLACE)
}

// LstatAt is fstatat(2); a symbolic link is not followed.
func LstatAt(dir int, name string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Stat{}, err
	}
	return convert(&st), nil
}

// LinkFDAt gives the unnamed file fd (O_TMPFILE) a name in the directory. It
// fails with EEXIST when the name is taken.
func LinkFDAt(fd, dir int, name string) error {
	point.Pass("link", 0, 0)
	// As in LinkFD.
	err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), dir, name, unix.AT_SYMLINK_FOLLOW)
	if err == unix.ENOENT || err == unix.EXDEV {
		if e := unix.Linkat(fd, "", dir, name, unix.AT_EMPTY_PATH); e == nil || e == unix.EEXIST {
			return e
		}
	}
	return err
}

// Getdents is getdents64(2): it fills p with entries for NextEntry and gives
// how many bytes of it; 0 at the end of the directory.
func Getdents(dir int, p []byte) (int, error) {
	for {
		n, err := unix.Getdents(dir, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Rewind makes Getdents begin again.
func Rewind(dir int) error {
	_, err := unix.Seek(dir, 0, 0)
	return err
}

// LockByte is F_OFD_SETLK for a write lock on the first byte of the file. It
// does not wait: EAGAIN says that somebody else has it, or a read lock there.
func LockByte(fd int) error {
	point.Pass("lock", 0, 0)
	l := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
	for {
		err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l)
		if err == unix.EACCES {
			return unix.EAGAIN // fcntl(2) allows either
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// ByteLocked asks with F_OFD_GETLK whether a write lock stands on the first
// byte of the file, held through another open file description than fd's.
// Read locks are not seen, and fd may be open for reading alone.
func ByteLocked(fd int) (bool, error) {
	l := unix.Flock_t{Type: unix.F_RDLCK, Len: 1}
	for {
		err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &l)
		if err == unix.EINTR {
			continue
		}
		return err == nil && l.Type != unix.F_UNLCK, err
	}
}

// ProcessExists asks with kill(2) whether pid is a process of the caller's
// pid namespace. A zombie is one.
func ProcessExists(pid int) bool { return pid > 0 && unix.Kill(pid, 0) != unix.ESRCH }
