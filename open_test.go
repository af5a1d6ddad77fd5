package shm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func TestOpenOrCreate(t *testing.T) {
	for _, kind := range []string{"posix", "sysv"} {
		t.Run(kind, func(t *testing.T) {
			address := newAddress(t, kind)
			s, created, err := shm.OpenOrCreate(address, 1000, nil)
			want(t, err)
			if !created {
				t.Fatal("not created")
			}
			tidy(t, s)
			_, err = s.WriteAt([]byte("kept"), 0)
			want(t, err)
			for _, size := range []int64{0, 1, 999, 1000} {
				s, created, err := shm.OpenOrCreate(address, size, nil)
				want(t, err)
				if created || s.Size() != 1000 || string(s.Bytes()[:4]) != "kept" {
					t.Errorf("created %v, size %d", created, s.Size())
				}
				want(t, s.Close())
			}
			for _, size := range []int64{1001, 4096, 1 << 40} {
				_, _, err := shm.OpenOrCreate(address, size, nil)
				want(t, err, syscall.EINVAL)
				var e *shm.Error
				if errors.As(err, &e) && (!strings.Contains(err.Error(), "it has 1000 bytes") || e.Hint == "") {
					t.Errorf("%v; hint %q", err, e.Hint)
				}
			}
			_, _, err = shm.OpenOrCreate(address, -1, nil)
			want(t, err, syscall.EINVAL)
			if i, err := s.Info(); err != nil || i.Size != 1000 || string(s.Bytes()[:4]) != "kept" {
				t.Errorf("it was changed: %+v, %v", i, err)
			}
			if kind == "sysv" {
				if i, _ := s.Info(); i.SysV.NAttach != 1 {
					t.Errorf("%d attachments", i.SysV.NAttach)
				}
			}
		})
	}
	for _, address := range []string{"sysv:private", "memfd:x"} {
		for range 2 {
			s, created, err := shm.OpenOrCreate(address, 10, nil)
			want(t, err)
			if !created {
				t.Errorf("%s: not created", address)
			}
			tidy(t, s)
		}
	}
	_, _, err := shm.OpenOrCreate("sysv:id=2147483647", 10, nil)
	want(t, err, fs.ErrNotExist)
	_, _, err = shm.OpenOrCreate(fmt.Sprintf("memfd:%d/2147483647", os.Getpid()), 10, nil)
	want(t, err, fs.ErrNotExist)
	_, _, err = shm.OpenOrCreate(newAddress(t, "posix"), 0, nil)
	want(t, err, syscall.EINVAL)
}

func init() {
	// The racer waits in memory that both have, so that both begin at once.
	shmtest.Handle("racer", func(c *shmtest.Child) {
		gate, err := shm.Open(c.Args[0], nil)
		c.Check(err)
		round, err := shm.Atomic[atomic.Uint64](gate, 0)
		c.Check(err)
		for n := uint64(1); ; n++ {
			address, ok := c.Recv()
			if !ok {
				return
			}
			for round.Load() < n {
				runtime.Gosched()
			}
			s, created, err := shm.OpenOrCreate(address, 4096, nil)
			c.Check(err)
			if s.Size() != 4096 {
				c.Fatalf("%d bytes", s.Size())
			}
			c.Check(s.Close())
			c.Send(strconv.FormatBool(created))
		}
	})
}

// Two processes that want the same object at once both get it, and exactly
// one made it.
func TestOpenOrCreateRace(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 50
	}
	gate := create(t, newAddress(t, "posix"), 8, nil)
	round, err := shm.Atomic[atomic.Uint64](gate, 0)
	want(t, err)
	one, two := shmtest.Start(t, "racer", gate.Address()), shmtest.Start(t, "racer", gate.Address())
	firsts := 0
	for n := range rounds {
		address := newAddress(t, "posix")
		if n%4 == 0 {
			address = newAddress(t, "sysv")
		}
		one.Send(address)
		two.Send(address)
		round.Add(1)
		a, b := one.Recv(), two.Recv()
		if a == b {
			t.Errorf("%s: created says the one %s, the other %s", address, a, b)
		}
		if a == "true" {
			firsts++
		}
		want(t, shm.Remove(address, nil))
	}
	t.Logf("the first was faster %d times of %d", firsts, rounds)
	one.Wait()
	two.Wait()
}

func TestOpenOrCreateRaceInside(t *testing.T) {
	for range 20 {
		for _, kind := range []string{"posix", "sysv"} {
			address := newAddress(t, kind)
			var created atomic.Int32
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					s, first, err := shm.OpenOrCreate(address, 100, nil)
					if err != nil {
						t.Error(err)
						return
					}
					if first {
						created.Add(1)
					}
					s.Close()
				})
			}
			wg.Wait()
			if n := created.Load(); n != 1 {
				t.Errorf("%s: %d created it", address, n)
			}
			want(t, shm.Remove(address, nil))
		}
	}
}

