package posix

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Adopt makes an Object of a descriptor, such as a parent process left open
// for us, and owns it from then on. Its name is the one under which it was
// opened, which may be gone or stand for another object by now. Adopt fails,
// and leaves the descriptor alone, when that is not of a named regular file.
func Adopt(fd int) (*Object, error) {
	fail := func(err error) (*Object, error) {
		return nil, &sys.Error{Op: "adopt", Kind: "posix", Name: fmt.Sprintf("descriptor %d", fd), Err: err}
	}
	st, err := sys.Fstat(fd)
	if err != nil {
		return fail(err)
	}
	if !st.Regular() {
		return fail(fmt.Errorf("it is a %s, not a shared memory object: %w", st.TypeName(), sys.ErrType))
	}
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return fail(err)
	}
	path := link
	if st.Nlink == 0 {
		path = strings.TrimSuffix(link, " (deleted)")
	}
	if !filepath.IsAbs(path) || strings.HasPrefix(path, "/memfd:") || strings.HasPrefix(path, "/SYSV") {
		return fail(fmt.Errorf("it is %s, not a shared memory object: %w", link, sys.ErrType))
	}
	return &Object{name: "/" + filepath.Base(path), path: path, fd: sys.NewFD(fd)}, nil
}
