package shmnet

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/shmtest"
)

// sourceFunc is a source that does what it likes with the place that it gets.
type sourceFunc func(p []byte) (int, error)

func (f sourceFunc) Read(p []byte) (int, error) { return f(p) }

// resident is how much of the memory of this process' connections is there, in
// mappings of more than least bytes.
func resident(t testing.TB, least int) (bytes int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	must(t, err)
	defer f.Close()
	ours := false
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		switch {
		case strings.Contains(words[0], "-"):
			ours = strings.Contains(s.Text(), "/memfd:shmnet:")
		case words[0] == "Size:" || words[0] == "Rss:":
			n, err := strconv.Atoi(words[1])
			must(t, err)
			if words[0] == "Size:" {
				ours = ours && n<<10 > least
			} else if ours {
				bytes += n << 10
			}
		}
	}
	return bytes
}

// TestShrinkInReadFrom lets a ring grow under a ReadFrom, whose source then
// rests: the ring is given back, and its memory, while the source has a place
// in it. What the source put there before it rested is not lost.
func TestShrinkInReadFrom(t *testing.T) {
	const first, most = 4096, 256 << 10
	both(t, &Options{Ring: first, MaxRing: most}, func(t *testing.T, a, b *Conn) {
		var sent bytes.Buffer
		text := noise(most)
		put := func(p []byte) int {
			n := copy(p, text[rand.IntN(len(text)/2):])
			sent.Write(p[:n])
			return n
		}
		rests, goOn := make(chan bool), make(chan bool)
		step := 0
		source := sourceFunc(func(p []byte) (int, error) {
			switch step++; {
			case step%200 != 0:
				return put(p), nil
			case step == 400:
				return 0, io.EOF
			}
			half := put(p[:len(p)/2])
			rests <- true
			<-goOn
			return half + put(p[half:]), nil
		})
		copied := make(chan int64)
		go func() {
			n, err := a.ReadFrom(source)
			if err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
			a.CloseWrite()
			copied <- n
		}()
		// A reader that keeps up from the beginning needs no greater ring.
		eventually(t, "there is no room", func() bool { return asleep(&a.bell.out) })
		var got bytes.Buffer
		read := make(chan error)
		go func() {
			_, err := got.ReadFrom(struct{ io.Reader }{b})
			read <- err
		}()
		<-rests
		if st := a.Stats(); st.Ring <= first {
			t.Errorf("the ring did not grow: %+v", st)
		}
		eventually(t, "the ring shrinks", func() bool { return a.Stats().Ring == first })
		eventually(t, "the reader follows", func() bool {
			a.out.Lock()
			moves := a.out.grow.moves
			a.out.Unlock()
			return asleep(&b.bell.in) && mem.LoadAcquire32(&b.in.receiver.receiver.Moved) == moves
		})
		// qemu's user mode ignores MADV_REMOVE.
		if n := resident(t, 4096+2*first); n > publishMost+2*os.Getpagesize() && !shmtest.Emulated() {
			t.Errorf("%d bytes of rings that were given back are still there", n)
		}
		goOn <- true
		n := <-copied
		must(t, <-read)
		if n != int64(sent.Len()) || !bytes.Equal(got.Bytes(), sent.Bytes()) {
			t.Errorf("other bytes came: %d, %d were sent, ReadFrom speaks of %d", got.Len(), sent.Len(), n)
		}
		must(t, a.Close())
		must(t, b.Close())
		if n := a.memory.users.Load() + b.memory.users.Load(); n != 0 {
			t.Errorf("%d users of the memory are left", n)
		}
	})
}

