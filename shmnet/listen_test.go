package shmnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
)

// wantError fails unless err is a *net.OpError around target whose text holds
// words.
func wantError(t testing.TB, err, target error, words string) {
	t.Helper()
	var op *net.OpError
	if !errors.As(err, &op) || !errors.Is(err, target) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v (%T), want a *net.OpError around %q with %q", err, err, target, words)
	}
}

// talk sends a text there and one back.
func talk(t failer, a, b net.Conn) {
	t.Helper()
	for _, c := range [][2]net.Conn{{a, b}, {b, a}} {
		if _, err := c[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 5)
		if _, err := io.ReadFull(c[1], p); err != nil || string(p) != "hello" {
			t.Fatalf("read %q, %v", p, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	long := "/" + strings.Repeat("x", 107)
	for _, c := range []struct {
		address string
		want    error
		words   string
	}{
		{"", syscall.EINVAL, "empty"},
		{"@", syscall.EINVAL, "empty"},
		{"a\x00b", syscall.EINVAL, "zero byte"},
		{long, syscall.ENAMETOOLONG, "has 108 bytes, a socket's has at most 107"},
	} {
		_, err := Listen(t.Context(), c.address, nil)
		wantError(t, err, c.want, c.words)
		_, err = Dial(t.Context(), c.address, nil)
		wantError(t, err, c.want, c.words)
	}
	t.Run("abstract", func(t *testing.T) {
		name := fmt.Sprintf("@shmnet-test-%d", os.Getpid())
		l, err := Listen(t.Context(), name, nil)
		must(t, err)
		defer l.Close()
		if _, err := Listen(t.Context(), name, nil); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listening twice: %v", err)
		}
		a, b := connect(t, l, nil)
		talk(t, a, b)
		if a.RemoteAddr().String() != name || b.LocalAddr().String() != name {
			t.Errorf("addresses %v, %v", a.RemoteAddr(), b.LocalAddr())
		}
	})
	t.Run("path of 107 bytes", func(t *testing.T) {
		dir := filepath.Dir(socketPath(t))
		l, err := Listen(t.Context(), dir+"/"+strings.Repeat("x", 106-len(dir)), nil)
		must(t, err)
		defer l.Close()
		a, b := connect(t, l, nil)
		talk(t, a, b)
	})
}

// TestSocketFile goes through the life of a listener's file; package sockfile
// has the tests of all that can stand in its place.
func TestSocketFile(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		path := socketPath(t)
		_, err := Dial(t.Context(), path, nil)
		wantError(t, err, fs.ErrNotExist, path)
	})
	t.Run("mode", func(t *testing.T) {
		for _, mode := range []fs.FileMode{0, 0o600, 0o666, 0o660} {
			path := socketPath(t)
			l, err := Listen(t.Context(), path, &Options{Mode: mode})
			must(t, err)
			st, err := os.Lstat(path)
			must(t, err)
			if want := max(mode, 0o600); st.Mode() != fs.ModeSocket|want {
				t.Errorf("mode %v, want %v", st.Mode(), want)
			}
			must(t, l.Close())
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
			wantError(t, l.Close(), net.ErrClosed, "close")
			_, err = l.Accept()
			wantError(t, err, net.ErrClosed, "accept")
		}
	})
	t.Run("owner", func(t *testing.T) {
		shmtest.NeedRoot(t)
		path := socketPath(t)
		l, err := Listen(t.Context(), path, &Options{SetOwner: true, Owner: 1, Group: 2})
		must(t, err)
		defer l.Close()
		st, err := os.Lstat(path)
		must(t, err)
		if s := st.Sys().(*syscall.Stat_t); s.Uid != 1 || s.Gid != 2 {
			t.Errorf("owner %d, group %d", s.Uid, s.Gid)
		}
	})
	t.Run("somebody listens", func(t *testing.T) {
		l := listen(t, nil)
		_, err := Listen(t.Context(), l.Addr().String(), nil)
		wantError(t, err, syscall.EADDRINUSE, "somebody listens there")
		a, b := connect(t, l, nil)
		talk(t, a, b)
	})
	t.Run("left behind", func(t *testing.T) {
		path := socketPath(t)
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		must(t, err)
		old.SetUnlinkOnClose(false)
		must(t, old.Close())
		_, err = Dial(t.Context(), path, nil)
		wantError(t, err, syscall.ECONNREFUSED, path)
		l, err := Listen(t.Context(), path, nil)
		must(t, err)
		defer l.Close()
		a, b := connect(t, l, nil)
		talk(t, a, b)
	})
	t.Run("no socket", func(t *testing.T) {
		path := socketPath(t)
		must(t, os.WriteFile(path, []byte("precious"), 0o600))
		_, err := Listen(t.Context(), path, nil)
		wantError(t, err, syscall.EADDRINUSE, "no socket")
		_, err = Dial(t.Context(), path, nil)
		wantError(t, err, syscall.ECONNREFUSED, path)
		if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
			t.Errorf("the file holds %q, %v", text, err)
		}
	})
	t.Run("replaced", func(t *testing.T) {
		// A listener removes its own file, not its successor's.
		path := socketPath(t)
		first, err := Listen(t.Context(), path, nil)
		must(t, err)
		must(t, os.Remove(path))
		second, err := Listen(t.Context(), path, nil)
		must(t, err)
		defer second.Close()
		must(t, first.Close())
		a, b := connect(t, second, nil)
		talk(t, a, b)
	})
}

