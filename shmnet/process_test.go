package shmnet

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	// Connects and does as it is told.
	shmtest.Handle("client", func(c *shmtest.Child) {
		conn, err := Dial(background, c.Args[0], nil)
		c.Check(err)
		c.Send("connected")
		for {
			line, ok := c.Recv()
			if !ok {
				return
			}
			what, n := line, 0
			if w, rest, ok := strings.Cut(line, " "); ok {
				what = w
				fmt.Sscan(rest, &n)
			}
			switch what {
			case "write":
				_, err = conn.Write(noise(n))
			case "fill": // until it blocks
				conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				if _, err = conn.Write(make([]byte, 64<<20)); errors.Is(err, os.ErrDeadlineExceeded) {
					err = nil
				}
			case "read": // and says that it begins
				c.Send("reading")
				_, err = io.ReadFull(conn, make([]byte, n))
			case "closewrite":
				err = conn.CloseWrite()
			case "close":
				err = conn.Close()
			}
			c.Check(err)
			c.Send("done")
		}
	})
}

// noise is always the same.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{6})
	r.Read(b)
	return b
}

// startClient starts a client in another process.
func startClient(t testing.TB, l *Listener) (*Conn, *shmtest.Process) {
	t.Helper()
	p := shmtest.Start(t, "client", l.Addr().String())
	conn, err := l.AcceptConn()
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	p.Expect("connected")
	return conn, p
}

// acceptFrom accepts the connection of a client in another process, which must
// not end before.
func acceptFrom(t testing.TB, l *Listener, p *shmtest.Process) *Conn {
	t.Helper()
	got := make(chan *Conn, 1)
	go func() {
		conn, _ := l.AcceptConn() // fails when the test ends
		got <- conn
	}()
	select {
	case conn := <-got:
		if conn == nil {
			t.Fatal("the listener is closed")
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	case <-p.Done():
		p.Wait() // says how
		t.Fatal("the client has ended")
		return nil
	}
}

func tell(p *shmtest.Process, line string, args ...any) {
	p.Send(line, args...)
	p.Expect("done")
}

// TestKilled kills a client in several states. The server sees it at once,
// gets what was written before, and is told how it ended.
func TestKilled(t *testing.T) {
	l := listen(t, nil)
	for _, c := range []struct {
		name string
		do   func(t *testing.T, conn *Conn, p *shmtest.Process)
		n    int   // bytes that can still be read
		want error // then
	}{
		{"idle", func(t *testing.T, conn *Conn, p *shmtest.Process) {}, 0, syscall.ECONNRESET},
		{"after a write", func(t *testing.T, conn *Conn, p *shmtest.Process) { tell(p, "write 5000") }, 5000, syscall.ECONNRESET},
		{"after CloseWrite", func(t *testing.T, conn *Conn, p *shmtest.Process) { tell(p, "write 5000"); tell(p, "closewrite") }, 5000, io.EOF},
		{"after Close", func(t *testing.T, conn *Conn, p *shmtest.Process) { tell(p, "write 10000"); tell(p, "close") }, 10000, io.EOF},
		{"in Read", func(t *testing.T, conn *Conn, p *shmtest.Process) { p.Send("read 1"); p.Expect("reading") }, 0, syscall.ECONNRESET},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, p := startClient(t, l)
			c.do(t, conn, p)
			p.Kill()
			got := make([]byte, c.n)
			if n, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, noise(c.n)) {
				t.Errorf("read %d of %d bytes, %v", n, c.n, err)
			}
			for range 2 {
				if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, c.want) {
					t.Errorf("read %d, %v, want %v", n, err, c.want)
				}
			}
			want := syscall.ECONNRESET
			if c.name == "after Close" {
				want = syscall.EPIPE
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, want) {
				t.Errorf("write: %v, want %v", err, want)
			}
		})
	}
	t.Run("while both sides wait", func(t *testing.T) {
		// The reader and the writer of a connection both sleep, and both wake.
		conn, p := startClient(t, l)
		errs := make(chan error, 2)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			errs <- err
		}()
		go func() {
			_, err := conn.Write(make([]byte, 64<<20))
			errs <- err
		}()
		eventually(t, "both sleep", func() bool { return asleep(&conn.bell.in) && asleep(&conn.bell.out) })
		p.Kill()
		killed := time.Now()
		for range 2 {
			if err := <-errs; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v", err)
			}
		}
		t.Logf("seen %v after the kill was reaped", time.Since(killed))
	})
	if st := l.Stats(); st.Failed != 0 {
		t.Errorf("%+v", st)
	}
}

// asleep reports whether a role sleeps.
func asleep(r *role) bool { return r.napping.Load() }

// TestKilledSoon measures how soon the death of a peer is seen by who sleeps
// in Read: the kill itself included, the median of some.
func TestKilledSoon(t *testing.T) {
	l := listen(t, nil)
	var best time.Duration = time.Hour
	for range 10 {
		conn, p := startClient(t, l)
		seen := make(chan time.Time)
		go func() {
			conn.Read(make([]byte, 1))
			seen <- time.Now()
		}()
		eventually(t, "it sleeps", func() bool { return asleep(&conn.bell.in) })
		begun := time.Now()
		must(t, syscall.Kill(p.PID(), syscall.SIGKILL))
		took := (<-seen).Sub(begun)
		best = min(best, took)
		p.Kill()
		conn.Close()
		if best < 10*time.Millisecond {
			break
		}
	}
	if best > 10*time.Millisecond {
		t.Errorf("the best of ten took %v", best)
	}
	t.Logf("seen after %v", best)
}

