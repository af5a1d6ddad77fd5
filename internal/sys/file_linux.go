//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/point"
)

// Errnos and open flags whose numbers come from the machine's own table.
const (
	EIDRM = unix.EIDRM

	O_CLOEXEC   = unix.O_CLOEXEC
	O_NOFOLLOW  = unix.O_NOFOLLOW
	O_NONBLOCK  = unix.O_NONBLOCK
	O_DIRECTORY = unix.O_DIRECTORY
	O_TMPFILE   = unix.O_TMPFILE
	O_PATH      = unix.O_PATH
)

// Open is open(2), retried after a signal.
func Open(path string, flags int, mode uint32) (int, error) {
	passOpen(flags)
	for {
		fd, err := unix.Open(path, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// passOpen is for what may make a file.
func passOpen(flags int) {
	if point.On && (flags&unix.O_CREAT != 0 || flags&unix.O_TMPFILE == unix.O_TMPFILE) {
		point.Pass("open", 0, 0)
	}
}

// Close is close(2). Linux has released the descriptor even when it answers
// EINTR, so nothing is retried and that answer is no error.
func Close(fd int) error {
	point.Pass("close", 0, 0)
	if err := unix.Close(fd); err != nil && err != unix.EINTR {
		return err
	}
	return nil
}

// Dup gives a copy of fd with close-on-exec set.
func Dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// Fcntl is fcntl(2) for commands with an integer argument.
func Fcntl(fd, cmd, arg int) (int, error) { return unix.FcntlInt(uintptr(fd), cmd, arg) }

// Ftruncate is ftruncate(2), retried after a signal.
func Ftruncate(fd int, size int64) error {
	point.Pass("ftruncate", 0, 0)
	for {
		if err := unix.Ftruncate(fd, size); err != unix.EINTR {
			return err
		}
	}
}

// Fallocate is fallocate(2), retried after a signal.
func Fallocate(fd int, mode uint32, offset, length int64) error {
	point.Pass("fallocate", 0, 0)
	for {
		if err := unix.Fallocate(fd, mode, offset, length); err != unix.EINTR {
			return err
		}
	}
}

// Fchmod is fchmod(2).
func Fchmod(fd int, mode uint32) error {
	point.Pass("fchmod", 0, 0)
	return unix.Fchmod(fd, mode)
}

// Fchown is fchown(2).
func Fchown(fd, uid, gid int) error {
	point.Pass("fchown", 0, 0)
	return unix.Fchown(fd, uid, gid)
}

// Unlink is unlink(2).
func Unlink(path string) error {
	point.Pass("unlink", 0, 0)
	return unix.Unlink(path)
}

// LinkFD gives the unnamed file fd (O_TMPFILE) the name path. It fails with
// EEXIST when the name is taken.
func LinkFD(fd int, path string) error {
	point.Pass("link", 0, 0)
	// Linking by AT_EMPTY_PATH needed a capability before Linux 6.10; by
	// /proc it works for everyone, where /proc is mounted.
	err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	if err == unix.ENOENT || err == unix.EXDEV {
		if e := unix.Linkat(fd, "", unix.AT_FDCWD, path, unix.AT_EMPTY_PATH); e == nil || e == unix.EEXIST {
			return e
		}
	}
	return err
}

// RenameNoReplace is renameat2(2) with RENAME_NOREPLACE.
func RenameNoReplace(from, to string) error {
	point.Pass("rename", 0, 0)
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// Fstat is fstat(2).
func Fstat(fd int) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Stat{}, err
	}
	return convert(&st), nil
}

// StatPath is stat(2): it follows symbolic links.
func StatPath(path string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Stat{}, err
	}
	return convert(&st), nil
}

// LstatPath is lstat(2).
func LstatPath(path string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return Stat{}, err
	}
	return convert(&st), nil
}

func convert(st *unix.Stat_t) Stat {
	at := func(t unix.Timespec) time.Time { return time.Unix(t.Unix()) }
	return Stat{
		Dev: uint64(st.Dev), Ino: st.Ino, Nlink: uint64(st.Nlink),
		Mode: st.Mode, UID: st.Uid, GID: st.Gid,
		Size: st.Size, Blocks: st.Blocks,
		Access: at(st.Atim), Modify: at(st.Mtim), Change: at(st.Ctim),
	}
}

// StatfsPath is statfs(2).
func StatfsPath(path string) (Statfs, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Statfs{}, err
		}
	}
	return convertFS(&st), nil
}

// Fstatfs is fstatfs(2).
func Fstatfs(fd int) (Statfs, error) {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &st)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Statfs{}, err
		}
	}
	return convertFS(&st), nil
}

func convertFS(st *unix.Statfs_t) Statfs {
	return Statfs{
		Type: int64(st.Type), BlockSize: int64(st.Bsize),
		Blocks: st.Blocks, Free: st.Bfree, Avail: st.Bavail,
		Files: st.Files, FilesFree: st.Ffree,
	}
}

// Pread is pread(2).
func Pread(fd int, p []byte, offset int64) (int, error) { return unix.Pread(fd, p, offset) }

// Pwrite is pwrite(2).
func Pwrite(fd int, p []byte, offset int64) (int, error) {
	point.Pass("pwrite", 0, 0)
	return unix.Pwrite(fd, p, offset)
}

// MemfdCreate is memfd_create(2).
func MemfdCreate(name string, flags int) (int, error) { return unix.MemfdCreate(name, flags) }

// Minor gives the minor number of a device as stat(2) reports it.
func Minor(dev uint64) uint32 { return unix.Minor(dev) }

// Major gives the major number of a device as stat(2) reports it.
func Major(dev uint64) uint32 { return unix.Major(dev) }
