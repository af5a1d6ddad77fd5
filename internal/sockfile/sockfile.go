// Package sockfile listens at the path of a Unix socket and looks after the
// file there.
//
// # Guarantees
//
//   - The file has its mode from the first moment.
//   - A file that a dead listener left behind is replaced. One at which
//     somebody listens is not touched, nor is one that is no socket.
//   - Of many who find a file left behind, one gets the path.
//   - A listener removes its own file, never its successor's.
//
// # Limits
//
//   - Listeners keep apart by a lock on the directory. Whoever may read that
//     can keep the lock: then only a path that is free is taken, and nothing is
//     replaced.
//   - Programs that unlink what is there and bind, without the lock, can take
//     a path away from anybody.
package sockfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

const network = "unix"

// PathMost is the longest path of a socket, and the longest abstract name with
// its @: sun_path of unix(7) has 108 bytes, of which a path leaves one.
const PathMost = 107

// Options say what the file shall be like.
type Options struct {
	Mode fs.FileMode // permissions alone count

	// Owner and Group as numbers, if SetOwner. -1 leaves one as it is.
	SetOwner     bool
	Owner, Group int
}

// Listener is a net.UnixListener that removes its file when it is closed.
type Listener struct {
	*net.UnixListener
	path string
	made fs.FileInfo // nil for an abstract name
	once sync.Once
}

// Abstract reports whether an address is that of no file: an abstract name,
// which begins with @.
func Abstract(address string) bool { return strings.HasPrefix(address, "@") }

// Listen listens at a path, or at an abstract name, for which the options mean
// nothing. ctx bounds Listen, not the Listener. The error is
// syscall.EADDRINUSE when somebody listens there, or something else than a
// socket is there.
func Listen(ctx context.Context, address string, o *Options) (*Listener, error) {
	if Abstract(address) {
		l, err := bind(ctx, address, nil)
		if err != nil {
			return nil, err
		}
		return &Listener{UnixListener: l}, nil
	}
	unlock, locked := lockDir(ctx, address)
	switch {
	case locked == nil:
		defer unlock()
	case !errors.Is(locked, syscall.EAGAIN):
		return nil, locked
	}
	l, err := bind(ctx, address, o)
	if errors.Is(err, syscall.EADDRINUSE) {
		if locked != nil {
			return nil, fmt.Errorf("%w, and what is there cannot be looked at: %w", err, locked)
		}
		if err := removeStale(address); err != nil {
			return nil, err
		}
		l, err = bind(ctx, address, o)
	}
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // that goes by the name alone
	made, err := dress(address, o)
	if err != nil {
		if made != nil {
			removeOwn(address, made)
		}
		l.Close()
		return nil, err
	}
	return &Listener{UnixListener: l, path: address, made: made}, nil
}

// bind binds and listens. The file has its mode at once: that of a socket that
// is not bound yet counts when it is.
func bind(ctx context.Context, address string, o *Options) (*net.UnixListener, error) {
	var lc net.ListenConfig
	if o != nil {
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			e := c.Control(func(fd uintptr) { err = sys.Fchmod(int(fd), uint32(o.Mode.Perm())) })
			return errors.Join(e, err)
		}
	}
	l, err := lc.Listen(ctx, network, address)
	if err != nil {
		if e, ok := err.(*net.OpError); ok {
			err = e.Err
		}
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// dress gives the file what the umask took, and its owner. It names the file
// once, and what it changes after that is what it saw, were the name given to
// something else meanwhile.
func dress(path string, o *Options) (made fs.FileInfo, err error) {
	f, err := os.OpenFile(path, sys.O_PATH|sys.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode()&fs.ModeSocket == 0 {
		return nil, fmt.Errorf("somebody has put something else in the place of the socket (%v): %w", st.Mode(), syscall.EADDRINUSE)
	}
	self := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if o.SetOwner {
		if err := os.Chown(self, o.Owner, o.Group); err != nil {
			return st, fmt.Errorf("the owner of %s: %w", path, bare(err))
		}
	}
	if st.Mode().Perm() != o.Mode.Perm() {
		if err := os.Chmod(self, o.Mode.Perm()); err != nil {
			return st, fmt.Errorf("the mode of %s: %w", path, bare(err))
		}
	}
	return st, nil
}

// bare takes the cause out of an error that names our descriptor.
func bare(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}

// removeStale removes a socket file at which nobody listens. The lock is held,
// so nobody who holds it too is between making one and listening.
func removeStale(path string) error {
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
	c, err := d.Dial(network, path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("somebody listens there: %w", syscall.EADDRINUSE)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		if e, ok := err.(*net.OpError); ok {
			err = e.Err
		}
		return fmt.Errorf("somebody may listen there (%w): %w", err, syscall.EADDRINUSE)
	}
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(st, now) {
		return fmt.Errorf("the file changes while it is looked at: %w", syscall.EADDRINUSE)
	}
	return os.Remove(path)
}

// removeOwn removes a file, if it is still the one that was made.
func removeOwn(path string, made fs.FileInfo) {
	if now, err := os.Lstat(path); err == nil && os.SameFile(now, made) {
		os.Remove(path)
	}
}

// Close removes the file and ends the listener, in this order: as long as the
// socket is there nobody else's file has its inode number. The second time it
// does nothing.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		if l.made != nil {
			if unlock, e := lockDir(context.Background(), l.path); e == nil {
				defer unlock()
			}
			removeOwn(l.path, l.made)
		}
		err = l.UnixListener.Close()
	})
	return err
}
