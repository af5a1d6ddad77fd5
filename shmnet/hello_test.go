package shmnet

import (
	"bytes"
	"encoding/binary"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

var le = binary.LittleEndian

// goodHello is what a client says with rings of 16 KiB.
func goodHello() *hello {
	return &hello{version: 1, least: 1, flags: flagMemory, sizes: sizes{16 << 10, 16 << 10}, takes: 1 << 20}
}

// rawClient connects to a listener without any protocol.
func rawClient(t testing.TB, l *Listener) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// readAnswer reads what a server says to a hello.
func readAnswer(t testing.TB, c net.Conn) answer {
	t.Helper()
	b := make([]byte, helloSize)
	if n, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("answer of %d bytes: %v", n, err)
	}
	a, n, err := decodeAnswer(b)
	must(t, err)
	text := make([]byte, n)
	_, err = io.ReadFull(c, text)
	must(t, err)
	a.text = string(text)
	return a
}

// memoryFor makes the memory of a hello.
func memoryFor(t testing.TB, s sizes, seals memfd.Seals) *memfd.File {
	t.Helper()
	f, err := memfd.CreateSized("hostile", s.total(), &memfd.Options{Sparse: true})
	must(t, err)
	t.Cleanup(func() { f.Close() })
	r := mem.Heap(controlSize)
	s.writeHeader(r)
	_, err = f.WriteAt(r.Bytes(), 0)
	must(t, err)
	must(t, f.AddSeals(seals))
	return f
}

