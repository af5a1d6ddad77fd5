//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// Birth gives when the file at path was created, by statx(2); the zero time
// where its file system does not keep that. The last symbolic link is
// followed if follow says so, as the links of /proc/PID/fd have to be.
func Birth(path string, follow bool) (time.Time, error) {
	flags := unix.AT_STATX_DONT_SYNC
	if !follow {
		flags |= unix.AT_SYMLINK_NOFOLLOW
	}
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, flags, unix.STATX_BTIME, &st); err != nil {
		return time.Time{}, err
	}
	if st.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}, nil
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)), nil
}

// HasACL reports whether the file at path, which is not followed where it is
// a symbolic link, has a POSIX access control list (acl(5)) beside its mode.
func HasACL(path string) bool {
	n, err := unix.Lgetxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}
