//go:build linux

package clients

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmnet"
	"github.com/seed-298b2b26/shm/shmtest"
)

// TestNetGrows has a sender in C whose ring grows under load, is given back,
// and grows again, with a receiver in Go, and in C.
func TestNetGrows(t *testing.T) {
	check := func(t *testing.T, p *shmtest.Process) {
		t.Helper()
		for range 2 {
			var grown, shrunk int
			fmt.Sscanf(netLine(t, p, "grown to "), "grown to %d", &grown)
			fmt.Sscanf(netLine(t, p, "shrunk to "), "shrunk to %d, the first one", &shrunk)
			if grown <= shrunk || grown > shmnet.DefaultMaxRing || shrunk != shmnet.DefaultRing {
				t.Errorf("it grew to %d, and shrank to %d", grown, shrunk)
			}
		}
		p.Expect("end after 0")
		p.Wait()
	}
	t.Run("receiver in Go", func(t *testing.T) {
		l, path := netListen(t, nil)
		p := netPeer(t, "grow", path)
		c := netAccept(t, l)
		done := make(chan error)
		go func() {
			_, err := io.Copy(struct{ io.Writer }{c}, c)
			c.Close()
			done <- err
		}()
		check(t, p)
		must(t, <-done)
		if st := c.Stats(); st.Accepted < 2 || st.Refused != 0 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("receiver in C", func(t *testing.T) {
		path := socketPath(t)
		s := netPeer(t, "echo", path)
		s.Expect("listening")
		check(t, netPeer(t, "grow", path))
		var pid, followed, made int
		fmt.Sscanf(netLine(t, s, "served "), "served %d, %d moves, %d of ours", &pid, &followed, &made)
		if followed < 4 {
			t.Errorf("it followed %d moves", followed)
		}
		s.CloseInput()
		s.Wait()
	})
	t.Run("not at all", func(t *testing.T) {
		l, path := netListen(t, &shmnet.Options{MaxRing: shmnet.DefaultRing})
		p := netPeer(t, "ask", path, "8000000", "60000")
		c := netAccept(t, l)
		_, err := io.Copy(struct{ io.Writer }{c}, c)
		must(t, err)
		must(t, c.Close())
		if said := p.Recv(); !strings.HasSuffix(said, " 0 of ours") {
			t.Errorf("the peer says %q", said)
		}
		p.Wait()
	})
}

// rawNet is a client in Go that has nothing but the socket and the memory.
type rawNet struct {
	t      *testing.T
	socket *net.UnixConn
	memory *memfd.File
}

// Where the lines of the direction from server to client stand.
const (
	netTail   = 2048
	netHead   = 2048 + 128
	netAnswer = 2048 + 136
	netMoved  = 2048 + 144
)

func rawDial(t *testing.T, path string) *rawNet {
	t.Helper()
	socket, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	f := netMemory(t, 4096+2*netRing, netSeals, -1)
	t.Cleanup(func() { f.Close() })
	hello := netHello()
	binary.LittleEndian.PutUint32(hello[48:], 1<<20) // accepted later
	_, err = socket.Write(hello)
	must(t, err)
	must(t, memfd.Send(t.Context(), socket, f))
	answer := make([]byte, 64)
	_, err = io.ReadFull(socket, answer)
	must(t, err)
	if answer[28] != 1 {
		t.Fatalf("the answer is % x", answer)
	}
	return &rawNet{t, socket, f}
}

func (r *rawNet) load(at int64) uint64 {
	r.t.Helper()
	var b [8]byte
	_, err := r.memory.ReadAt(b[:], at)
	must(r.t, err)
	return binary.LittleEndian.Uint64(b[:])
}

func (r *rawNet) store(at int64, v uint64, size int) {
	r.t.Helper()
	_, err := r.memory.WriteAt(binary.LittleEndian.AppendUint64(nil, v)[:size], at)
	must(r.t, err)
}

// bell wakes the server; it may be gone.
func (r *rawNet) bell() { r.socket.Write([]byte{0}) }

// TestNetOffers has a receiver that answers the offers of a sender in C in
// every way.
func TestNetOffers(t *testing.T) {
	const total = 200_000
	for _, c := range []struct {
		name string
		lie  func(r *rawNet)
		want string
	}{
		{"answers what was not asked", func(r *rawNet) { r.store(netAnswer, 49<<1|1, 8) }, "the peer breaks the protocol: it answers so many offers, of so many (49, 1)"},
		{"follows what was not moved", func(r *rawNet) { r.store(netMoved, 5, 4); r.store(netAnswer, 1<<1|1, 8) }, "the peer breaks the protocol: it says that it followed so many moves, of so many (5, 0)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := socketPath(t)
			p := netPeer(t, "pour", path, fmt.Sprint(total))
			p.Expect("listening")
			r := rawDial(t, path)
			f, err := memfd.Receive(t.Context(), r.socket, &memfd.Want{Seals: netSeals})
			must(t, err)
			must(t, f.Close())
			c.lie(r)
			r.bell()
			if said := netLine(t, p, fmt.Sprintf("wrote %d, 0 moves: ", netRing)); !strings.HasSuffix(said, c.want) {
				t.Errorf("the peer says %q", said)
			}
			p.Wait()
		})
	}
	t.Run("refuses", func(t *testing.T) {
		path := socketPath(t)
		p := netPeer(t, "pour", path, fmt.Sprint(total))
		p.Expect("listening")
		r := rawDial(t, path)
		f, err := memfd.Receive(t.Context(), r.socket, &memfd.Want{Seals: netSeals})
		must(t, err)
		st, err := f.Stat()
		must(t, err)
		if st.Size != 256<<10 { // the least power of four rings that holds all
			t.Errorf("a ring of %d bytes is offered", st.Size)
		}
		must(t, f.Close())
		r.store(netAnswer, 1<<1, 8)
		ring := make([]byte, netRing)
		var got []byte
		for limit := time.Now().Add(20 * time.Second); len(got) < total; {
			tail, head := int(r.load(netTail)), len(got)
			_, err := r.memory.ReadAt(ring, 4096+netRing)
			must(t, err)
			for i := head; i < tail; i++ {
				got = append(got, ring[i%netRing])
			}
			r.store(netHead, uint64(tail), 8)
			r.bell()
			if time.Now().After(limit) {
				t.Fatalf("%d bytes came in time", len(got))
			}
		}
		if !bytes.Equal(got, netContent(total)) {
			t.Error("other bytes came")
		}
		netLine(t, p, fmt.Sprintf("wrote %d, 0 moves", total))
		p.Wait()
	})
}

// TestNetSilent has clients that say nothing, or not enough, or slowly, to a
// server in C: they hold nobody up.
func TestNetSilent(t *testing.T) {
	path := socketPath(t)
	p := netPeer(t, "echo", path)
	p.Expect("listening")
	connect := func() *net.UnixConn {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		must(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	served := func(failed int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // less than the silent ones have
		defer cancel()
		c, err := shmnet.Dial(ctx, path, nil)
		must(t, err)
		_, err = c.Write([]byte("hello"))
		must(t, err)
		must(t, c.CloseWrite())
		if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
			t.Errorf("%q, %v", b, err)
		}
		must(t, c.Close())
		for range failed {
			p.Expect("failed: the client did not finish the handshake in time")
		}
		netLine(t, p, fmt.Sprintf("served %d", os.Getpid()))
	}
	hello := netHello()
	var silent []*net.UnixConn
	for n := range 3 {
		silent = append(silent, connect())
		_, err := silent[n].Write(hello[:n*30])
		must(t, err)
	}
	served(0)
	// One that comes byte by byte, past others.
	slow := connect()
	for i := range hello {
		_, err := slow.Write(hello[i : i+1])
		must(t, err)
		if i%16 == 0 {
			served(0)
		}
	}
	served(0)
	f := netMemory(t, 4096+2*netRing, netSeals, -1)
	defer f.Close()
	must(t, memfd.Send(t.Context(), slow, f))
	answer := make([]byte, 64)
	if _, err := io.ReadFull(slow, answer); err != nil || answer[28] != 1 {
		t.Errorf("the slow one is answered % x, %v", answer, err)
	}
	slow.Close()
	netLine(t, p, "SHM_NET_ERESET: ")
	// With the one who is served they are more than there are places for: the
	// oldest go.
	const places = 64
	for range places {
		connect()
	}
	served(len(silent) + places + 1 - places)
	for _, c := range silent {
		if _, err := c.Read(answer); err == nil {
			t.Error("a silent client was answered")
		}
	}
	p.CloseInput()
	p.Wait()

	// Who says nothing for too long is let go, while accept waits.
	p = netPeer(t, "serve", path, "30")
	p.Expect("listening")
	c := connect()
	must(t, c.SetReadDeadline(time.Now().Add(4*time.Second))) // the default is longer
	if _, err := c.Read(answer); err != io.EOF {
		t.Errorf("the silent client is told %v", err)
	}
	conn := netDial(t, path, nil)
	netLine(t, p, "accepted ")
	must(t, conn.Close())
	p.Expect("end after 0")
	p.Wait()
}
