package shmnet

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/memfd"
)

// both runs a test over memory that is mapped, and over the heap, where the
// race detector sees it.
func both(t *testing.T, o *Options, do func(t *testing.T, a, b *Conn)) {
	t.Run("mapped", func(t *testing.T) {
		a, b := pair(t, o)
		do(t, a, b)
	})
	t.Run("heap", func(t *testing.T) {
		var v Options
		if o != nil {
			v = *o
		}
		a, b := heapPair(t, v)
		do(t, a, b)
	})
}

// TestEnds closes in every way, and looks what the other side is told.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name                 string
		end                  func(a *Conn) error
		read, write          error // of b; nil: it works
		ownRead, ownWrite    error // of a
		afterwards, doubtful bool
	}{
		{name: "CloseWrite", end: (*Conn).CloseWrite, read: io.EOF, ownWrite: syscall.EPIPE},
		{name: "CloseRead", end: (*Conn).CloseRead, write: syscall.EPIPE, ownRead: io.EOF},
		{name: "both", end: func(a *Conn) error { return errors.Join(a.CloseRead(), a.CloseWrite()) }, read: io.EOF, write: syscall.EPIPE, ownRead: io.EOF, ownWrite: syscall.EPIPE},
		{name: "Close", end: (*Conn).Close, read: io.EOF, write: syscall.EPIPE, ownRead: net.ErrClosed, ownWrite: net.ErrClosed},
		{name: "CloseWrite, Close", end: func(a *Conn) error { return errors.Join(a.CloseWrite(), a.Close()) }, read: io.EOF, write: syscall.EPIPE, ownRead: net.ErrClosed, ownWrite: net.ErrClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, nil, func(t *testing.T, a, b *Conn) {
				text := noise(10_000)
				_, err := a.Write(text)
				must(t, err)
				must(t, c.end(a))
				got := make([]byte, len(text))
				if n, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, text) {
					t.Fatalf("read %d bytes, %v", n, err)
				}
				try := func(what string, n int, err, want error) {
					t.Helper()
					if want == nil && err != nil || !errors.Is(err, want) || want != nil && n != 0 {
						t.Errorf("%s: %d, %v, want %v", what, n, err, want)
					}
					var op *net.OpError
					if err != nil && err != io.EOF && !errors.As(err, &op) {
						t.Errorf("%s: %T", what, err)
					}
				}
				if c.read != nil {
					n, err := b.Read(make([]byte, 1))
					try("read", n, err, c.read)
				}
				n, err := b.Write([]byte("x"))
				try("write", n, err, c.write)
				if c.ownRead != nil {
					n, err = a.Read(make([]byte, 1))
					try("own read", n, err, c.ownRead)
				}
				if c.ownWrite != nil {
					n, err = a.Write([]byte("x"))
					try("own write", n, err, c.ownWrite)
				}
			})
		})
	}
	t.Run("closed twice", func(t *testing.T) {
		a, _ := pair(t, nil)
		must(t, a.Close())
		for name, err := range map[string]error{
			"Close": a.Close(), "CloseRead": a.CloseRead(), "CloseWrite": a.CloseWrite(), "SetDeadline": a.SetDeadline(time.Time{}),
			"Discard": a.Discard(0), "Commit": a.Commit(0),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestUnblock has a reader and a writer that wait, and ends their waiting in
// every way.
func TestUnblock(t *testing.T) {
	for _, c := range []struct {
		name        string
		do          func(a, b *Conn) error
		read, write error
	}{
		{"Close", func(a, b *Conn) error { return a.Close() }, net.ErrClosed, net.ErrClosed},
		{"Close of the peer", func(a, b *Conn) error { return b.Close() }, io.EOF, syscall.EPIPE},
		{"deadlines", func(a, b *Conn) error { return a.SetDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"deadlines in the past", func(a, b *Conn) error { return a.SetDeadline(past) }, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"own ends", func(a, b *Conn) error { return errors.Join(a.CloseRead(), a.CloseWrite()) }, io.EOF, syscall.EPIPE},
		{"ends of the peer", func(a, b *Conn) error { return errors.Join(b.CloseRead(), b.CloseWrite()) }, io.EOF, syscall.EPIPE},
		{"death", func(a, b *Conn) error { return b.bell.socket.CloseWrite() }, syscall.ECONNRESET, syscall.ECONNRESET},
		{"data and room", func(a, b *Conn) error {
			_, err := b.Write([]byte("x"))
			go io.Copy(io.Discard, b)
			return err
		}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, nil, func(t *testing.T, a, b *Conn) {
				read, write := make(chan error), make(chan error)
				go func() {
					_, err := a.Read(make([]byte, 1))
					read <- err
				}()
				go func() {
					_, err := a.Write(make([]byte, 8<<20))
					write <- err
				}()
				eventually(t, "both sleep", func() bool { return asleep(&a.bell.in) && asleep(&a.bell.out) })
				must(t, c.do(a, b))
				if err := <-read; !errors.Is(err, c.read) {
					t.Errorf("read: %v, want %v", err, c.read)
				}
				if err := <-write; !errors.Is(err, c.write) {
					t.Errorf("write: %v, want %v", err, c.write)
				}
			})
		})
	}
}

// TestPartialWrite says how much went before the deadline, and exactly that
// much arrives.
func TestPartialWrite(t *testing.T) {
	both(t, &Options{MaxRing: 1}, func(t *testing.T, a, b *Conn) {
		go func() {
			eventually(t, "it sleeps", func() bool { return asleep(&a.bell.out) })
			a.SetWriteDeadline(time.Now().Add(time.Millisecond))
		}()
		text := noise(1 << 20)
		n, err := a.Write(text)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n != DefaultRing {
			t.Errorf("%d bytes went, the ring has %d", n, DefaultRing)
		}
		must(t, a.SetWriteDeadline(time.Time{}))
		go func() {
			a.Write(text[n:])
			a.Close()
		}()
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes came, %v", len(got), err)
		}
	})
}

// TestGrow loads a connection until its ring has grown, and lets it be until
// it has shrunk.
func TestGrow(t *testing.T) {
	both(t, &Options{Ring: 4096, MaxRing: 256 << 10}, func(t *testing.T, a, b *Conn) {
		text := noise(4 << 20)
		round := func() {
			t.Helper()
			go a.Write(text)
			eventually(t, "there is no room", func() bool { return asleep(&a.bell.out) })
			got := make([]byte, len(text))
			if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("other bytes came, or %v", err)
			}
		}
		for range 3 {
			round()
		}
		if st := a.Stats(); st.Ring != 256<<10 || st.Offered == 0 {
			t.Errorf("%+v", st)
		}
		if st := b.Stats(); st.Accepted == 0 || st.Refused != 0 {
			t.Errorf("%+v", st)
		}
		// A reader that sleeps follows when the ring shrinks.
		got := make(chan error)
		go func() {
			_, err := io.ReadFull(b, make([]byte, 5))
			got <- err
		}()
		eventually(t, "the ring shrinks", func() bool { return a.Stats().Ring == 4096 })
		eventually(t, "the reader follows", func() bool { return asleep(&b.bell.in) })
		_, err := a.Write([]byte("hello"))
		must(t, err)
		must(t, <-got)
		if b.in.ring != nil || a.out.grow.ring != nil {
			t.Error("the greater ring is still there")
		}
		round()
	})
}