func TestPeer(t *testing.T) {
	a, b := pair(t, nil)
	want := Peer{os.Getpid(), os.Getuid(), os.Getgid()}
	if a.Peer() != want || b.Peer() != want {
		t.Errorf("peers %+v and %+v, want %+v", a.Peer(), b.Peer(), want)
	}
	t.Run("not allowed by the server", func(t *testing.T) {
		l := listen(t, &Options{UIDs: []int{os.Getuid() + 1}})
		_, err := Dial(t.Context(), l.Addr().String(), nil)
		wantError(t, err, fs.ErrPermission, fmt.Sprintf("user %d is not among those who are allowed", os.Getuid()))
	})
	t.Run("not allowed by the client", func(t *testing.T) {
		l := listen(t, nil)
		_, err := Dial(t.Context(), l.Addr().String(), &Options{UIDs: []int{os.Getuid() + 1}})
		wantError(t, err, fs.ErrPermission, "not among those")
	})
	t.Run("allowed", func(t *testing.T) {
		a, b := pair(t, &Options{UIDs: []int{12345, os.Getuid()}})
		talk(t, a, b)
	})
}

// TestSilent is a peer that connects and says nothing: it costs its own
// connection, and others are served meanwhile.
func TestSilent(t *testing.T) {
	l := listen(t, &Options{Handshake: 50 * time.Millisecond})
	c, err := net.Dial("unix", l.Addr().String())
	must(t, err)
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a silent client was answered")
	}
	a, b := connect(t, l, &Options{Handshake: time.Minute})
	talk(t, a, b)
	eventually(t, "both are counted", func() bool { return l.Stats() == ListenerStats{Accepted: 1, Failed: 1} })
	t.Run("server", func(t *testing.T) {
		path := socketPath(t)
		mute, err := net.Listen("unix", path)
		must(t, err)
		defer mute.Close()
		_, err = Dial(t.Context(), path, &Options{Handshake: 20 * time.Millisecond})
		wantError(t, err, os.ErrDeadlineExceeded, "did not finish the handshake in time")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err = Dial(ctx, path, nil)
		wantError(t, err, context.Canceled, "")
	})
	t.Run("closed", func(t *testing.T) {
		l := listen(t, &Options{Handshake: time.Hour})
		c, err := net.Dial("unix", l.Addr().String())
		must(t, err)
		defer c.Close()
		must(t, l.Close())
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a handshake survives the listener")
		}
	})
}

