package shmnet

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	// Listens and echoes, until it is told to end, or killed.
	shmtest.Handle("service", func(c *shmtest.Child) {
		l, err := Listen(background, c.Args[0], nil)
		c.Check(err)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					io.Copy(conn, conn)
				}()
			}
		}()
		c.Send("ready")
		c.Expect("end")
		c.Check(l.Close())
	})

	// Says how a dial ends.
	shmtest.Handle("dials", func(c *shmtest.Child) {
		conn, err := Dial(background, c.Args[0], nil)
		if err != nil {
			c.Send("%t %v", errors.Is(err, fs.ErrPermission), err)
			return
		}
		c.Send("connected")
		c.Check(conn.Close())
	})
}

func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("hello"))
	must(t, err)
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
}

// TestRestart starts a service again at its path, after it was killed and after
// it has ended, as often as one likes: its clients are told, nobody answers
// meanwhile, and then the same address works.
func TestRestart(t *testing.T) {
	path := socketPath(t)
	for _, end := range []struct {
		how       string
		conn, new error // of a client that was connected, of one that comes then
	}{{"kill", syscall.ECONNRESET, syscall.ECONNREFUSED}, {"end", syscall.ECONNRESET, fs.ErrNotExist}, {"kill", syscall.ECONNRESET, syscall.ECONNREFUSED}} {
		p := shmtest.Start(t, "service", path)
		p.Expect("ready")
		c, err := Dial(t.Context(), path, nil)
		must(t, err)
		echoes(t, c)
		if end.how == "kill" {
			p.Kill()
		} else {
			p.Send("end")
			p.Wait()
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, end.conn) {
			t.Errorf("%s: read %d, %v", end.how, n, err)
		}
		must(t, c.Close())
		_, err = Dial(t.Context(), path, nil)
		wantError(t, err, end.new, path)
	}
	l, err := Listen(t.Context(), path, nil)
	must(t, err)
	defer l.Close()
	a, b := connect(t, l, nil)
	talk(t, a, b)
}

// TestOtherUser is a peer of another user, where the socket file's mode, or the
// options, forbid it, and where they allow it.
func TestOtherUser(t *testing.T) {
	other := shmtest.Other(t)
	for _, c := range []struct {
		name string
		opts Options
		want string
	}{
		{"mode", Options{}, "true "},
		{"options", Options{Mode: 0o666, UIDs: []int{os.Getuid()}}, "true "},
		{"allowed", Options{Mode: 0o666, UIDs: []int{other.UID}}, "connected"},
		{"owner", Options{Mode: 0o600, SetOwner: true, Owner: other.UID, Group: -1}, "connected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := socketPath(t)
			must(t, os.Chmod(path[:len(path)-2], 0o755))
			l, err := Listen(t.Context(), path, &c.opts)
			must(t, err)
			defer l.Close()
			p := shmtest.Command{Handler: "dials", Args: []string{path}, User: other}.Start(t)
			said := p.Recv()
			if len(said) < len(c.want) || said[:len(c.want)] != c.want {
				t.Errorf("it says %q, want %q", said, c.want)
			}
			if c.want == "connected" {
				conn, err := l.AcceptConn()
				must(t, err)
				if conn.Peer().UID != other.UID || conn.Peer().PID != p.PID() {
					t.Errorf("the peer is %+v", conn.Peer())
				}
				must(t, conn.Close())
			}
			p.Wait()
		})
	}
}