// TestHostileHello says hello wrongly in every way, and is told what is wrong.
func TestHostileHello(t *testing.T) {
	l := listen(t, nil)
	good := sizes{16 << 10, 16 << 10}
	for _, c := range []struct {
		name   string
		change func(b []byte)
		memory func(t *testing.T) *memfd.File // nil: none is sent
		reason uint32
		text   string
	}{
		{"version of tomorrow", func(b []byte) { le.PutUint32(b[8:], 9); le.PutUint32(b[12:], 7) }, nil, reasonVersion, "the client speaks versions 7 to 9 of the protocol, this side 1 to 1"},
		{"version 0", func(b []byte) { le.PutUint32(b[8:], 0) }, nil, reasonVersion, "versions 1 to 0"},
		{"feature", func(b []byte) { le.PutUint64(b[16:], 4) }, nil, reasonFeatures, "features 0x4"},
		{"size", func(b []byte) { le.PutUint32(b[24:], 63) }, nil, reasonMalformed, "63 bytes"},
		{"flags", func(b []byte) { le.PutUint32(b[28:], 8|1) }, nil, reasonMalformed, "flags 0x9"},
		{"size of memory", func(b []byte) { le.PutUint64(b[32:], 1<<40) }, nil, reasonMalformed, "1099511627776 bytes of memory"},
		{"ring of 0", func(b []byte) { le.PutUint32(b[40:], 0); le.PutUint64(b[32:], 4096+16<<10) }, nil, reasonMalformed, "a ring of 0 bytes"},
		{"ring of 5000", func(b []byte) { le.PutUint32(b[40:], 5000); le.PutUint64(b[32:], 4096+16<<10+5000) }, nil, reasonMalformed, "power of two"},
		{"ring of 2 GiB", func(b []byte) { le.PutUint32(b[40:], 1<<31); le.PutUint64(b[32:], 4096+16<<10+1<<31) }, nil, reasonMalformed, "power of two"},
		{"ring of 4 MiB", func(b []byte) { le.PutUint32(b[40:], 4<<20); le.PutUint64(b[32:], 4096+16<<10+4<<20) }, nil, reasonTooLarge, "1048576 are allowed"},
		{"later rings", func(b []byte) { le.PutUint32(b[48:], 1<<31) }, nil, reasonMalformed, "accepts rings"},
		{"no memory", func(b []byte) { le.PutUint32(b[28:], 0) }, nil, reasonNoMeans, "no memory to share"},
		{"unsealed", nil, func(t *testing.T) *memfd.File { return memoryFor(t, good, 0) }, reasonMemory, "seals"},
		{"not sealed for good", nil, func(t *testing.T) *memfd.File { return memoryFor(t, good, memfd.F_SEAL_SHRINK|memfd.F_SEAL_GROW) }, reasonMemory, "seals"},
		{"write-sealed", nil, func(t *testing.T) *memfd.File { return memoryFor(t, good, needSeals|memfd.F_SEAL_WRITE) }, reasonMemory, "forbidden were"},
		{"future-write-sealed", nil, func(t *testing.T) *memfd.File { return memoryFor(t, good, needSeals|memfd.F_SEAL_FUTURE_WRITE) }, reasonMemory, "forbidden were"},
		{"other size", nil, func(t *testing.T) *memfd.File { return memoryFor(t, sizes{4096, 4096}, needSeals) }, reasonMemory, "at least 36864 were demanded"},
		{"too long", nil, func(t *testing.T) *memfd.File { return memoryFor(t, sizes{64 << 10, 64 << 10}, needSeals) }, reasonMemory, "at most 36864 were demanded"},
		{"other header", nil, func(t *testing.T) *memfd.File { return memoryFor(t, sizes{8 << 10, 24 << 10}, needSeals) }, reasonMemory, "not those of the hello"},
		{"read-only", nil, func(t *testing.T) *memfd.File {
			f, err := memoryFor(t, good, needSeals).Reopen(os.O_RDONLY)
			must(t, err)
			t.Cleanup(func() { f.Close() })
			return f
		}, reasonMemory, "reading only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			failed := l.Stats().Failed
			conn := rawClient(t, l)
			b := goodHello().encode()
			if c.change != nil {
				c.change(b)
			}
			_, err := conn.Write(b)
			must(t, err)
			if c.memory != nil {
				must(t, memfd.Send(t.Context(), conn, c.memory(t)))
			}
			a := readAnswer(t, conn)
			if a.status != statusRefused || a.reason != c.reason || !strings.Contains(a.text, c.text) {
				t.Errorf("answered %+v", a)
			}
			if n, err := conn.Read(b); n != 0 || err == nil {
				t.Errorf("the connection goes on: %d, %v", n, err)
			}
			eventually(t, "the handshake is counted", func() bool { return l.Stats().Failed == failed+1 })
		})
	}
	t.Run("no descriptor", func(t *testing.T) {
		conn := rawClient(t, l)
		_, err := conn.Write(append(goodHello().encode(), 'm'))
		must(t, err)
		if a := readAnswer(t, conn); a.reason != reasonMemory || !strings.Contains(a.text, "0 descriptors") {
			t.Errorf("answered %+v", a)
		}
	})
	t.Run("surplus descriptors", func(t *testing.T) {
		conn := rawClient(t, l)
		_, err := conn.Write(goodHello().encode())
		must(t, err)
		f := memoryFor(t, good, needSeals)
		_, _, err = conn.WriteMsgUnix([]byte{'m'}, syscall.UnixRights(f.FD(), f.FD(), f.FD()), nil)
		must(t, err)
		if a := readAnswer(t, conn); a.reason != reasonMemory || !strings.Contains(a.text, "3 descriptors") {
			t.Errorf("answered %+v", a)
		}
	})
	t.Run("something else", func(t *testing.T) {
		conn := rawClient(t, l)
		_, err := conn.Write(goodHello().encode())
		must(t, err)
		r, w, err := os.Pipe()
		must(t, err)
		defer r.Close()
		defer w.Close()
		_, _, err = conn.WriteMsgUnix([]byte{'m'}, syscall.UnixRights(int(r.Fd())), nil)
		must(t, err)
		if a := readAnswer(t, conn); a.reason != reasonMemory || !strings.Contains(a.text, "not a memfd") {
			t.Errorf("answered %+v", a)
		}
	})
	t.Run("half", func(t *testing.T) {
		conn := rawClient(t, l)
		_, err := conn.Write(goodHello().encode()[:40])
		must(t, err)
		must(t, conn.CloseWrite())
		if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
			t.Errorf("answered %d bytes, %v", n, err)
		}
	})
	t.Run("good", func(t *testing.T) {
		conn := rawClient(t, l)
		_, err := conn.Write(goodHello().encode())
		must(t, err)
		must(t, memfd.Send(t.Context(), conn, memoryFor(t, good, needSeals)))
		if a := readAnswer(t, conn); a.status != statusMemory || a.version != 1 || a.takes != DefaultMaxRing {
			t.Errorf("answered %+v", a)
		}
		s, err := l.AcceptConn()
		must(t, err)
		must(t, s.Close())
	})
}

