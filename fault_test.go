package shm_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

var stress = flag.Duration("stress", 1500*time.Millisecond, "how long TestTruncatedConcurrently runs")

// truncatable makes memory of each kind that a peer can make shorter: an
// object, and a memfd as a program without seals makes it.
func truncatable(t *testing.T, f func(t *testing.T, s *shm.Segment, truncate func(int64))) {
	t.Helper()
	const size = 1 << 20
	t.Run("posix", func(t *testing.T) {
		s := create(t, newAddress(t, "posix"), size, nil)
		path := shmtest.ShmMount + strings.TrimPrefix(s.Address(), "posix:")
		f(t, s, func(n int64) { t.Helper(); want(t, os.Truncate(path, n)) })
	})
	t.Run("memfd", func(t *testing.T) {
		m, err := memfd.Create("x", 0)
		want(t, err)
		want(t, m.Truncate(size))
		s, err := shm.FromMemfd(m, nil)
		want(t, err)
		tidy(t, s)
		f(t, s, func(n int64) { t.Helper(); want(t, m.Truncate(n)) })
	})
}

func TestTruncated(t *testing.T) {
	needFault(t)
	truncatable(t, func(t *testing.T, s *shm.Segment, truncate func(int64)) {
		v, err := shm.At[[8]uint64](s, 500_000)
		want(t, err)
		if !s.Truncatable() {
			t.Error("not truncatable")
		}
		// It ends inside a page, whose rest stays readable.
		truncate(8192 + 100)
		big := make([]byte, 1<<20)
		n, err := s.ReadAt(big, 100)
		if n != 3*4096-100 {
			t.Errorf("read %d bytes", n)
		}
		want(t, err, shm.ErrTruncated)
		if !strings.Contains(err.Error(), "it has 8292 bytes now, 1048576 are mapped") {
			t.Error(err)
		}
		n, err = s.WriteAt(big[:1<<19], 0)
		if n != 3*4096 {
			t.Errorf("wrote %d bytes", n)
		}
		want(t, err, shm.ErrTruncated)
		if n, err := s.ReadAt(big[:10], 8200); n != 10 || err != nil {
			t.Errorf("what is left: %d, %v", n, err)
		}
		if n, err := s.WriteAt(big[:4096], 4096); n != 4096 || err != nil {
			t.Errorf("what is left: %d, %v", n, err)
		}
		for name, f := range map[string]func() error{
			"ReadAt":  func() error { _, err := s.ReadAt(big[:1], 500_000); return err },
			"WriteAt": func() error { _, err := s.WriteAt(big[:1], 500_000); return err },
			"View":    func() error { return s.View(func(b []byte) error { sink = b[500_000]; return nil }) },
			"Update":  func() error { return s.Update(func(b []byte) error { b[500_000] = 1; return nil }) },
			"Load":    func() error { _, err := v.Load(); return err },
			"Store":   func() error { return v.Store([8]uint64{1}) },
			"Reader":  func() error { _, err := io.Copy(io.Discard, s.Reader()); return err },
			"Writer":  func() error { _, err := s.Writer(500_000).Write(big[:1]); return err },
		} {
			if why := unwanted(f(), shm.ErrTruncated); why != "" {
				t.Errorf("%s: %s", name, why)
			}
		}
		// To nothing.
		truncate(0)
		n, err = s.ReadAt(big, 0)
		if n != 0 {
			t.Errorf("read %d bytes of nothing", n)
		}
		want(t, err, shm.ErrTruncated)
		if i, err := s.Info(); err != nil || i.Size != 0 {
			t.Errorf("info %+v, %v", i, err)
		}
		// Whoever made it short makes it long again: zeros.
		truncate(1 << 20)
		if n, err := s.ReadAt(big, 0); n != 1<<20 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		if got, err := v.Load(); err != nil || got != [8]uint64{} {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// fn of a View ends in its middle as by a panic.
func TestTruncatedViewUnwinds(t *testing.T) {
	needFault(t)
	truncatable(t, func(t *testing.T, s *shm.Segment, truncate func(int64)) {
		truncate(4096)
		var steps []string
		err := s.View(func(b []byte) error {
			defer func() { steps = append(steps, "deferred") }()
			steps = append(steps, "before")
			sink = b[4096]
			steps = append(steps, "after")
			return nil
		})
		want(t, err, shm.ErrTruncated)
		if got := strings.Join(steps, " "); got != "before deferred" {
			t.Error(got)
		}
	})
}

// A fault in other memory than the Segment's is none of its business, but
// does not hold its Close off.
func TestFaultElsewhere(t *testing.T) {
	needFault(t)
	truncatable(t, func(t *testing.T, cut *shm.Segment, truncate func(int64)) {
		whole := create(t, newAddress(t, "memfd"), 1<<20, nil)
		truncate(0)
		want(t, cut.View(func(b []byte) error {
			_, err := whole.ReadAt(b, 0)
			t.Errorf("read into nothing: %v", err)
			return nil
		}), shm.ErrTruncated)
		want(t, cut.View(func(b []byte) error {
			_, err := whole.WriteAt(b, 0)
			t.Errorf("written from nothing: %v", err)
			return nil
		}), shm.ErrTruncated)
		// Without a View of cut it is a panic, which can be recovered.
		func() {
			defer func() {
				if _, ok := recover().(interface{ Addr() uintptr }); !ok {
					t.Error("no fault")
				}
			}()
			whole.ReadAt(cut.Bytes(), 0)
		}()
		want(t, whole.Close())
	})
}

func init() {
	// The truncator makes an object short and long again, as fast as it can,
	// until the parent is done.
	shmtest.Handle("truncator", func(c *shmtest.Child) {
		var stop atomic.Bool
		go func() { c.Hold(); stop.Store(true) }()
		f, err := os.OpenFile(c.Args[0], os.O_RDWR, 0)
		c.Check(err)
		size, err := strconv.ParseInt(c.Args[1], 10, 64)
		c.Check(err)
		c.Send("ready")
		n := 0
		for ; !stop.Load(); n++ {
			c.Check(f.Truncate(int64(n) * 1000 % size))
			c.Check(f.Truncate(size))
		}
		c.Logf("truncated %d times", n)
	})
}

// A peer truncates the object again and again, while every kind of access
// goes on: each gives its result or ErrTruncated, and nobody dies.
func TestTruncatedConcurrently(t *testing.T) {
	needFault(t)
	long := *stress
	if testing.Short() {
		long /= 5
	}
	for _, kind := range []string{"posix", "memfd"} {
		t.Run(kind, func(t *testing.T) {
			const size = 1 << 18
			var s *shm.Segment
			var path string
			if kind == "posix" {
				s = create(t, newAddress(t, kind), size, nil)
				path = shmtest.ShmMount + strings.TrimPrefix(s.Address(), "posix:")
			} else {
				m, err := memfd.Create("x", 0)
				want(t, err)
				want(t, m.Truncate(size))
				s, err = shm.FromMemfd(m, nil)
				want(t, err)
				tidy(t, s)
				path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.FD())
			}
			r := open(t, s.Address(), &shm.Options{ReadOnly: true})
			p := open(t, s.Address(), &shm.Options{Private: true})
			v, err := shm.At[[512]uint64](s, size-4096)
			want(t, err)

			peer := shmtest.Start(t, "truncator", path, strconv.Itoa(size))
			peer.Expect("ready")
			end := time.Now().Add(long / 2)
			var wg sync.WaitGroup
			var mu sync.Mutex
			counts := ""
			for name, f := range map[string]func(b []byte) (int, error){
				"ReadAt":          func(b []byte) (int, error) { return s.ReadAt(b, 0) },
				"WriteAt":         func(b []byte) (int, error) { return s.WriteAt(b, 0) },
				"ReadAt, r/o":     func(b []byte) (int, error) { return r.ReadAt(b, 0) },
				"ReadAt, private": func(b []byte) (int, error) { return p.ReadAt(b, 0) },
				"View": func(b []byte) (int, error) {
					return len(b), s.View(func(m []byte) error { copy(b, m); return nil })
				},
				"View, r/o": func(b []byte) (int, error) {
					return len(b), r.View(func(m []byte) error { copy(b, m); return nil })
				},
				"Update": func(b []byte) (int, error) {
					return len(b), s.Update(func(m []byte) error { copy(m, b); return nil })
				},
				"Load":  func(b []byte) (int, error) { _, err := v.Load(); return len(b), err },
				"Store": func(b []byte) (int, error) { return len(b), v.Store([512]uint64{1}) },
			} {
				wg.Go(func() {
					b := make([]byte, size)
					good, cut := 0, 0
					for time.Now().Before(end) {
						n, err := f(b)
						switch {
						case err == nil && n == size:
							good++
						case errors.Is(err, shm.ErrTruncated):
							cut++
						default:
							t.Errorf("%s: %d, %v", name, n, err)
							return
						}
					}
					mu.Lock()
					defer mu.Unlock()
					counts += fmt.Sprintf("\n%16s %7d done, %7d truncated", name, good, cut)
				})
			}
			wg.Wait()
			peer.Wait()
			t.Log(counts)
		})
	}
}

// Memory that is not reserved and runs out is ErrNoSpace where it is
// touched, and memory that is to be reserved is refused before.
func TestNoSpace(t *testing.T) {
	needFault(t)
	p := shmtest.Command{Handler: "no space", ShmSize: 1 << 20}.Start(t)
	p.Expect("done")
	p.Wait()
}

func init() {
	shmtest.Handle("no space", func(c *shmtest.Child) {
		check := func(what string, err error, targets ...error) {
			if why := unwanted(err, targets...); why != "" {
				c.Fatalf("%s: %s", what, why)
			}
		}
		files := func(n int) {
			entries, err := os.ReadDir(shmtest.ShmMount)
			c.Check(err)
			if len(entries) != n {
				c.Fatalf("%d objects, want %d: %v", len(entries), n, entries)
			}
		}
		// Creation: nothing is left, and nothing was taken.
		for _, size := range []int64{1<<20 + 1, 2 << 20, 1 << 40} {
			_, err := shm.Create("big", size, nil)
			check("create", err, shm.ErrNoSpace, syscall.ENOSPC)
			if e, ok := err.(*shm.Error); !ok || e.Hint == "" {
				c.Fatalf("no hint: %#v", e)
			}
			_, _, err = shm.OpenOrCreate("big", size, nil)
			check("open or create", err, shm.ErrNoSpace, syscall.ENOSPC)
			files(0)
		}
		s, err := shm.Create("sparse", 8<<20, &shm.Options{Sparse: true})
		check("sparse", err)
		b := make([]byte, 8<<20)
		for i := range b {
			b[i] = 0xa5
		}
		n, err := s.WriteAt(b, 0)
		check("write", err, shm.ErrNoSpace)
		if n < 900<<10 || n > 1<<20 || n%4096 != 0 {
			c.Fatalf("%d bytes were written", n)
		}
		if got := make([]byte, n); true {
			m, err := s.ReadAt(got, 0)
			if check("read", err); m != n || got[n-1] != 0xa5 {
				c.Fatalf("%d of %d bytes", m, n)
			}
		}
		off := int64(4 << 20)
		v, err := shm.At[[16]uint32](s, off)
		check("at", err)
		check("store", v.Store([16]uint32{}), shm.ErrNoSpace)
		// A page that is only read has to be there, too.
		_, err = v.Load()
		check("load", err, shm.ErrNoSpace)
		r, err := shm.Open("sparse", &shm.Options{ReadOnly: true})
		check("open", err)
		_, err = r.ReadAt(b[:1], off)
		check("read-only", err, shm.ErrNoSpace)
		check("update", s.Update(func(b []byte) error { b[off] = 1; return nil }), shm.ErrNoSpace)
		check("view", s.View(func(b []byte) error { sink = b[off]; return nil }), shm.ErrNoSpace)
		check("read-only view", r.View(func(b []byte) error { sink = b[off]; return nil }), shm.ErrNoSpace)

		// The mount is full now.
		_, err = shm.Create("small", 4096, nil)
		check("create", err, shm.ErrNoSpace, syscall.ENOSPC)
		files(1)
		check("truncate", os.Truncate(shmtest.ShmMount+"/sparse", 4096))
		_, err = s.WriteAt([]byte("x"), 0)
		check("write", err)
		small, err := shm.Create("small", 4096, nil)
		check("create", err)
		files(2)
		for _, s := range []*shm.Segment{small, s} {
			check("remove", s.Remove())
			check("close", s.Close())
		}
		check("close", r.Close())
		files(0)
		c.Send("done")
	})
}

// A file size limit is an error, not a signal that kills.
func TestFileSizeLimit(t *testing.T) {
	p := shmtest.Command{
		Handler: "file size limit",
		Args:    []string{shmtest.Name(t)},
		Rlimits: []shmtest.Rlimit{{Resource: syscall.RLIMIT_FSIZE, Cur: 8192, Max: 8192}},
	}.Start(t)
	p.Expect("done")
	p.Wait()
}

func init() {
	shmtest.Handle("file size limit", func(c *shmtest.Child) {
		for _, address := range []string{c.Args[0], "memfd:x"} {
			for _, o := range []*shm.Options{nil, {Sparse: true}} {
				_, err := shm.Create(address, 8193, o)
				if why := unwanted(err, syscall.EFBIG); why != "" {
					c.Fatalf("%s: %s", address, why)
				}
			}
			s, err := shm.Create(address, 8192, nil)
			c.Check(err)
			if _, err := s.WriteAt(make([]byte, 8192), 0); err != nil {
				c.Fatal(err)
			}
			c.Check(s.Remove())
			c.Check(s.Close())
		}
		if _, err := os.Stat(shmtest.ShmMount + "/" + c.Args[0]); !os.IsNotExist(err) {
			c.Fatal("it was left behind")
		}
		c.Send("done")
	})
}
