package sockfile

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// lockFor is how long a listener waits for the lock of a directory. Nobody
// honest holds it for longer than a few milliseconds.
const lockFor = time.Second

// lockDir excludes other listeners of a path's directory, by a lock (flock) on
// the directory itself, which leaves nothing behind. Whoever may read the
// directory can hold the lock for ever; then the error is syscall.EAGAIN.
func lockDir(ctx context.Context, path string) (unlock func(), err error) {
	dir := filepath.Dir(path)
	fd, err := sys.Open(dir, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("the directory %s: %w", dir, err)
	}
	begun := time.Now()
	for pause := time.Millisecond; ; pause *= 2 {
		err = sys.TryLock(fd)
		if err != syscall.EAGAIN || time.Since(begun) > lockFor {
			break
		}
		select {
		case <-ctx.Done():
			sys.Close(fd)
			return nil, ctx.Err()
		case <-time.After(min(pause, 50*time.Millisecond)):
		}
	}
	if err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("somebody holds the lock on the directory %s: %w", dir, err)
	}
	return func() { sys.Close(fd) }, nil
}
