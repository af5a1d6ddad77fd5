//go:build linux

package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmnet"
)

// transfers are how much is sent, in pieces of how much, and whether the ring
// of the Go side grows meanwhile.
var transfers = []struct {
	total, piece int
	grows        bool
}{
	{1, 1, false}, {1000, 1, false}, {100_000, 4097, false}, {24 << 20, 60_000, true},
}

// TestNetServerInGo has a client in C whose bytes come back.
func TestNetServerInGo(t *testing.T) {
	l, path := netListen(t, nil)
	for _, tr := range transfers {
		t.Run(fmt.Sprintf("%d by %d", tr.total, tr.piece), func(t *testing.T) {
			p := netPeer(t, "ask", path, fmt.Sprint(tr.total), fmt.Sprint(tr.piece))
			c := netAccept(t, l)
			// All that is there is sent at once, which a small ring cannot hold.
			all, err := io.ReadAll(c)
			if err != nil && !tr.grows {
				t.Fatal(err)
			}
			if len(all) != tr.total {
				t.Fatalf("got %d bytes of %d", len(all), tr.total)
			}
			if _, err := c.Write(all); err != nil {
				t.Fatal(err)
			}
			st := c.Stats()
			must(t, c.Close())
			said := netLine(t, p, fmt.Sprintf("sent %d, got %d, ", tr.total, tr.total))
			p.Wait()
			if tr.grows && (st.Ring <= shmnet.DefaultRing || strings.Contains(said, ", 0 moves") || strings.HasSuffix(said, " 0 of ours")) {
				t.Errorf("the ring has not grown: %+v; the peer says %q", st, said)
			}
		})
	}
}

// TestNetServerInC has a server in C that sends back what a client in Go sends.
func TestNetServerInC(t *testing.T) {
	path := socketPath(t)
	p := netPeer(t, "echo", path)
	p.Expect("listening")
	for _, tr := range transfers {
		t.Run(fmt.Sprintf("%d by %d", tr.total, tr.piece), func(t *testing.T) {
			c := netDial(t, path, nil)
			all := netContent(tr.total)
			sent := make(chan error, 1)
			go func() {
				for i := 0; i < len(all); i += tr.piece {
					if _, err := c.Write(all[i:min(i+tr.piece, len(all))]); err != nil {
						sent <- err
						return
					}
				}
				sent <- c.CloseWrite()
			}()
			back, err := io.ReadAll(c)
			must(t, err)
			must(t, <-sent)
			if !bytes.Equal(back, all) {
				t.Errorf("%d bytes came back of %d, or others", len(back), len(all))
			}
			if st := c.Stats(); tr.grows && st.Ring <= shmnet.DefaultRing {
				t.Errorf("the ring has not grown: %+v", st)
			}
			must(t, c.Close())
			said := netLine(t, p, fmt.Sprintf("served %d, ", os.Getpid()))
			if tr.grows && strings.Contains(said, ", 0 moves") {
				t.Errorf("the peer says %q", said)
			}
		})
	}
	// A ring that has grown is given back when it is idle, and what comes then
	// goes through the first one again.
	t.Run("shrinks", func(t *testing.T) {
		c := netDial(t, path, nil)
		echo := func(n int) {
			go c.Write(netContent(n))
			b := make([]byte, n)
			if _, err := io.ReadFull(c, b); err != nil || !bytes.Equal(b, netContent(n)) {
				t.Fatalf("echo of %d bytes: %v", n, err)
			}
		}
		echo(8 << 20)
		for limit := time.Now().Add(30 * time.Second); c.Stats().Ring > shmnet.DefaultRing; {
			if time.Now().After(limit) {
				t.Fatalf("the ring stays: %+v", c.Stats())
			}
			time.Sleep(10 * time.Millisecond)
		}
		echo(10_000)
		echo(8 << 20)
		must(t, c.Close())
		netLine(t, p, "served ")
	})
	// What is no client is counted, and the next one is served.
	t.Run("strangers", func(t *testing.T) {
		s, err := net.Dial("unix", path)
		must(t, err)
		defer s.Close()
		_, err = s.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		must(t, err)
		netLine(t, p, "failed: the client did not begin with a hello of 64 bytes")
		c := netDial(t, path, nil)
		must(t, c.Close())
		netLine(t, p, "served ")
	})
	// A second listener is refused, and leaves the first one's socket alone.
	second := netPeer(t, "echo", path)
	second.Expect("SHM_NET_EBUSY: somebody listens at " + path)
	second.Wait()
	p.CloseInput()
	p.Wait()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

// TestNetBothInC has both ends in C.
func TestNetBothInC(t *testing.T) {
	path := socketPath(t)
	s := netPeer(t, "echo", path)
	s.Expect("listening")
	for _, tr := range transfers {
		p := netPeer(t, "ask", path, fmt.Sprint(tr.total), fmt.Sprint(tr.piece))
		netLine(t, p, fmt.Sprintf("sent %d, got %d, ", tr.total, tr.total))
		p.Wait()
		netLine(t, s, "served ")
	}
	s.CloseInput()
	s.Wait()
}

// TestNetNoGrowth has a peer in C that accepts no greater ring.
func TestNetNoGrowth(t *testing.T) {
	path := socketPath(t)
	p := netPeer(t, "echo", path, "16384", "-1")
	p.Expect("listening")
	c := netDial(t, path, nil)
	all := netContent(8 << 20)
	go c.Write(all)
	back := make([]byte, len(all))
	_, err := io.ReadFull(c, back)
	must(t, err)
	if st := c.Stats(); !bytes.Equal(back, all) || st.Offered != 0 || st.Ring != shmnet.DefaultRing {
		t.Errorf("%+v", st)
	}
	c.Close()
	netLine(t, p, "served ")
	p.CloseInput()
	p.Wait()
}