// TestPlainPeers are programs that know only the socket.
func TestPlainPeers(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		l := listen(t, nil)
		c, err := net.Dial("unix", l.Addr().String())
		must(t, err)
		defer c.Close()
		_, err = c.Write([]byte("GET / HTTP/1.1\r\n"))
		must(t, err)
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v", err)
		}
		eventually(t, "the handshake is counted", func() bool { return l.Stats().Failed == 1 })
	})
	t.Run("client, allowed", func(t *testing.T) {
		for _, first := range []string{"GET / HTTP/1.1\r\n", "x", "shmnot", strings.Repeat("long", 100)} {
			l := listen(t, &Options{Plain: true})
			c, err := net.Dial("unix", l.Addr().String())
			must(t, err)
			defer c.Close()
			_, err = c.Write([]byte(first))
			must(t, err)
			s, err := l.AcceptConn()
			must(t, err)
			defer s.Close()
			got := make([]byte, len(first))
			if _, err := io.ReadFull(s, got); err != nil || string(got) != first {
				t.Errorf("read %q, %v", got, err)
			}
			talk(t, c, s)
			if !s.Stats().Plain || l.Stats().Plain != 1 || s.Peer().PID != os.Getpid() {
				t.Errorf("%+v, %+v", s.Stats(), l.Stats())
			}
		}
	})
	serve := func(t *testing.T, do func(net.Conn)) string {
		path := socketPath(t)
		l, err := net.Listen("unix", path)
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { defer c.Close(); do(c) }()
			}
		}()
		return path
	}
	echo := func(c net.Conn) {
		b := make([]byte, 5)
		for {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if string(b) == "shmne" {
				fmt.Fprint(c, "400 what do you want from me? I do not know this language, and say so at length\n")
				return
			}
			c.Write(b)
		}
	}
	for name, do := range map[string]func(net.Conn){
		"server that answers": echo,
		"server that closes":  func(c net.Conn) { c.Read(make([]byte, 1)) },
		"server that greets":  func(c net.Conn) { fmt.Fprint(c, "220 hello\r\n"); io.Copy(io.Discard, c) },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(t.Context(), serve(t, do), nil)
			wantError(t, err, ErrNotProtocol, "the server")
		})
	}
	t.Run("server, allowed", func(t *testing.T) {
		c, err := Dial(t.Context(), serve(t, echo), &Options{Plain: true})
		must(t, err)
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" || !c.Stats().Plain {
			t.Errorf("read %q, %v, %+v", b, err, c.Stats())
		}
		if _, err := c.Peek(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Peek: %v", err)
		}
		if _, err := c.SyscallConn(); err != nil {
			t.Errorf("SyscallConn: %v", err)
		}
	})
}

// noMemory is a source that has none.
type noMemory struct{ kernel }

func (noMemory) make(string, int64) (*memory, *memfdFile, error) {
	return nil, nil, syscall.EPERM
}

// TestNoMemory is a client that cannot make memory, as in a sandbox.
func TestNoMemory(t *testing.T) {
	try := func(t *testing.T, l *Listener, plain bool) (*Conn, error) {
		socket, err := dialUnix(t.Context(), l.Addr().(*net.UnixAddr))
		must(t, err)
		o, err := (&Options{Plain: plain}).orDefault()
		must(t, err)
		return introduce(t.Context(), socket, l.addr, &o, noMemory{})
	}
	t.Run("says so", func(t *testing.T) {
		if _, err := try(t, listen(t, nil), false); !errors.Is(err, syscall.EPERM) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("server refuses", func(t *testing.T) {
		if _, err := try(t, listen(t, nil), true); err == nil || !strings.Contains(err.Error(), "no memory to share") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("falls back", func(t *testing.T) {
		l := listen(t, &Options{Plain: true})
		c, err := try(t, l, true)
		must(t, err)
		defer c.Close()
		s, err := l.AcceptConn()
		must(t, err)
		defer s.Close()
		talk(t, c, s)
		if !c.Stats().Plain || !s.Stats().Plain {
			t.Error("not plain")
		}
	})
}

func TestTooLarge(t *testing.T) {
	l := listen(t, &Options{MaxRing: 64 << 10})
	_, err := Dial(t.Context(), l.Addr().String(), &Options{Ring: 128 << 10})
	wantError(t, err, errNoSpace, "a ring of 131072 bytes, and 65536 are allowed")
}
