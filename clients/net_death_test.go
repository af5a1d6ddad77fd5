//go:build linux

package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/shmnet"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("net", func(c *shmtest.Child) {
		conn, err := shmnet.Dial(context.Background(), c.Args[0], nil)
		c.Check(err)
		_, err = conn.Write([]byte("hello"))
		c.Check(err)
		c.Send("connected")
		if how, _ := c.Recv(); how == "close" {
			c.Check(conn.Close())
		}
	})
}

// TestNetDeath kills either end, and ends it properly.
func TestNetDeath(t *testing.T) {
	t.Run("client in C", func(t *testing.T) {
		l, path := netListen(t, nil)
		p := netPeer(t, "stuck", path)
		c := netAccept(t, l)
		p.Expect(fmt.Sprintf("connected to %d", os.Getpid()))
		if got := c.Peer(); got.PID != p.PID() || got.UID != os.Getuid() {
			t.Errorf("the peer is %+v", got)
		}
		p.Kill()
		b, err := io.ReadAll(c)
		if string(b) != "hello" || !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("read %q, %v", b, err)
		}
	})
	t.Run("client in Go", func(t *testing.T) {
		path := socketPath(t)
		for _, how := range []string{"kill", "close"} {
			p := netPeer(t, "serve", path)
			p.Expect("listening")
			child := shmtest.Start(t, "net", path)
			child.Expect("connected")
			p.Expect(fmt.Sprintf("accepted %d", child.PID()))
			if how == "kill" {
				child.Kill()
				p.Expect("SHM_NET_ERESET after 5: the peer was killed, or broke the connection off")
			} else {
				child.Send("close")
				p.Expect("end after 5")
				child.Wait()
			}
			p.Wait()
		}
	})
	t.Run("server in C", func(t *testing.T) {
		path := socketPath(t)
		p := netPeer(t, "serve", path)
		p.Expect("listening")
		c := netDial(t, path, nil)
		netLine(t, p, "accepted ")
		p.Kill()
		if b, err := io.ReadAll(c); len(b) > 0 || !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("read %q, %v", b, err)
		}
		// The next one replaces its socket file.
		p = netPeer(t, "serve", path)
		p.Expect("listening")
		c = netDial(t, path, nil)
		netLine(t, p, "accepted ")
		must(t, c.Close())
		p.Expect("end after 0")
		p.Wait()
	})
	t.Run("full", func(t *testing.T) {
		l, path := netListen(t, nil)
		p := netPeer(t, "full", path)
		c := netAccept(t, l)
		p.Expect(fmt.Sprintf("SHM_NET_ETIMEOUT after %d", shmnet.DefaultRing))
		must(t, c.CloseRead())
		p.Expect("SHM_NET_EPIPE: the peer takes no more")
		p.Wait()
	})
}

// TestNetLies has a peer in C that breaks the protocol, against Go and against C.
func TestNetLies(t *testing.T) {
	for _, word := range []string{"tail", "moves", "to"} {
		t.Run(word, func(t *testing.T) {
			l, path := netListen(t, nil)
			p := netPeer(t, "lie", path, word)
			c := netAccept(t, l)
			if _, err := io.ReadAll(c); !errors.Is(err, shmnet.ErrCorrupt) {
				t.Errorf("reading: %v", err)
			}
			p.Expect("lied")
			netLine(t, p, "SHM_NET_ERESET after 0: ")
			p.Wait()

			s := netPeer(t, "serve", path+".c")
			s.Expect("listening")
			p = netPeer(t, "lie", path+".c", word)
			netLine(t, s, "accepted ")
			netLine(t, s, "SHM_NET_ECORRUPT after 0: the peer breaks the protocol: it says that")
			p.Expect("lied")
			s.Wait()
		})
	}
	t.Run("head", func(t *testing.T) {
		path := socketPath(t)
		s := netPeer(t, "echo", path)
		s.Expect("listening")
		p := netPeer(t, "lie", path, "head")
		netLine(t, s, "SHM_NET_ECORRUPT: the peer breaks the protocol: it says that it took up to so many bytes")
		p.Expect("lied")
		p.Kill()
		s.CloseInput()
		s.Wait()
	})
}

// TestNetRefused has servers that are none for this client.
func TestNetRefused(t *testing.T) {
	path := socketPath(t)
	p := netPeer(t, "stuck", path)
	netLine(t, p, "SHM_NET_ENOTFOUND: connect to "+path)
	p.Wait()

	must(t, os.WriteFile(path, nil, 0o600))
	p = netPeer(t, "serve", path)
	p.Expect("SHM_NET_EBUSY: " + path + " is a file that is no socket")
	p.Wait()
	p = netPeer(t, "serve", "/nodir/s")
	netLine(t, p, "SHM_NET_ENOTFOUND: the directory of /nodir/s")
	p.Wait()
	p = netPeer(t, "serve", strings.Repeat("x", 108))
	netLine(t, p, "SHM_NET_EINVALID: the address has 108 bytes, a socket's has at most 107")
	p.Wait()

	_, path = netListen(t, &shmnet.Options{UIDs: []int{os.Getuid() + 1}})
	p = netPeer(t, "stuck", path)
	netLine(t, p, "SHM_NET_EPERMISSION: the server refuses: ")
	p.Wait()
	_, path = netListen(t, &shmnet.Options{Ring: 4096, MaxRing: 4096})
	p = netPeer(t, "stuck", path)
	netLine(t, p, "SHM_NET_EREFUSED: the server refuses: a ring of 16384 bytes")
	p.Wait()

	path = socketPath(t)
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	p = netPeer(t, "stuck", path)
	c, err := l.Accept()
	must(t, err)
	_, err = c.Write([]byte("220 mail\r\n"))
	must(t, err)
	netLine(t, p, "SHM_NET_EPROTOCOL: the server answers something else")
	p.Wait()
	c.Close()
}