// TestWaitingSource: while a ReadFrom waits for its source, who writes besides
// is ended by whatever ends a Write, and else goes on when the source does.
func TestWaitingSource(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(a, b *Conn) error
		want error // of the Write
	}{
		{"deadline", func(a, b *Conn) error { return a.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		{"Close", func(a, b *Conn) error { return a.Close() }, net.ErrClosed},
		{"CloseWrite", func(a, b *Conn) error { return a.CloseWrite() }, syscall.EPIPE},
		{"the source goes on", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, nil, func(t *testing.T, a, b *Conn) {
				r, w := io.Pipe()
				copied, wrote := make(chan error, 1), make(chan error, 1)
				go func() {
					_, err := a.ReadFrom(r)
					copied <- err
				}()
				eventually(t, "the source waits", func() bool { return a.out.turn.busy.Load() })
				go func() {
					_, err := a.Write([]byte("besides"))
					wrote <- err
				}()
				eventually(t, "the writer waits", func() bool { return a.out.turn.queued.Load() == 1 })
				if c.do != nil {
					must(t, c.do(a, b))
				} else {
					_, err := w.Write([]byte("source "))
					must(t, err)
				}
				if err := <-wrote; !errors.Is(err, c.want) {
					t.Errorf("write: %v, want %v", err, c.want)
				}
				must(t, w.Close())
				if err := <-copied; err != nil {
					t.Errorf("ReadFrom: %v", err)
				}
				if c.want != nil {
					return
				}
				p := make([]byte, 14)
				if _, err := io.ReadFull(b, p); err != nil || string(p) != "source besides" {
					t.Errorf("read %q, %v", p, err)
				}
			})
		})
	}
	t.Run("closed, then something comes", func(t *testing.T) {
		// The place outlives Close, and what comes is an error.
		a, _ := pair(t, nil)
		r, w := io.Pipe()
		copied := make(chan error)
		go func() {
			_, err := a.ReadFrom(r)
			copied <- err
		}()
		eventually(t, "the source waits", func() bool { return a.out.turn.busy.Load() })
		must(t, a.Close())
		if n := a.memory.users.Load(); n != 1 {
			t.Errorf("%d users of the memory, want the source", n)
		}
		_, err := w.Write([]byte("too late"))
		must(t, err)
		if err := <-copied; !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom: %v", err)
		}
		if n := a.memory.users.Load(); n != 0 {
			t.Errorf("%d users of the memory", n)
		}
	})
	t.Run("panic", func(t *testing.T) {
		a, b := pair(t, nil)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			a.ReadFrom(sourceFunc(func([]byte) (int, error) { panic("of the source") }))
		}()
		func() {
			defer func() { recover() }()
			_, err := a.Write([]byte("x"))
			must(t, err)
			b.WriteTo(writerFunc(func([]byte) (int, error) { panic("of the sink") }))
			t.Error("no panic")
		}()
		_, err := b.Read(make([]byte, 1))
		must(t, err)
		talk(t, a, b)
	})
}

// TestWaitingSink is the same for who reads while a WriteTo waits for its sink.
func TestWaitingSink(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(b *Conn) error
		want error // of the Read
	}{
		{"deadline", func(b *Conn) error { return b.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded},
		{"Close", (*Conn).Close, net.ErrClosed},
		{"CloseRead", (*Conn).CloseRead, io.EOF},
		{"the sink goes on", nil, nil},
		{"death, then the sink goes on", func(b *Conn) error { return b.bell.socket.CloseRead() }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, nil, func(t *testing.T, a, b *Conn) {
				_, err := a.Write([]byte("sink"))
				must(t, err)
				busy, goOn := make(chan bool), make(chan bool)
				copied, read := make(chan error, 1), make(chan error, 1)
				full := errors.New("full")
				go func() {
					_, err := b.WriteTo(writerFunc(func(p []byte) (int, error) {
						busy <- true
						<-goOn
						if string(p) != "sink" {
							t.Errorf("the bytes became %q", p)
						}
						return len(p), full
					}))
					copied <- err
				}()
				<-busy
				got := make([]byte, 10)
				n := 0
				go func() {
					k, err := b.Read(got)
					n = k
					read <- err
				}()
				eventually(t, "the reader waits", func() bool { return b.in.turn.queued.Load() == 1 })
				_, err = a.Write([]byte("besides"))
				must(t, err)
				if c.do != nil {
					must(t, c.do(b))
				}
				if c.want == nil {
					goOn <- true
				}
				if err := <-read; !errors.Is(err, c.want) || err == nil && string(got[:n]) != "besides" {
					t.Errorf("read %q, %v, want %v", got[:n], err, c.want)
				}
				if c.want != nil {
					goOn <- true
				}
				if err := <-copied; err != full {
					t.Errorf("WriteTo: %v", err)
				}
				must(t, errors.Join(a.Close()))
				b.Close()
				if n := a.memory.users.Load() + b.memory.users.Load(); n != 0 {
					t.Errorf("%d users of the memory are left", n)
				}
			})
		})
	}
}

