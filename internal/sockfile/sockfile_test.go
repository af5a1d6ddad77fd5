package sockfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// socketPath is a path for a socket that fits, and is gone after the test.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sockfile")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func listen(t testing.TB, path string, o *Options) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), path, o)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// answers connects through the path, and fails unless it is l that accepts.
func answers(t testing.TB, l *Listener, path string) {
	t.Helper()
	c, err := net.Dial("unix", path)
	must(t, err)
	defer c.Close()
	s, err := l.Accept()
	must(t, err)
	s.Close()
}

var plain = &Options{Mode: 0o600}

func TestMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666, 0o777, 0} {
		path := socketPath(t)
		l := listen(t, path, &Options{Mode: mode})
		st, err := os.Lstat(path)
		must(t, err)
		if st.Mode() != fs.ModeSocket|mode {
			t.Errorf("the mode is %v, want %v", st.Mode(), mode)
		}
		must(t, l.Close())
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
		must(t, l.Close())
	}
	t.Run("owner", func(t *testing.T) {
		shmtest.NeedRoot(t)
		path := socketPath(t)
		listen(t, path, &Options{Mode: 0o666, SetOwner: true, Owner: 1, Group: 2})
		st, err := os.Lstat(path)
		must(t, err)
		if s := st.Sys().(*syscall.Stat_t); s.Uid != 1 || s.Gid != 2 || st.Mode().Perm() != 0o666 {
			t.Errorf("owner %d, group %d, mode %v", s.Uid, s.Gid, st.Mode())
		}
	})
	t.Run("an owner who cannot be had", func(t *testing.T) {
		if os.Getuid() == 0 {
			return // root can have any
		}
		path := socketPath(t)
		_, err := Listen(t.Context(), path, &Options{Mode: 0o600, SetOwner: true, Owner: 0, Group: -1})
		if !errors.Is(err, syscall.EPERM) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is still there: %v", err)
		}
	})
}

// TestOccupied is what stands at a path and must not be touched.
func TestOccupied(t *testing.T) {
	for _, c := range []struct {
		name  string
		put   func(t *testing.T, path string)
		words string
	}{
		{"listener", func(t *testing.T, path string) { listen(t, path, plain) }, "somebody listens there"},
		{"listener of somebody else", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { l.Close() })
		}, "somebody listens there"},
		{"datagram socket", func(t *testing.T, path string) {
			c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			must(t, err)
			t.Cleanup(func() { c.Close() })
		}, "somebody may listen there"},
		{"file", func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("precious"), 0o600)) }, "no socket"},
		{"directory", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "no socket"},
		{"pipe", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) }, "no socket"},
		{"link to nothing", func(t *testing.T, path string) { must(t, os.Symlink("nothing", path)) }, "no socket"},
		{"link to a socket that is left behind", func(t *testing.T, path string) {
			leave(t, path+"2")
			must(t, os.Symlink(path+"2", path))
		}, "no socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := socketPath(t)
			c.put(t, path)
			before, err := os.Lstat(path)
			must(t, err)
			if _, err := Listen(t.Context(), path, plain); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %q", err, c.words)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("the file changed, %v", err)
			}
		})
	}
	t.Run("no directory", func(t *testing.T) {
		if _, err := Listen(t.Context(), socketPath(t)+"/x", plain); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

// leave makes a socket file at which nobody listens.
func leave(t testing.TB, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
}

func init() {
	shmtest.Handle("listener", func(c *shmtest.Child) {
		_, err := Listen(context.Background(), c.Args[0], plain)
		c.Check(err)
		c.Send("ready")
		c.Hold()
	})
}

// TestKilled: what a killed listener leaves behind is replaced, and not
// before.
func TestKilled(t *testing.T) {
	path := socketPath(t)
	p := shmtest.Start(t, "listener", path)
	p.Expect("ready")
	if _, err := Listen(t.Context(), path, plain); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("while it lives: %v", err)
	}
	p.Kill()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("nothing is left: %v", err)
	}
	answers(t, listen(t, path, plain), path)
}

// TestSuccessor: a listener that ends does not take its successor's file away.
func TestSuccessor(t *testing.T) {
	path := socketPath(t)
	first := listen(t, path, plain)
	must(t, os.Remove(path))
	second := listen(t, path, plain)
	must(t, first.Close())
	answers(t, second, path)
}

// TestRace has many who find a file left behind: one gets the path.
func TestRace(t *testing.T) {
	path := socketPath(t)
	leave(t, path)
	got := make(chan *Listener)
	for range 16 {
		go func() {
			l, err := Listen(context.Background(), path, plain)
			if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("listening: %v", err)
			}
			got <- l
		}()
	}
	var one *Listener
	for range 16 {
		if l := <-got; l != nil {
			if one != nil {
				t.Error("two listeners")
			}
			one = l
			defer l.Close()
		}
	}
	if one == nil {
		t.Fatal("no listener")
	}
	answers(t, one, path)
}

// TestLocked has somebody keep the lock for ever, which keeps from what was
// left behind and from nothing else.
func TestLocked(t *testing.T) {
	path := socketPath(t)
	dir, err := os.Open(filepath.Dir(path))
	must(t, err)
	defer dir.Close()
	must(t, sys.TryLock(int(dir.Fd())))
	l := listen(t, path, plain)
	answers(t, l, path)
	if _, err := Listen(t.Context(), path, plain); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "somebody holds the lock") {
		t.Errorf("got %v", err)
	}
	must(t, l.Close())
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Listen(ctx, path, plain); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestDress: what was put in the place of the socket is not changed.
func TestDress(t *testing.T) {
	path := socketPath(t)
	must(t, os.WriteFile(path+"2", []byte("secret"), 0o600))
	must(t, os.Symlink(path+"2", path))
	for _, at := range []string{path, path + "2"} {
		if _, err := dress(at, &Options{Mode: 0o666}); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: got %v", at, err)
		}
	}
	if st, err := os.Stat(path + "2"); err != nil || st.Mode() != 0o600 {
		t.Errorf("the mode became %v, %v", st.Mode(), err)
	}
}

func TestAbstract(t *testing.T) {
	name := fmt.Sprintf("@sockfile-test-%d", os.Getpid())
	l := listen(t, name, plain)
	answers(t, l, name)
	if _, err := Listen(t.Context(), name, plain); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening twice: %v", err)
	}
	must(t, l.Close())
	answers(t, listen(t, name, plain), name)
}