// As C programs create: a name first, a size later.
func TestNotReady(t *testing.T) {
	address := newAddress(t, "posix")
	obj, err := posix.Open(strings.TrimPrefix(address, "posix:"), posix.O_CREAT|posix.O_EXCL|posix.O_RDWR, 0o600, nil)
	want(t, err)
	defer posix.Unlink(obj.Name(), nil)
	defer obj.Close()

	_, err = shm.Open(address, nil)
	want(t, err, shm.ErrNotReady)
	_, err = shm.Create(address, 10, nil)
	want(t, err, fs.ErrExist)
	if !testing.Short() {
		begin := time.Now()
		_, _, err = shm.OpenOrCreate(address, 10, nil)
		want(t, err, shm.ErrNotReady)
		if d := time.Since(begin); d < 900*time.Millisecond {
			t.Errorf("waited for %v only", d)
		}
	}

	type result struct {
		s       *shm.Segment
		created bool
		err     error
	}
	done := make(chan result, 1)
	go func() {
		s, created, err := shm.OpenOrCreate(address, 10, nil)
		done <- result{s, created, err}
	}()
	select {
	case r := <-done:
		t.Fatalf("did not wait: %+v", r)
	case <-time.After(time.Millisecond): // it must not come, so there is no event
	}
	want(t, obj.Truncate(100))
	r := <-done
	want(t, r.err)
	defer r.s.Close()
	if r.created || r.s.Size() != 100 {
		t.Errorf("created %v, size %d", r.created, r.s.Size())
	}
}

func TestOpenEmptyMemfd(t *testing.T) {
	f, err := memfd.Create("empty", 0)
	want(t, err)
	defer f.Close()
	_, err = shm.Open(f.Address(), nil)
	want(t, err, shm.ErrNotReady)
	_, err = shm.FromMemfd(f, nil)
	want(t, err, shm.ErrNotReady)
	// It stayed ours.
	want(t, f.Truncate(10))
	s, err := shm.FromMemfd(f, nil)
	want(t, err)
	want(t, s.Close())
	if f.FD() != -1 {
		t.Error("not closed with its Segment")
	}
	_, err = shm.FromMemfd(f, nil)
	want(t, err, shm.ErrClosed)
}

func TestOpenMemfdThatIsNone(t *testing.T) {
	p := shmtest.Start(t, "hold")
	p.Expect("ready")
	for address, target := range map[string]error{
		"memfd:" + strconv.Itoa(p.PID()) + "/0":          shm.ErrType,    // a pipe
		"memfd:" + strconv.Itoa(p.PID()) + "/2147483647": fs.ErrNotExist, // no such descriptor
		"memfd:2147483647/0":                             fs.ErrNotExist, // no such process
	} {
		_, err := shm.Open(address, nil)
		want(t, err, target)
		_, err = shm.Stat(address, nil)
		want(t, err, target)
	}
	p.Wait()
}

func init() {
	shmtest.Handle("hold", func(c *shmtest.Child) {
		c.Send("ready")
		c.Hold()
	})
}

func TestOpenUnknown(t *testing.T) {
	for _, address := range []string{newAddress(t, "posix"), newAddress(t, "sysv"), "sysv:id=2147483647"} {
		for _, o := range []*shm.Options{nil, {ReadOnly: true}} {
			_, err := shm.Open(address, o)
			want(t, err, fs.ErrNotExist)
			if !strings.Contains(err.Error(), address) {
				t.Errorf("%v: does not name %s", err, address)
			}
		}
		_, err := shm.Stat(address, nil)
		want(t, err, fs.ErrNotExist)
		want(t, shm.Remove(address, nil), fs.ErrNotExist)
	}
}

// Identifier 0 is an ordinary one.
func TestIDZero(t *testing.T) {
	p := shmtest.Command{Handler: "id zero", OwnIPC: true}.Start(t)
	p.Expect("sysv:id=0 zero")
	p.Wait()
}

func init() {
	shmtest.Handle("id zero", func(c *shmtest.Child) {
		// The first segment of a new IPC namespace.
		s, err := shm.Create("sysv:private", 10, nil)
		c.Check(err)
		copy(s.Bytes(), "zero")
		r, err := shm.Open("sysv:id=0", nil)
		c.Check(err)
		c.Send(s.Address() + " " + string(r.Bytes()[:4]))
		c.Check(shm.Remove("sysv:id=0", nil))
		if i, err := r.Info(); err != nil || !i.Removed || i.SysV.ID != sysv.ID(0) {
			c.Fatalf("%+v, %v", i, err)
		}
	})
}
