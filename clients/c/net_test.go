//go:build linux

package c

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmnet"
	"github.com/seed-298b2b26/shm/shmtest"
)

var strict = []string{"-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"}

// What the sanitizers find is fatal.
var sanitized = []string{"-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}

// built is the peer, compiled once for all tests.
var built struct {
	sync.Once
	dir, path, trouble string
}

func TestMain(m *testing.M) {
	code := shmtest.Main(m)
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// peer starts the peer in C, under the sanitizers.
func peer(t testing.TB, args ...string) *shmtest.Process {
	t.Helper()
	cc := shmtest.CC(t)
	built.Do(func() {
		built.dir, _ = os.MkdirTemp("", "netpeer")
		path := filepath.Join(built.dir, "netpeer")
		flags := append(append([]string{"-I.", "-o", path}, strict...), sanitized...)
		if out, err := exec.Command(cc, append(flags, "testdata/netpeer.c")...).CombinedOutput(); err != nil {
			built.trouble = fmt.Sprintf("%s: %v\n%s", cc, err, out)
			return
		}
		built.path = path
	})
	if built.trouble != "" {
		t.Fatal(built.trouble)
	}
	return shmtest.Exec(t, built.path, args...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// socketPath is a path for a socket that fits, and is gone after the test.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "net")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// listen listens in Go.
func listen(t testing.TB, opts *shmnet.Options) (*shmnet.Listener, string) {
	t.Helper()
	path := socketPath(t)
	l, err := shmnet.Listen(t.Context(), path, opts)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l, path
}

func accept(t testing.TB, l *shmnet.Listener) *shmnet.Conn {
	t.Helper()
	c, err := l.AcceptConn()
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func dial(t testing.TB, path string, opts *shmnet.Options) *shmnet.Conn {
	t.Helper()
	c, err := shmnet.Dial(t.Context(), path, opts)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// content is what is sent, as testdata/netpeer.c has it.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(uint32(i) * 2654435761 >> 24)
	}
	return b
}

// line gives the next line, and fails unless it begins so.
func line(t testing.TB, p *shmtest.Process, begin string) string {
	t.Helper()
	s := p.Recv()
	if !strings.HasPrefix(s, begin) {
		t.Fatalf("the peer says %q, want %q", s, begin)
	}
	return s
}

// TestCompiles compiles the header alone, by what compilers there are.
func TestCompiles(t *testing.T) {
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
		args := []string{"-x", c.lang, "-std=" + c.std, "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I.", "-o", filepath.Join(dir, "out"), source}
		if out, err := exec.Command(c.cc, args...).CombinedOutput(); err != nil {
			t.Errorf("%s -std=%s: %v\n%s", c.cc, c.std, err, out)
		}
	}
}

// TestGolden reads the memory of the specification, and takes its hello and
// its answer.
func TestGolden(t *testing.T) {
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "..", "spec", "testdata", name))
		must(t, err)
		return b
	}
	p := peer(t, "golden", filepath.Join("..", "..", "spec", "testdata", "shmnet-v1-memory.bin"))
	p.Expect("tail 4200 at 4200 moves 1 to 1 offer 1 fin 0 head 4100 answer 3 moved 0 shut 1 receiver 0 sender 1 want 18446744073709543528")
	p.Expect("tail 6 at 0 moves 0 to 0 offer 0 fin 1 head 0 answer 0 moved 0 shut 0 receiver 0 sender 0 want 0")
	p.Wait()

	path := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	defer l.Close()
	p = peer(t, "stuck", path)
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
	p = peer(t, "serve", path)
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
	line(t, p, "accepted ")
	line(t, p, "SHM_NET_ECORRUPT after 0: the peer breaks the protocol: it says that so many bytes are there")
	p.Wait()
}

// transfers are how much is sent, in pieces of how much, and whether the ring
// of the Go side grows meanwhile.
var transfers = []struct {
	total, piece int
	grows        bool
}{
	{1, 1, false}, {1000, 1, false}, {100_000, 4097, false}, {24 << 20, 60_000, true},
}