// TestRefusedRing is a peer that takes no more memory: everything goes on.
func TestRefusedRing(t *testing.T) {
	a, b := pair(t, nil)
	for _, c := range []*Conn{a, b} {
		c.source = refusing{}
	}
	a.source = kernel{}
	text := noise(1 << 20)
	go a.Write(text)
	eventually(t, "there is no room", func() bool { return asleep(&a.bell.out) })
	got := make([]byte, len(text))
	if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("other bytes came, or %v", err)
	}
	if st := a.Stats(); st.Ring != DefaultRing || st.Offered != 1 {
		t.Errorf("%+v", st)
	}
	if st := b.Stats(); st.Refused != 1 {
		t.Errorf("%+v", st)
	}
	// And one that has none to offer: neither 1 MiB nor, if there is no room
	// again, 256 KiB and 64 KiB.
	go b.Write(text)
	eventually(t, "there is no room", func() bool { return asleep(&b.bell.out) })
	if _, err := io.ReadFull(a, got); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("other bytes came, or %v", err)
	}
	if st := b.Stats(); st.Ring != DefaultRing || st.Offered != 0 || st.Refused < 1+1 || st.Refused > 1+3 {
		t.Errorf("%+v", st)
	}
}

type refusing struct{}

func (refusing) make(string, int64) (*memory, *memfd.File, error) { return nil, nil, syscall.ENOMEM }
func (refusing) take(*memfd.File, int64) (*memory, error)         { return nil, syscall.ENOMEM }

