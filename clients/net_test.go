//go:build linux

package clients

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmnet"
	"github.com/seed-298b2b26/shm/shmtest"
)

// netPeer starts the peer of connections in C, under the sanitizers.
func netPeer(t testing.TB, args ...string) *shmtest.Process {
	t.Helper()
	flags := append(append([]string{}, strict...), sanitized...)
	return shmtest.Exec(t, compile(t, shmtest.CC(t), "netpeer.c", flags...), args...)
}

// socketPath is a path for a socket that fits, and is gone after the test.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "net")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// netListen listens in Go.
func netListen(t testing.TB, opts *shmnet.Options) (*shmnet.Listener, string) {
	t.Helper()
	path := socketPath(t)
	l, err := shmnet.Listen(t.Context(), path, opts)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l, path
}

func netAccept(t testing.TB, l *shmnet.Listener) *shmnet.Conn {
	t.Helper()
	c, err := l.AcceptConn()
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func netDial(t testing.TB, path string, opts *shmnet.Options) *shmnet.Conn {
	t.Helper()
	c, err := shmnet.Dial(t.Context(), path, opts)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// netContent is what is sent, as testdata/netpeer.c has it.
func netContent(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint32(i) * 2654435761 >> 24)
	}
	return b
}

// netLine gives the next line, and fails unless it begins so.
func netLine(t testing.TB, p *shmtest.Process, begin string) string {
	t.Helper()
	s := p.Recv()
	if !strings.HasPrefix(s, begin) {
		t.Fatalf("the peer says %q, want %q", s, begin)
	}
	return s
}

// TestNetCompiles compiles the header alone, by what compilers there are.
func TestNetCompiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ cc, lang, std string }{
		{"gcc", "c", "c11"}, {"gcc", "c", "c17"}, {"clang", "c", "c11"},
		{"g++", "c++", "c++17"}, {"clang++", "c++", "c++17"}, {"aarch64-linux-gnu-gcc", "c", "c11"},
	} {
		if _, err := exec.LookPath(c.cc); err != nil {
			t.Logf("no %s", c.cc)
			continue
		}
		source := filepath.Join(dir, "main."+c.lang)
		must(t, os.WriteFile(source, []byte("#include \"shm_net.h\"\nint main(void) { return 0; }\n"), 0o644))
		args := []string{"-x", c.lang, "-std=" + c.std, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Ic", "-o", filepath.Join(dir, "out"), source}
		if out, err := exec.Command(c.cc, args...).CombinedOutput(); err != nil {
			t.Errorf("%s -std=%s: %v\n%s", c.cc, c.std, err, out)
		}
	}
}

// TestNetGolden reads the memory of the specification, and takes its hello and
// its answer.
func TestNetGolden(t *testing.T) {
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "spec", "testdata", name))
		must(t, err)
		return b
	}
	p := netPeer(t, "golden", filepath.Join("..", "spec", "testdata", "shmnet-v1-memory.bin"))
	p.Expect("tail 4200 at 4200 moves 1 to 1 offer 1 fin 0 head 4100 answer 3 moved 0 shut 1 receiver 0 sender 1 want 18446744073709543528")
	p.Expect("tail 6 at 0 moves 0 to 0 offer 0 fin 1 head 0 answer 0 moved 0 shut 0 receiver 0 sender 0 want 0")
	p.Wait()

	path := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	defer l.Close()
	p = netPeer(t, "stuck", path)
	c, err := l.AcceptUnix()
	must(t, err)
	defer c.Close()
	_, err = c.Write(file("shmnet-v1-answer.bin"))
	must(t, err)
	p.Expect("SHM_NET_EREFUSED: the server refuses: too large")
	p.Wait()

	// The memory is one of a connection that has gone on, so its cursors are
	// none that a new one can have.
	path = socketPath(t)
	p = netPeer(t, "serve", path)
	p.Expect("listening")
	client, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	defer client.Close()
	memory := file("shmnet-v1-memory.bin")
	f, err := memfd.CreateSized("golden", int64(len(memory)), nil)
	must(t, err)
	defer f.Close()
	if _, err := f.WriteAt(memory, 0); err != nil {
		t.Fatal(err)
	}
	must(t, f.AddSeals(memfd.F_SEAL_SHRINK|memfd.F_SEAL_GROW|memfd.F_SEAL_SEAL))
	_, err = client.Write(file("shmnet-v1-hello.bin"))
	must(t, err)
	must(t, memfd.Send(t.Context(), client, f))
	answer := make([]byte, 64)
	_, err = io.ReadFull(client, answer)
	must(t, err)
	if !bytes.HasPrefix(answer, []byte("shmnet\r\n\x01\x00\x00\x00\x01\x00\x00\x00")) || answer[28] != 1 {
		t.Errorf("the answer is % x", answer)
	}
	netLine(t, p, "accepted ")
	netLine(t, p, "SHM_NET_ECORRUPT after 0: the peer breaks the protocol: it says that so many bytes are there")
	p.Wait()
}