// TestServerInGo has a client in C whose bytes come back.
func TestServerInGo(t *testing.T) {
	l, path := listen(t, nil)
	for _, tr := range transfers {
		t.Run(fmt.Sprintf("%d by %d", tr.total, tr.piece), func(t *testing.T) {
			p := peer(t, "ask", path, fmt.Sprint(tr.total), fmt.Sprint(tr.piece))
			c := accept(t, l)
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
			said := line(t, p, fmt.Sprintf("sent %d, got %d, ", tr.total, tr.total))
			p.Wait()
			if tr.grows && (st.Ring <= shmnet.DefaultRing || strings.HasSuffix(said, " 0 moves")) {
				t.Errorf("the ring has not grown: %+v; the peer says %q", st, said)
			}
		})
	}
}

// TestServerInC has a server in C that sends back what a client in Go sends.
func TestServerInC(t *testing.T) {
	path := socketPath(t)
	p := peer(t, "echo", path)
	p.Expect("listening")
	for _, tr := range transfers {
		t.Run(fmt.Sprintf("%d by %d", tr.total, tr.piece), func(t *testing.T) {
			c := dial(t, path, nil)
			all := content(tr.total)
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
			said := line(t, p, fmt.Sprintf("served %d, ", os.Getpid()))
			if tr.grows && strings.HasSuffix(said, " 0 moves") {
				t.Errorf("the peer says %q", said)
			}
		})
	}
	// A ring that has grown is given back when it is idle, and what comes then
	// goes through the first one again.
	t.Run("shrinks", func(t *testing.T) {
		c := dial(t, path, nil)
		echo := func(n int) {
			go c.Write(content(n))
			b := make([]byte, n)
			if _, err := io.ReadFull(c, b); err != nil || !bytes.Equal(b, content(n)) {
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
		line(t, p, "served ")
	})
	// What is no client is counted, and the next one is served.
	t.Run("strangers", func(t *testing.T) {
		s, err := net.Dial("unix", path)
		must(t, err)
		defer s.Close()
		_, err = s.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		must(t, err)
		line(t, p, "failed: the client did not begin with a hello of 64 bytes")
		c := dial(t, path, nil)
		must(t, c.Close())
		line(t, p, "served ")
	})
	// A second listener is refused, and leaves the first one's socket alone.
	second := peer(t, "echo", path)
	second.Expect("SHM_NET_EBUSY: somebody listens at " + path)
	second.Wait()
	p.CloseInput()
	p.Wait()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

// TestBothInC has both ends in C.
func TestBothInC(t *testing.T) {
	path := socketPath(t)
	s := peer(t, "echo", path)
	s.Expect("listening")
	for _, tr := range transfers {
		p := peer(t, "ask", path, fmt.Sprint(tr.total), fmt.Sprint(tr.piece))
		line(t, p, fmt.Sprintf("sent %d, got %d, ", tr.total, tr.total))
		p.Wait()
		line(t, s, "served ")
	}
	s.CloseInput()
	s.Wait()
}

// TestNoGrowth has a peer in C that accepts no greater ring.
func TestNoGrowth(t *testing.T) {
	path := socketPath(t)
	p := peer(t, "echo", path, "16384", "-1")
	p.Expect("listening")
	c := dial(t, path, nil)
	all := content(8 << 20)
	go c.Write(all)
	back := make([]byte, len(all))
	_, err := io.ReadFull(c, back)
	must(t, err)
	if st := c.Stats(); !bytes.Equal(back, all) || st.Offered != 0 || st.Ring != shmnet.DefaultRing {
		t.Errorf("%+v", st)
	}
	c.Close()
	line(t, p, "served ")
	p.CloseInput()
	p.Wait()
}

func init() {
	shmtest.Handle("hold", func(c *shmtest.Child) {
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

// TestDeath kills either end, and ends it properly.
func TestDeath(t *testing.T) {
	t.Run("client in C", func(t *testing.T) {
		l, path := listen(t, nil)
		p := peer(t, "stuck", path)
		c := accept(t, l)
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
			p := peer(t, "serve", path)
			p.Expect("listening")
			child := shmtest.Start(t, "hold", path)
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
		p := peer(t, "serve", path)
		p.Expect("listening")
		c := dial(t, path, nil)
		line(t, p, "accepted ")
		p.Kill()
		if b, err := io.ReadAll(c); len(b) > 0 || !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("read %q, %v", b, err)
		}
		// The next one replaces its socket file.
		p = peer(t, "serve", path)
		p.Expect("listening")
		c = dial(t, path, nil)
		line(t, p, "accepted ")
		must(t, c.Close())
		p.Expect("end after 0")
		p.Wait()
	})
	t.Run("full", func(t *testing.T) {
		l, path := listen(t, nil)
		p := peer(t, "full", path)
		c := accept(t, l)
		p.Expect(fmt.Sprintf("SHM_NET_ETIMEOUT after %d", shmnet.DefaultRing))
		must(t, c.CloseRead())
		p.Expect("SHM_NET_EPIPE: the peer takes no more")
		p.Wait()
	})
}

// TestLies has a peer in C that breaks the protocol, against Go and against C.
func TestLies(t *testing.T) {
	for _, word := range []string{"tail", "moves", "to"} {
		t.Run(word, func(t *testing.T) {
			l, path := listen(t, nil)
			p := peer(t, "lie", path, word)
			c := accept(t, l)
			if _, err := io.ReadAll(c); !errors.Is(err, shmnet.ErrCorrupt) {
				t.Errorf("reading: %v", err)
			}
			p.Expect("lied")
			line(t, p, "SHM_NET_ERESET after 0: ")
			p.Wait()

			s := peer(t, "serve", path+".c")
			s.Expect("listening")
			p = peer(t, "lie", path+".c", word)
			line(t, s, "accepted ")
			line(t, s, "SHM_NET_ECORRUPT after 0: the peer breaks the protocol: it says that")
			p.Expect("lied")
			s.Wait()
		})
	}
	t.Run("head", func(t *testing.T) {
		path := socketPath(t)
		s := peer(t, "echo", path)
		s.Expect("listening")
		p := peer(t, "lie", path, "head")
		line(t, s, "SHM_NET_ECORRUPT: the peer breaks the protocol: it says that it took up to so many bytes")
		p.Expect("lied")
		p.Kill()
		s.CloseInput()
		s.Wait()
	})
}

// TestRefused has servers that are none for this client.
func TestRefused(t *testing.T) {
	path := socketPath(t)
	p := peer(t, "stuck", path)
	line(t, p, "SHM_NET_ENOTFOUND: connect to "+path)
	p.Wait()

	must(t, os.WriteFile(path, nil, 0o600))
	p = peer(t, "serve", path)
	p.Expect("SHM_NET_EBUSY: " + path + " is a file that is no socket")
	p.Wait()
	p = peer(t, "serve", "/nodir/s")
	line(t, p, "SHM_NET_ENOTFOUND: the directory of /nodir/s")
	p.Wait()
	p = peer(t, "serve", strings.Repeat("x", 108))
	line(t, p, "SHM_NET_EINVALID: the address has 108 bytes, a socket's has at most 107")
	p.Wait()

	_, path = listen(t, &shmnet.Options{UIDs: []int{os.Getuid() + 1}})
	p = peer(t, "stuck", path)
	line(t, p, "SHM_NET_EPERMISSION: the server refuses: ")
	p.Wait()
	_, path = listen(t, &shmnet.Options{Ring: 4096, MaxRing: 4096})
	p = peer(t, "stuck", path)
	line(t, p, "SHM_NET_EREFUSED: the server refuses: a ring of 16384 bytes")
	p.Wait()

	path = socketPath(t)
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	p = peer(t, "stuck", path)
	c, err := l.Accept()
	must(t, err)
	_, err = c.Write([]byte("220 mail\r\n"))
	must(t, err)
	line(t, p, "SHM_NET_EPROTOCOL: the server answers something else")
	p.Wait()
	c.Close()
}