// TestHostilePeer has a connection and does to the other end what a program
// that follows no rule can do.
func TestHostilePeer(t *testing.T) {
	read := func(b *Conn) error {
		_, err := b.Read(make([]byte, 1))
		return err
	}
	write := func(b *Conn) error {
		_, err := b.Write(make([]byte, 1<<20))
		return err
	}
	gift := func(t *testing.T, a *Conn, fd int) {
		t.Helper()
		if err := sendRaw(a, fd); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		lie   func(t *testing.T, a *Conn)
		do    func(b *Conn) error
		words string
	}{
		{"tail", func(t *testing.T, a *Conn) { a.out.sender.sender.Tail = 1 << 40; a.bell.ring() }, read, "1099511627776 bytes are there"},
		{"head", func(t *testing.T, a *Conn) { a.in.receiver.receiver.Head = 1 << 40; a.bell.ring() }, write, "it took 1099511627776 bytes of"},
		{"answer", func(t *testing.T, a *Conn) { a.in.receiver.receiver.Answer = 49 << 1; a.bell.ring() }, write, "answers offer 49 of 1"},
		{"move", func(t *testing.T, a *Conn) { a.out.sender.sender.Moves = 3; a.bell.ring() }, read, "moved 3 times"},
		{"two gifts", func(t *testing.T, a *Conn) {
			f, err := memfd.CreateSized("gift", 8192, &memfd.Options{Seals: needSeals})
			must(t, err)
			defer f.Close()
			gift(t, a, f.FD())
			gift(t, a, f.FD())
		}, read, "before it used what it offered before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t, nil)
			done := make(chan error)
			if c.name == "two gifts" {
				// The second is there before the first was looked at.
				c.lie(t, a)
			}
			go func() { done <- c.do(b) }()
			if c.name != "two gifts" {
				eventually(t, "it sleeps", func() bool { return asleep(&b.bell.in) || asleep(&b.bell.out) })
				c.lie(t, a)
			}
			err := <-done
			wantError(t, err, ErrCorrupt, c.words)
			// It is the end, and stays it; the liar is told nothing.
			for _, do := range []func(*Conn) error{read, write} {
				if err := do(b); !errors.Is(err, ErrCorrupt) {
					t.Errorf("afterwards: %v", err)
				}
			}
			if _, err := io.Copy(io.Discard, a); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the liar reads %v", err)
			}
			must(t, b.Close())
		})
	}
	t.Run("wrong gifts", func(t *testing.T) {
		// What is no ring is refused, closed, and nothing else happens.
		a, b := pair(t, nil)
		r, w, err := os.Pipe()
		must(t, err)
		defer r.Close()
		defer w.Close()
		unsealed := memoryFor(t, sizes{4096, 4096}, 0)
		crooked := memoryFor(t, sizes{4096, 4096}, needSeals) // of 12 KiB
		for i, fd := range []int{int(r.Fd()), unsealed.FD(), crooked.FD()} {
			gift(t, a, fd)
			_, err := a.Write([]byte("x"))
			must(t, err)
			must(t, read(b))
			// The next Read meets the gift.
			got := make(chan error)
			go func() { got <- read(b) }()
			eventually(t, "it is refused", func() bool { return b.Stats().Refused == uint64(i+1) })
			_, err = a.Write([]byte("x"))
			must(t, err)
			must(t, <-got)
		}
	})
	t.Run("many bells", func(t *testing.T) {
		a, b := pair(t, nil)
		for range 1000 {
			a.bell.ring() // most do not fit
		}
		got := make(chan error)
		go func() { got <- read(b) }()
		eventually(t, "it sleeps", func() bool { return asleep(&b.bell.in) })
		_, err := a.Write([]byte("x"))
		must(t, err)
		must(t, <-got)
		talk(t, a, b)
	})
	t.Run("stops", func(t *testing.T) {
		// Who does not read holds up its own connection alone.
		l := listen(t, nil)
		_, b := connect(t, l, nil)
		must(t, b.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
		if err := write(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		c, d := connect(t, l, nil)
		talk(t, c, d)
	})
}

// sendRaw sends a descriptor as an offer is sent.
func sendRaw(c *Conn, fd int) error {
	err := error(nil)
	if e := c.bell.raw.Control(func(s uintptr) { err = sys.SendFD(int(s), tagMemory, fd) }); e != nil {
		return e
	}
	return err
}

// TestLoans uses the memory in place.
func TestLoans(t *testing.T) {
	both(t, &Options{Ring: 4096, MaxRing: 1}, func(t *testing.T, a, b *Conn) {
		sent := noise(100_000)
		go func() {
			for p := sent; len(p) > 0; {
				b, err := a.Reserve(len(p))
				if err != nil {
					t.Error(err)
					return
				}
				n := min(1+rand.IntN(len(b)), len(b))
				copy(b, p[:n])
				if err := a.Commit(n); err != nil {
					t.Error(err)
				}
				p = p[n:]
			}
			a.CloseWrite()
		}()
		var got []byte
		for {
			p, err := b.Peek()
			if err == io.EOF {
				break
			}
			must(t, err)
			n := rand.IntN(len(p) + 1)
			got = append(got, p[:n]...)
			must(t, b.Discard(n))
		}
		if !bytes.Equal(got, sent) {
			t.Error("other bytes came")
		}
	})
	t.Run("limits", func(t *testing.T) {
		a, b := pair(t, nil)
		r, err := a.Reserve(100)
		must(t, err)
		if len(r) != 100 {
			t.Errorf("%d bytes reserved", len(r))
		}
		if err := a.Commit(101); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Commit of more: %v", err)
		}
		if _, err := a.Reserve(0); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Reserve(0): %v", err)
		}
		r, err = a.Reserve(1 << 30)
		must(t, err)
		if len(r) != DefaultRing {
			t.Errorf("%d bytes reserved", len(r))
		}
		// A Write in between takes the place.
		_, err = a.Write([]byte("hello"))
		must(t, err)
		if err := a.Commit(1); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("Commit after Write: %v", err)
		}
		p, err := b.Peek()
		must(t, err)
		if string(p) != "hello" {
			t.Errorf("peeked %q", p)
		}
		for _, n := range []int{-1, 6} {
			if err := b.Discard(n); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("Discard(%d): %v", n, err)
			}
		}
	})
	t.Run("stay after Close", func(t *testing.T) {
		a, b := pair(t, nil)
		_, err := a.Write([]byte("hello"))
		must(t, err)
		p, err := b.Peek()
		must(t, err)
		r, err := b.Reserve(10)
		must(t, err)
		must(t, b.Close())
		copy(r, "nobody sees it")
		if string(p) != "hello" {
			t.Errorf("the bytes became %q", p)
		}
		if err := b.Discard(5); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Discard: %v", err)
		}
		if b.memory.users.Load() != 1 {
			t.Errorf("%d users of the memory, want the loan", b.memory.users.Load())
		}
		if err := b.Commit(5); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Commit: %v", err)
		}
		if b.memory.users.Load() != 0 {
			t.Errorf("%d users of the memory", b.memory.users.Load())
		}
	})
}