// TestNothingLeft kills both ends, and looks for what they shared.
func TestNothingLeft(t *testing.T) {
	path := socketPath(t)
	server := shmtest.Start(t, "server", "shmnet", path, "echo", "64")
	server.Expect("ready")
	client := shmtest.Start(t, "client", path)
	client.Expect("connected")
	if !sharing(t, server.PID()) || !sharing(t, client.PID()) {
		t.Error("the memory is not in the maps of both")
	}
	server.Kill()
	client.Kill()
	// The file stays, as of any socket, and the next listener replaces it.
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	l, err := Listen(t.Context(), path, nil)
	must(t, err)
	must(t, l.Close())
}

// sharing reports whether a process maps the memory of a connection.
func sharing(t testing.TB, pid int) bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	must(t, err)
	return bytes.Contains(maps, []byte("/memfd:shmnet:"))
}

// TestStreams sends a lot in both directions at once between two processes,
// in pieces of all sizes and with pauses of all lengths, and compares it.
func TestStreams(t *testing.T) {
	for _, c := range []struct {
		name         string
		opts         Options
		total        int
		piece, think int // at most: 1 << piece bytes, and looks between them
	}{
		{"large", Options{}, 64 << 20, 20, 1},
		{"small", Options{}, 4 << 20, 8, 500},
		{"narrow", Options{Ring: 4096, MaxRing: 1}, 16 << 20, 14, 100},
		{"growing", Options{Ring: 4096, MaxRing: 64 << 10}, 16 << 20, 16, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() {
				c.total /= 8
			}
			path := socketPath(t)
			p := shmtest.Start(t, "mirror", path)
			p.Expect("ready")
			conn, err := Dial(t.Context(), path, &c.opts)
			must(t, err)
			defer conn.Close()
			sent := sha256.New()
			done := make(chan bool)
			go func() {
				defer close(done)
				src := noise(1 << 20)
				for left := c.total; left > 0; {
					n := min(1+rand.IntN(1<<rand.IntN(c.piece+1)), left)
					sent.Write(src[:n])
					if _, err := conn.Write(src[:n]); err != nil {
						t.Errorf("write: %v", err)
						return
					}
					left -= n
					for range rand.IntN(c.think) {
						mem.Pause()
					}
				}
				if err := conn.CloseWrite(); err != nil {
					t.Error(err)
				}
			}()
			got := sha256.New()
			n, err := io.CopyBuffer(got, struct{ io.Reader }{conn}, make([]byte, 3000))
			if err != nil || n != int64(c.total) {
				t.Errorf("%d bytes came back, %v", n, err)
			}
			<-done
			if !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
				t.Error("other bytes came back")
			}
			t.Logf("%+v", conn.Stats())
			p.Wait()
		})
	}
}

// TestHandOver hands a few bytes to and fro, at all moments: a wake-up that is
// lost would end it.
func TestHandOver(t *testing.T) {
	rounds := 30_000
	if testing.Short() {
		rounds = 3000
	}
	path := socketPath(t)
	p := shmtest.Start(t, "mirror", path)
	p.Expect("ready")
	conn, err := Dial(t.Context(), path, nil)
	must(t, err)
	defer conn.Close()
	b := make([]byte, 100)
	for i := range rounds {
		n := 1 + i%len(b)
		if _, err := conn.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		for range rand.IntN(300) {
			mem.Pause()
		}
		if _, err := io.ReadFull(conn, b[:n]); err != nil {
			t.Fatal(err)
		}
		for range rand.IntN(300) {
			mem.Pause()
		}
	}
	t.Logf("%+v", conn.Stats())
	must(t, conn.Close())
	p.Wait()
}

func init() {
	// Sends back what comes, in place.
	shmtest.Handle("mirror", func(c *shmtest.Child) {
		l, err := Listen(background, c.Args[0], nil)
		c.Check(err)
		c.Send("ready")
		conn, err := l.Accept()
		c.Check(err)
		_, err = io.Copy(conn, conn)
		c.Check(err)
		c.Check(conn.Close())
		c.Check(l.Close())
	})
}

func init() {
	// Sends the same noise again and again.
	shmtest.Handle("talker", func(c *shmtest.Child) {
		conn, err := Dial(background, c.Args[0], nil)
		c.Check(err)
		for n := 1; ; n = n*7%50_000 + 1 {
			_, err := conn.Write(noise(n))
			c.Check(err)
		}
	})
}

// TestKilledTalking kills a client that sends all the time. What comes is
// what it sent, to somewhere, and then the news of its death; a writer that
// is not read learns it as well.
func TestKilledTalking(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	l := listen(t, nil)
	for range rounds {
		p := shmtest.Start(t, "talker", l.Addr().String())
		conn, err := l.AcceptConn()
		must(t, err)
		kill := rand.IntN(2 << 20)
		read := 0
		for n := 1; err == nil; n = n*7%50_000 + 1 {
			want := noise(n)
			got := make([]byte, n)
			var m int
			m, err = io.ReadFull(conn, got)
			if !bytes.Equal(got[:m], want[:m]) {
				t.Fatalf("other bytes than were sent, after %d", read)
			}
			if before := read; before <= kill && before+m > kill {
				p.Kill()
			}
			read += m
		}
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %d bytes: %v", read, err)
		}
		if _, err := conn.Write(make([]byte, 8<<20)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: %v", err)
		}
		must(t, conn.Close())
	}
}
