package posix

import (
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// fitUmask takes from a new unnamed file the permissions that the umask
// forbids. The kernel does it for every file that is created by name, but
// before Linux 6.0 not for unnamed ones on a file system without ACLs.
func fitUmask(fd *sys.FD, mode fs.FileMode) error {
	asked := uint32(mode.Perm())
	if asked&0o077 == 0 {
		return nil // nothing is granted to others
	}
	st, err := fd.Stat()
	if err != nil || st.Mode&0o777 != asked {
		return err
	}
	mask, ok := umask()
	if !ok || asked&mask == 0 {
		return nil
	}
	return fd.Chmod(asked &^ mask)
}

// umask reads it from /proc: umask(2) cannot ask without setting.
func umask() (mask uint32, ok bool) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, found := strings.CutPrefix(line, "Umask:"); found {
			n, err := strconv.ParseUint(strings.TrimSpace(rest), 8, 32)
			return uint32(n), err == nil
		}
	}
	return 0, false
}