// TestManySinks has several goroutines that read from one connection, in every
// way: each byte goes to one of them.
func TestManySinks(t *testing.T) {
	both(t, &Options{Ring: 4096, MaxRing: 16 << 10}, func(t *testing.T, a, b *Conn) {
		text := noise(300_000)
		go func() {
			a.Write(text)
			a.CloseWrite()
		}()
		var mu sync.Mutex
		var got [256]int
		count := func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			for _, v := range p {
				got[v]++
			}
		}
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				_, err := b.WriteTo(writerFunc(func(p []byte) (int, error) {
					p = p[:min(len(p), 1000)]
					count(p)
					runtime.Gosched() // others want to read now
					return len(p), nil
				}))
				for err == io.ErrShortWrite {
					_, err = b.WriteTo(writerFunc(func(p []byte) (int, error) { count(p); return len(p), nil }))
				}
				if err != nil {
					t.Error(err)
				}
			})
			readers.Go(func() {
				p := make([]byte, 700)
				for {
					n, err := b.Read(p)
					count(p[:n])
					if err == io.EOF {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		readers.Wait()
		var want [256]int
		for _, v := range text {
			want[v]++
		}
		if got != want {
			t.Error("other bytes came")
		}
	})
}

// TestManyFill has several goroutines that copy into one connection, and write
// besides: nobody's bytes take the place of another's.
func TestManyFill(t *testing.T) {
	both(t, &Options{Ring: 4096, MaxRing: 16 << 10}, func(t *testing.T, a, b *Conn) {
		const total, size = 30_000, 100
		var writers sync.WaitGroup
		for i := range 4 {
			piece := bytes.Repeat([]byte{byte('a' + i)}, size)
			if i%2 == 0 {
				writers.Go(func() {
					for range total / size {
						if _, err := a.Write(piece); err != nil {
							t.Error(err)
							return
						}
					}
				})
				continue
			}
			left := total
			writers.Go(func() {
				n, err := a.ReadFrom(sourceFunc(func(p []byte) (int, error) {
					if left == 0 {
						return 0, io.EOF
					}
					n := copy(p[:min(len(p), left)], piece)
					runtime.Gosched() // others want to write now
					left -= n
					return n, nil
				}))
				if err != nil || n != total {
					t.Errorf("copied %d, %v", n, err)
				}
			})
		}
		go func() {
			writers.Wait()
			a.CloseWrite()
		}()
		got, err := io.ReadAll(b)
		must(t, err)
		for i := range 4 {
			if n := bytes.Count(got, []byte{byte('a' + i)}); n != total {
				t.Errorf("%d bytes of %c came", n, 'a'+i)
			}
		}
	})
}

// TestCloseOrDelivered ends the sending while somebody writes: what Write said
// was written is read to its end.
func TestCloseOrDelivered(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 100
	}
	for _, end := range []struct {
		name string
		do   func(*Conn) error
	}{{"CloseWrite", (*Conn).CloseWrite}, {"Close", (*Conn).Close}} {
		t.Run(end.name, func(t *testing.T) {
			l := listen(t, nil)
			for range rounds {
				a, b := connect(t, l, nil)
				got := make(chan int64)
				go func() {
					n, err := io.Copy(io.Discard, struct{ io.Reader }{b})
					if err != nil {
						t.Error(err)
					}
					got <- n
				}()
				go func() {
					for range rand.IntN(2000) {
						mem.Pause()
					}
					end.do(a)
				}()
				wrote := int64(0)
				for {
					n, err := a.Write([]byte("x"))
					if err != nil {
						break
					}
					wrote += int64(n)
				}
				if n := <-got; n < wrote {
					t.Fatalf("%d bytes came, and %d were written", n, wrote)
				}
				a.Close()
				b.Close()
			}
		})
	}
}

// TestCopyFrom copies from a file and from a socket.
func TestCopyFrom(t *testing.T) {
	text := noise(2 << 20)
	for name, open := range map[string]func(t *testing.T) io.Reader{
		"file": func(t *testing.T) io.Reader {
			f, err := os.CreateTemp(t.TempDir(), "")
			must(t, err)
			t.Cleanup(func() { f.Close() })
			_, err = f.Write(text)
			must(t, err)
			_, err = f.Seek(0, io.SeekStart)
			must(t, err)
			return f
		},
		"socket": func(t *testing.T) io.Reader {
			a, b := socketPair(t)
			t.Cleanup(func() { b.Close() })
			go func() {
				a.Write(text)
				a.Close()
			}()
			return b
		},
		"connection": func(t *testing.T) io.Reader {
			a, b := pair(t, nil)
			go func() {
				a.Write(text)
				a.Close()
			}()
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, nil)
			go func() {
				if n, err := io.Copy(a, open(t)); err != nil || n != int64(len(text)) {
					t.Errorf("copied %d, %v", n, err)
				}
				a.CloseWrite()
			}()
			h := sha256.New()
			if _, err := io.Copy(h, b); err != nil {
				t.Error(err)
			}
			if want := sha256.Sum256(text); !bytes.Equal(h.Sum(nil), want[:]) {
				t.Error("other bytes came")
			}
		})
	}
}
