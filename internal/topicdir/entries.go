package topicdir

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// entries calls fn with every entry of the directory but "." and "..", as far
// as fn wants. What is made or removed meanwhile may come or not.
func entries(dir *sys.FD, fn func(name string, ino uint64, kind uint8) bool) error {
	buf := make([]byte, 4096)
	return readEntries(dir, buf, func(d sys.Dirent) bool { return fn(string(d.Name), d.Ino, d.Type) })
}

func readEntries(dir *sys.FD, buf []byte, fn func(sys.Dirent) bool) error {
	fd := dir.Int()
	if fd < 0 {
		return fs.ErrClosed
	}
	if err := sys.Rewind(fd); err != nil {
		return err
	}
	for {
		n, err := sys.Getdents(fd, buf)
		if errors.Is(err, syscall.ENOENT) {
			return nil // the directory was removed
		}
		if err != nil || n == 0 {
			return err
		}
		for rest := buf[:n]; len(rest) > 0; {
			var d sys.Dirent
			var ok bool
			if d, rest, ok = sys.NextEntry(rest); !ok {
				break
			}
			if string(d.Name) == "." || string(d.Name) == ".." {
				continue
			}
			if !fn(d) {
				return nil
			}
		}
	}
}