// TestHostileAnswer is a server that answers wrongly.
func TestHostileAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   error
		words  string
	}{
		{"refused", func(b []byte) { le.PutUint32(b[28:], 3); le.PutUint32(b[32:], 5); le.PutUint32(b[24:], 68) }, errNoSpace, `the server refuses: "text"`},
		{"version of tomorrow", func(b []byte) {
			le.PutUint32(b[8:], 9)
			le.PutUint32(b[12:], 7)
			le.PutUint32(b[28:], 3)
			le.PutUint32(b[32:], 1)
			le.PutUint32(b[24:], 68)
		}, ErrVersion, "it speaks versions 7 to 9 of the protocol, this side 1 to 1"},
		{"accepts in another version", func(b []byte) { le.PutUint32(b[8:], 9) }, ErrVersion, "version 9"},
		{"features", func(b []byte) { b[16] = 1 }, ErrCorrupt, "features 0x1"},
		{"status", func(b []byte) { b[28] = 4 }, ErrCorrupt, "status 4"},
		{"plain, which was not offered", func(b []byte) { b[28] = 2 }, ErrCorrupt, "plain socket, which was not offered"},
		{"length", func(b []byte) { le.PutUint32(b[24:], 1<<31) }, ErrCorrupt, "2147483648 bytes"},
		{"short", func(b []byte) { le.PutUint32(b[24:], 63) }, ErrCorrupt, "63 bytes"},
		{"rings", func(b []byte) { le.PutUint32(b[36:], 1<<31) }, ErrCorrupt, "accepts rings"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := socketPath(t)
			l, err := net.Listen("unix", path)
			must(t, err)
			defer l.Close()
			done := make(chan bool)
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				io.ReadFull(conn, make([]byte, helloSize))
				b := (&answer{version: 1, least: 1, status: statusMemory}).encode()
				c.change(b)
				conn.Write(append(b, "text"...))
				io.Copy(io.Discard, conn)
			}()
			_, err = Dial(t.Context(), path, nil)
			wantError(t, err, c.want, c.words)
			<-done
		})
	}
}

// TestNoDescriptors lets a server run out of them in the middle of a
// handshake. It says so, and goes on when there are some again.
func TestNoDescriptors(t *testing.T) {
	path := socketPath(t)
	p := shmtest.Start(t, "few descriptors", path)
	p.Expect("ready")
	greet := func(flags uint32) (net.Conn, answer) {
		c, err := net.Dial("unix", path)
		must(t, err)
		p.Expect("exhausted")
		h := goodHello()
		h.flags |= flags
		_, err = c.Write(h.encode())
		must(t, err)
		must(t, memfd.Send(t.Context(), c.(*net.UnixConn), memoryFor(t, h.sizes, needSeals)))
		return c, readAnswer(t, c)
	}
	c, a := greet(0)
	defer c.Close()
	if a.status != statusRefused || a.reason != reasonNoMeans || !strings.Contains(a.text, "too many open") {
		t.Errorf("answered %+v", a)
	}
	p.Send("free")
	p.Expect("free")
	// One that allows it gets the plain socket.
	c, a = greet(flagPlain)
	defer c.Close()
	if a.status != statusPlain {
		t.Errorf("answered %+v", a)
	}
	_, err := c.Write([]byte("hello"))
	must(t, err)
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	p.Expect("plain")
	p.Send("free")
	p.Expect("free")
	good, err := Dial(t.Context(), path, nil)
	must(t, err)
	defer good.Close()
	p.Expect("accepted")
	p.Wait()
}

func init() {
	shmtest.Handle("few descriptors", func(c *shmtest.Child) {
		l, err := Listen(background, c.Args[0], &Options{Plain: true})
		c.Check(err)
		defer l.Close()
		c.Send("ready")
		var old syscall.Rlimit
		c.Check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
		exhaust := func() (free func()) {
			eventually(c, "one waits in accept, one has begun", func() bool { return len(l.places) == 2 })
			c.Check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: old.Max}))
			var all []int
			for {
				fd, err := syscall.Dup(0)
				if err != nil {
					break
				}
				all = append(all, fd)
			}
			c.Send("exhausted")
			return func() {
				for _, fd := range all {
					syscall.Close(fd)
				}
				c.Check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
				eventually(c, "the handshake is over", func() bool { return len(l.places) == 1 })
				c.Send("free")
			}
		}
		free := exhaust()
		c.Expect("free")
		free()
		free = exhaust()
		plain, err := l.AcceptConn()
		c.Check(err)
		if !plain.Stats().Plain {
			c.Fatalf("%+v", plain.Stats())
		}
		_, err = io.CopyN(struct{ io.Writer }{plain}, plain, 5)
		c.Check(err)
		c.Send("plain")
		c.Expect("free")
		free()
		conn, err := l.Accept()
		c.Check(err)
		c.Send("accepted")
		conn.Close()
		plain.Close()
	})
}

