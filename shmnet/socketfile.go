package shmnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// lockFor is how long a listener waits for the lock of a directory. Nobody
// honest holds it for longer than a few milliseconds.
const lockFor = time.Second

// lockDir excludes other listeners of a directory, by a lock (flock) on the
// directory itself, which leaves nothing behind. Whoever may read the
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

// bind makes the socket file and listens. A file that a dead listener left
// behind is replaced; one that answers is not touched. Without the lock only a
// name that is free is taken.
func bind(ctx context.Context, addr *net.UnixAddr, o *Options) (*net.UnixListener, error) {
	if abstract(addr.Name) {
		return listenUnix(ctx, addr, nil)
	}
	unlock, locked := lockDir(ctx, addr.Name)
	switch {
	case locked == nil:
		defer unlock()
	case !errors.Is(locked, syscall.EAGAIN):
		return nil, locked
	}
	l, err := listenUnix(ctx, addr, o)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if locked != nil {
		return nil, fmt.Errorf("%w, and what is there cannot be looked at: %w", err, locked)
	}
	if err := removeStale(addr); err != nil {
		return nil, err
	}
	return listenUnix(ctx, addr, o)
}

// removeStale removes a socket file at which nobody listens. The lock is held,
// so nobody who holds it too is between making one and listening.
func removeStale(addr *net.UnixAddr) error {
	st, err := os.Lstat(addr.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("there is a file that is no socket (%v): %w", st.Mode(), syscall.EADDRINUSE)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.Dial(network, addr.Name)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("somebody listens there: %w", syscall.EADDRINUSE)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("somebody may listen there (%w): %w", bare(err), syscall.EADDRINUSE)
	}
	now, err := os.Lstat(addr.Name)
	if err != nil || !os.SameFile(st, now) {
		return fmt.Errorf("the file changes while it is looked at: %w", syscall.EADDRINUSE)
	}
	return os.Remove(addr.Name)
}

// listenUnix binds and listens. The file has its mode from the first moment:
// that of a socket that is not bound yet counts when it is.
func listenUnix(ctx context.Context, addr *net.UnixAddr, o *Options) (*net.UnixListener, error) {
	var lc net.ListenConfig
	if o != nil {
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) { err = sys.Fchmod(int(fd), uint32(o.Mode.Perm())) }); e != nil {
				return e
			}
			return err
		}
	}
	l, err := lc.Listen(ctx, network, addr.Name)
	if err != nil {
		return nil, bare(err)
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false) // it goes by the name alone
	if o == nil {
		return u, nil
	}
	if err := dress(addr.Name, o); err != nil {
		u.Close()
		os.Remove(addr.Name)
		return nil, err
	}
	return u, nil
}

// dress gives the file what the umask took, and its owner.
func dress(path string, o *Options) error {
	if o.SetOwner {
		if err := os.Lchown(path, o.Owner, o.Group); err != nil {
			return err
		}
	}
	return os.Chmod(path, o.Mode.Perm())
}

// removeOwn removes the file of a listener that ends, if it is still the one
// that it made.
func removeOwn(path string, made fs.FileInfo) {
	if unlock, err := lockDir(context.Background(), path); err == nil {
		defer unlock()
	}
	if now, err := os.Lstat(path); err == nil && os.SameFile(now, made) {
		os.Remove(path)
	}
}

// bare takes the cause out of an error of package net.
func bare(err error) error {
	if e, ok := err.(*net.OpError); ok {
		return e.Err
	}
	return err
}
