package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// socketPathMost is the longest path of a socket.
const socketPathMost = 107

// unixListener listens at a Unix socket and removes its own file, no other's.
type unixListener struct {
	net.Listener
	path string
	made fs.FileInfo // nil for an abstract name
	once sync.Once
}

// listenUnix listens as package shmnet does: the file has its mode from the
// first moment, one at which nobody listens any more is replaced, and a lock
// on the directory keeps others who do so apart. Without the lock only a name
// that is free is taken.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	lc := net.ListenConfig{}
	if strings.HasPrefix(path, "@") {
		return lc.Listen(ctx, schemeUnix, path)
	}
	unlock, locked := lockDirOf(ctx, path)
	switch {
	case locked == nil:
		defer unlock()
	case !errors.Is(locked, syscall.EAGAIN):
		return nil, locked
	}
	lc.Control = func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = sys.Fchmod(int(fd), uint32(mode)) }), err)
	}
	l, err := lc.Listen(ctx, schemeUnix, path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if locked != nil {
			return nil, fmt.Errorf("%w, and what is there cannot be looked at: %w", err, locked)
		}
		if err := removeStaleSocket(path); err != nil {
			return nil, err
		}
		l, err = lc.Listen(ctx, schemeUnix, path)
	}
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	made, err := os.Lstat(path)
	if err == nil {
		// What the umask took.
		err = os.Chmod(path, mode)
	}
	if err != nil {
		l.Close()
		os.Remove(path)
		return nil, err
	}
	return &unixListener{Listener: l, path: path, made: made}, nil
}

// lockDirOf excludes other listeners of the directory of a path for as long as
// they are honest: who may read the directory can keep the lock, and then the
// error is syscall.EAGAIN after a while.
func lockDirOf(ctx context.Context, path string) (unlock func(), err error) {
	dir := filepath.Dir(path)
	fd, err := sys.Open(dir, sys.O_RDONLY|sys.O_DIRECTORY|sys.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("the directory %s: %w", dir, err)
	}
	within, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = patiently(within, func() (done bool, err error) {
		err = sys.TryLock(fd)
		return err == nil, again(err)
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = syscall.EAGAIN
	}
	if err != nil {
		sys.Close(fd)
		return nil, fmt.Errorf("the lock on the directory %s: %w", dir, err)
	}
	return func() { sys.Close(fd) }, nil
}

// again is no error where trying again may help.
func again(err error) error {
	if err == syscall.EAGAIN {
		return nil
	}
	return err
}

// removeStaleSocket removes a socket file at which nobody listens.
func removeStaleSocket(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("there is a file that is no socket (%v): %w", st.Mode(), syscall.EADDRINUSE)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.Dial(schemeUnix, path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("somebody listens there: %w", syscall.EADDRINUSE)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("somebody may listen there (%w): %w", err, syscall.EADDRINUSE)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(st, now) {
		return fmt.Errorf("the file changes while it is looked at: %w", syscall.EADDRINUSE)
	}
	return os.Remove(path)
}

func (l *unixListener) Close() (err error) {
	l.once.Do(func() {
		if unlock, e := lockDirOf(context.Background(), l.path); e == nil {
			defer unlock()
		}
		if now, e := os.Lstat(l.path); e == nil && os.SameFile(now, l.made) {
			os.Remove(l.path)
		}
		err = l.Listener.Close()
	})
	return err
}