// TestGolden compares a hello, an answer, and the memory of a connection after
// a few steps with files that other implementations are held to as well.
func TestGolden(t *testing.T) {
	s := sizes{4096, 8192}
	r := mem.Heap(int(s.total()))
	s.writeHeader(r)
	there, err := linesOf(r, 0)
	must(t, err)
	back, err := linesOf(r, 1)
	must(t, err)
	client, server := newSender(there, s.ring(r, 0)), newReceiver(there, s.ring(r, 0))
	answers := newSender(back, s.ring(r, 1))
	// 4000 bytes there and taken, then 200 more around the end of the ring, of
	// which 100 are taken and the others wait.
	client.put(bytes.Repeat([]byte("0123456789"), 400))
	client.publish()
	must(t, server.refill())
	server.take(4000)
	must(t, client.refresh())
	client.put(bytes.Repeat([]byte("abcdefghij"), 20))
	client.publish()
	must(t, server.refill())
	server.take(100)
	server.tell()
	// The server sends a line, ends its side and takes no more; the client
	// sleeps, with its first offer made, answered and followed.
	answers.put([]byte("hello\n"))
	answers.publish()
	answers.finish()
	server.lines.shut()
	client.offered(newMemory(mem.Heap(16384), 1, nil))
	server.answer(newMemory(mem.Heap(16384), 1, nil))
	must(t, client.settle())
	client.arm()

	h := hello{version: 1, least: 1, flags: flagMemory | flagPlain, sizes: s, takes: 1 << 20}
	a := answer{version: 1, least: 1, status: statusRefused, reason: reasonTooLarge, takes: 1 << 20, text: "too large"}
	for name, got := range map[string][]byte{
		"shmnet-v1-hello.bin":  h.encode(),
		"shmnet-v1-answer.bin": a.encode(),
		"shmnet-v1-memory.bin": r.Bytes(),
	} {
		path := filepath.Join("..", "spec", "testdata", name)
		if *update {
			must(t, os.WriteFile(path, got, 0o644))
		}
		want, err := os.ReadFile(path)
		must(t, err)
		if len(want) != len(got) {
			t.Fatalf("%s has %d bytes, want %d", name, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%s: at %d stands %#x, want %#x", name, i, got[i], want[i])
			}
		}
	}
}

// FuzzHello reads what strangers say first. What is accepted says the same
// when it is said again.
func FuzzHello(f *testing.F) {
	f.Add(goodHello().encode())
	f.Add((&hello{version: 2, least: 1, flags: 3, sizes: sizes{4096, 1 << 20}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < helloSize {
			return
		}
		h, err := decodeHello(b[:helloSize], 1<<20)
		if err != nil {
			return
		}
		if h.flags&flagMemory != 0 && (h.sizes.check(1<<20) != nil || h.sizes.total() > controlSize+2<<20) {
			t.Fatalf("accepted %+v", h)
		}
		again, err := decodeHello(h.encode(), 1<<20)
		if err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

// FuzzAnswer is the same from the other side.
func FuzzAnswer(f *testing.F) {
	f.Add((&answer{version: 1, least: 1, status: statusMemory, takes: 4096}).encode())
	f.Add((&answer{version: 1, least: 1, status: statusRefused, reason: 3, text: "no"}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < helloSize {
			return
		}
		a, n, err := decodeAnswer(b[:helloSize])
		if err != nil {
			return
		}
		if n < 0 || n > textMost {
			t.Fatalf("a text of %d bytes", n)
		}
		a.text = string(b[helloSize:min(len(b), helloSize+n)])
		if a.status == statusRefused && a.refused() == nil {
			t.Fatal("no error")
		}
	})
}
