//go:build linux

package clients

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

// netRing is the ring of the hellos below, in either direction.
const netRing = 4096

const netSeals = memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW | memfd.F_SEAL_SEAL

// netHello is a hello that is right.
func netHello() []byte {
	b, le := make([]byte, 64), binary.LittleEndian
	copy(b, "shmnet\r\n")
	le.PutUint32(b[8:], 1)
	le.PutUint32(b[12:], 1)
	le.PutUint32(b[24:], 64)
	le.PutUint32(b[28:], 1)
	le.PutUint64(b[32:], 4096+2*netRing)
	le.PutUint32(b[40:], netRing)
	le.PutUint32(b[44:], netRing)
	return b
}

// netMemory is memory for it, of a size, with seals, and with one byte of its
// header changed unless that is negative.
func netMemory(t testing.TB, size int64, seals memfd.Seals, wrong int) *memfd.File {
	t.Helper()
	f, err := memfd.CreateSized("hello", size, nil)
	must(t, err)
	b, le := make([]byte, 32), binary.LittleEndian
	copy(b, "shmnetm\n")
	le.PutUint32(b[8:], 1)
	le.PutUint32(b[12:], 4096)
	le.PutUint64(b[16:], 4096+2*netRing)
	le.PutUint32(b[24:], netRing)
	le.PutUint32(b[28:], netRing)
	if wrong >= 0 {
		b[wrong] ^= 0x40
	}
	if size >= 32 {
		_, err = f.WriteAt(b, 0)
		must(t, err)
	}
	must(t, f.AddSeals(seals))
	return f
}

// greet says a hello, hands over descriptors with the tag, and gives status
// and reason of the answer, zeros where there is none.
func greet(t testing.TB, path string, hello []byte, tag string, fds ...int) (status, reason uint32) {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	defer c.Close()
	// Who has refused already does not read on: then these fail.
	c.Write(hello)
	if tag != "" {
		c.WriteMsgUnix([]byte(tag), syscall.UnixRights(fds...), nil)
	}
	c.CloseWrite()
	b := make([]byte, 64)
	if _, err := io.ReadFull(c, b); err != nil {
		return 0, 0
	}
	return binary.LittleEndian.Uint32(b[28:]), binary.LittleEndian.Uint32(b[32:])
}

// netOutcome reads what the server says of one client.
func netOutcome(t testing.TB, p *shmtest.Process) string {
	t.Helper()
	s := p.Recv()
	for _, begin := range []string{"failed: ", "served ", "SHM_NET_ERESET: "} {
		if strings.HasPrefix(s, begin) {
			return s
		}
	}
	t.Fatalf("the peer says %q", s)
	return ""
}

// TestNetHello says every wrong hello that differs in one bit to a server in C,
// hands it memory that is unfit in every way, and breaks off; after all that
// it serves the next client.
func TestNetHello(t *testing.T) {
	path := socketPath(t)
	p := netPeer(t, "echo", path)
	p.Expect("listening")
	open := func() int {
		n, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
		must(t, err)
		return len(n)
	}
	before := open()
	good := netMemory(t, 4096+2*netRing, netSeals, -1)
	defer good.Close()

	if status, _ := greet(t, path, netHello(), "m", good.FD()); status != 1 {
		t.Fatalf("a good hello has status %d", status)
	}
	netOutcome(t, p)
	for bit := range 64 * 8 {
		hello := netHello()
		hello[bit/8] ^= 1 << (bit % 8)
		status, reason := greet(t, path, hello, "m", good.FD())
		said := netOutcome(t, p)
		at := bit / 8
		// The upper half of the features may be ignored, and what is accepted
		// later may be any size that is possible; version 3 is spoken as 1, and
		// least 0 means 1; flag 2 is known; the rest is reserved.
		free := at >= 20 && at < 24 || at >= 48
		switch {
		case at < 8:
			if status != 0 {
				t.Errorf("bit %d: without the magic the status is %d", bit, status)
			}
		case status == 1:
			if !free && !(at >= 8 && at < 16) && bit != 28*8+1 {
				t.Errorf("bit %d is accepted: %s", bit, said)
			}
		case status != 3 || reason == 0:
			t.Errorf("bit %d: status %d, reason %d: %s", bit, status, reason, said)
		}
	}
	for n := range 64 {
		if status, _ := greet(t, path, netHello()[:n], ""); status != 0 {
			t.Errorf("%d bytes of a hello have status %d", n, status)
		}
		netOutcome(t, p)
	}

	unfit := func(what string, tag string, fds ...int) {
		t.Helper()
		status, reason := greet(t, path, netHello(), tag, fds...)
		said := netOutcome(t, p)
		if status != 3 || reason != 4 {
			t.Errorf("%s: status %d, reason %d: %s", what, status, reason, said)
		}
	}
	for what, f := range map[string]*memfd.File{
		"no seals":        netMemory(t, 4096+2*netRing, 0, -1),
		"no SHRINK":       netMemory(t, 4096+2*netRing, netSeals&^memfd.F_SEAL_SHRINK, -1),
		"no GROW":         netMemory(t, 4096+2*netRing, netSeals&^memfd.F_SEAL_GROW, -1),
		"no SEAL":         netMemory(t, 4096+2*netRing, netSeals&^memfd.F_SEAL_SEAL, -1),
		"write-protected": netMemory(t, 4096+2*netRing, netSeals|memfd.F_SEAL_WRITE, -1),
		"too short":       netMemory(t, 4096+netRing, netSeals, -1),
		"too long":        netMemory(t, 4096+3*netRing, netSeals, -1),
		"wrong magic":     netMemory(t, 4096+2*netRing, netSeals, 0),
		"wrong version":   netMemory(t, 4096+2*netRing, netSeals, 8),
		"wrong control":   netMemory(t, 4096+2*netRing, netSeals, 13),
		"wrong size":      netMemory(t, 4096+2*netRing, netSeals, 17),
		"wrong ring":      netMemory(t, 4096+2*netRing, netSeals, 29),
	} {
		unfit(what, "m", f.FD())
		must(t, f.Close())
	}
	readOnly, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", good.FD()))
	must(t, err)
	defer readOnly.Close()
	unfit("read-only", "m", int(readOnly.Fd()))
	ordinary, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	defer ordinary.Close()
	must(t, ordinary.Truncate(4096+2*netRing))
	unfit("a file", "m", int(ordinary.Fd()))
	unfit("two", "m", good.FD(), good.FD())
	unfit("many", "m", good.FD(), good.FD(), good.FD(), good.FD(), good.FD(), good.FD(), good.FD(), good.FD(), good.FD(), good.FD())
	unfit("another tag", "x", good.FD())

	c := netDial(t, path, nil)
	_, err = c.Write([]byte("hello"))
	must(t, err)
	must(t, c.CloseWrite())
	if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
		t.Errorf("after all that: %q, %v", b, err)
	}
	netLine(t, p, "served ")
	// Nothing of all that is left in it, as soon as it has closed the last one.
	for limit := time.Now().Add(20 * time.Second); open() != before; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d descriptors are open, before it were %d", open(), before)
		}
	}
	p.CloseInput()
	p.Wait()
}