// TestCopy is io.Copy and net.Buffers.
func TestCopy(t *testing.T) {
	both(t, nil, func(t *testing.T, a, b *Conn) {
		text := noise(3 << 20)
		go func() {
			if n, err := io.Copy(a, struct{ io.Reader }{bytes.NewReader(text)}); err != nil || n != int64(len(text)) {
				t.Errorf("copied in %d, %v", n, err)
			}
			v := net.Buffers{text[:10], nil, text[10:100_000], text[100_000:]}
			if n, err := a.WriteBuffers(&v); err != nil || n != int64(len(text)) || len(v) != 0 {
				t.Errorf("wrote %d, %v, %d are left", n, err, len(v))
			}
			w := net.Buffers{text[:10], text[10:]}
			if n, err := w.WriteTo(a); err != nil || n != int64(len(text)) {
				t.Errorf("wrote %d, %v", n, err)
			}
			a.CloseWrite()
		}()
		var got bytes.Buffer
		if n, err := io.Copy(struct{ io.Writer }{&got}, b); err != nil || n != int64(3*len(text)) {
			t.Errorf("copied out %d, %v", n, err)
		}
		if !bytes.Equal(got.Bytes(), bytes.Repeat(text, 3)) {
			t.Error("other bytes came")
		}
	})
	t.Run("many buffers", func(t *testing.T) {
		// More of them than the ring holds, each of them smaller than it.
		both(t, &Options{Ring: 4096, MaxRing: 1}, func(t *testing.T, a, b *Conn) {
			text := noise(50_000)
			done := make(chan bool)
			go func() {
				defer close(done)
				must(t, a.SetWriteDeadline(time.Now().Add(5*time.Second))) // far more than it takes
				var v net.Buffers
				for i := range len(text) / 100 {
					v = append(v, text[i*100:i*100+100])
				}
				if n, err := a.WriteBuffers(&v); err != nil || n != int64(len(text)) {
					t.Errorf("wrote %d, %v", n, err)
				}
				a.CloseWrite()
			}()
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%d bytes came, or others, %v", len(got), err)
			}
			<-done
		})
	})
	t.Run("buffers and a deadline", func(t *testing.T) {
		// What WriteBuffers says was written is read to its end.
		both(t, &Options{MaxRing: 1}, func(t *testing.T, a, b *Conn) {
			text := noise(100_000)
			_, err := a.Write(text[:DefaultRing-200])
			must(t, err)
			must(t, a.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
			rest := text[DefaultRing-200:]
			v := net.Buffers{rest[:100], rest[100:200], rest[200:]}
			n, err := a.WriteBuffers(&v)
			if !errors.Is(err, os.ErrDeadlineExceeded) || n != 200 {
				t.Errorf("wrote %d, %v", n, err)
			}
			must(t, a.CloseWrite())
			got, err := io.ReadAll(b)
			if want := text[:DefaultRing-200+n]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came, %v, want %d", len(got), err, len(want))
			}
		})
	})
	t.Run("errors", func(t *testing.T) {
		a, b := pair(t, nil)
		broken := errors.New("broken")
		if n, err := a.ReadFrom(io.MultiReader(strings.NewReader("hello"), failing{broken})); n != 5 || err != broken {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := b.WriteTo(failing{broken}); n != 0 || err != broken {
			t.Errorf("%d, %v", n, err)
		}
		p := make([]byte, 10)
		if n, err := b.Read(p); err != nil || string(p[:n]) != "hello" {
			t.Errorf("lost what could not be written: %q, %v", p[:n], err)
		}
	})
	t.Run("Close in between", func(t *testing.T) {
		// The memory stays while somebody else's Write or Read looks at it.
		a, b := pair(t, nil)
		_, err := a.Write([]byte("hello"))
		must(t, err)
		in, out := make(chan bool), make(chan bool)
		done := make(chan error)
		go func() {
			_, err := b.WriteTo(writerFunc(func(p []byte) (int, error) {
				in <- true
				<-out
				if string(p) != "hello" {
					t.Errorf("the bytes became %q", p)
				}
				return len(p), nil
			}))
			done <- err
		}()
		<-in
		must(t, b.Close())
		out <- true
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestHTTP is net/http over it, with one line changed on either side.
func TestHTTP(t *testing.T) {
	l := listen(t, nil)
	big := noise(3 << 20)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		io.Copy(w, bytes.NewReader(b))
	})
	mux.HandleFunc("GET /big", func(w http.ResponseWriter, r *http.Request) { w.Write(big) })
	mux.HandleFunc("GET /gone", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := http.Server{Handler: mux}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	d := Dialer{Address: l.Addr().String()}
	transport := &http.Transport{DialContext: d.DialContext}
	client := http.Client{Transport: transport}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				text := noise(1 << (i + j%8))
				resp, err := client.Post("http://service/echo", "", bytes.NewReader(text))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	resp, err := client.Get("http://service/big")
	must(t, err)
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// A client that gives up is seen by the handler.
	client.Timeout = 30 * time.Millisecond
	if _, err := client.Get("http://service/gone"); err == nil {
		t.Error("an answer of nobody")
	}
	transport.CloseIdleConnections()
	must(t, server.Close())
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}

// TestTogether uses both directions of connections from many goroutines, and
// closes them at any moment.
func TestTogether(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 8
	}
	for round := range rounds {
		both(t, &Options{Ring: 4096, MaxRing: 64 << 10}, func(t *testing.T, a, b *Conn) {
			var wg sync.WaitGroup
			ok := func(err error) {
				for _, e := range []error{nil, net.ErrClosed, io.EOF, syscall.EPIPE, syscall.ECONNRESET, os.ErrDeadlineExceeded} {
					if errors.Is(err, e) {
						return
					}
				}
				t.Errorf("got %v", err)
			}
			for _, c := range []*Conn{a, b} {
				for i := range 3 {
					wg.Go(func() {
						for err := error(nil); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET); ok(err) {
							_, err = c.Read(make([]byte, 1+rand.IntN(5000)))
						}
					})
					wg.Go(func() {
						for err := error(nil); !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET); ok(err) {
							_, err = c.Write(make([]byte, 1+rand.IntN(5000*(i+1))))
						}
					})
				}
				wg.Go(func() {
					for range 20 {
						ok(c.SetDeadline(time.Now().Add(time.Duration(rand.IntN(1000)) * time.Microsecond)))
						runtime.Gosched()
						c.Stats()
					}
					ok(c.SetDeadline(time.Time{}))
				})
			}
			time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, func() {
				switch round % 3 {
				case 0:
					a.Close()
				case 1:
					a.CloseWrite()
					b.Close()
				case 2:
					a.bell.socket.CloseWrite() // as if it died
					a.bell.socket.CloseRead()
				}
			})
			wg.Wait()
			a.Close()
			b.Close()
			if n := a.memory.users.Load() + b.memory.users.Load(); n != 0 {
				t.Errorf("%d users of the memory are left", n)
			}
		})
	}
}

// TestNoSyscallConn says why.
func TestNoSyscallConn(t *testing.T) {
	a, _ := pair(t, nil)
	_, err := a.SyscallConn()
	wantError(t, err, errors.ErrUnsupported, "in memory, not on its socket")
}
