package shm_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-298b2b26/shm"
)

// Every method of a closed Segment answers ErrClosed, or nothing.
func TestClosed(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 4096, nil)
		v, err := shm.At[uint64](s, 8)
		want(t, err)
		reader, writer := s.Reader(), s.Writer(0)
		named := s.Address()
		want(t, s.Remove())
		want(t, s.Close())
		want(t, s.Close())

		b := make([]byte, 8)
		for name, f := range map[string]func() error{
			"ReadAt":          func() error { _, err := s.ReadAt(b, 0); return err },
			"ReadAt nothing":  func() error { _, err := s.ReadAt(nil, 0); return err },
			"ReadAt past end": func() error { _, err := s.ReadAt(b, 1<<40); return err },
			"ReadAt negative": func() error { _, err := s.ReadAt(b, -1); return err },
			"WriteAt":         func() error { _, err := s.WriteAt(b, 0); return err },
			"WriteAt nothing": func() error { _, err := s.WriteAt(nil, 0); return err },
			"View":            func() error { return s.View(func([]byte) error { panic("called") }) },
			"Update":          func() error { return s.Update(func([]byte) error { panic("called") }) },
			"Reader":          func() error { _, err := reader.Read(b); return err },
			"Reader later":    func() error { _, err := s.Reader().Read(b); return err },
			"Writer":          func() error { _, err := writer.Write(b); return err },
			"Info":            func() error { _, err := s.Info(); return err },
			"Remove":          func() error { return s.Remove() },
			"At":              func() error { _, err := shm.At[uint64](s, 0); return err },
			"Slice":           func() error { _, err := shm.Slice[uint64](s, 0, 1); return err },
			"Atomic":          func() error { _, err := shm.Atomic[atomic.Uint64](s, 0); return err },
			"Load":            func() error { _, err := v.Load(); return err },
			"Store":           func() error { return v.Store(1) },
		} {
			err := f()
			if why := unwanted(err, shm.ErrClosed); why != "" {
				t.Errorf("%s: %s", name, why)
			} else if !strings.Contains(err.Error(), named) {
				t.Errorf("%s: %v: does not name %s", name, err, named)
			}
		}
		if s.Bytes() != nil || v.Pointer() != nil {
			t.Error("memory that is not mapped was given")
		}
		if s.Size() != 4096 || s.Address() != named || s.Truncatable() {
			t.Errorf("size %d, address %s, truncatable %v", s.Size(), s.Address(), s.Truncatable())
		}
		if f := s.Memfd(); f != nil && f.FD() != -1 {
			t.Error("the descriptor is open")
		}
	})
}

func TestCloseWaits(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		for name, use := range map[string]func(*shm.Segment, func([]byte) error) error{
			"view": (*shm.Segment).View, "update": (*shm.Segment).Update,
		} {
			s := create(t, address, 4096, nil)
			inside, closing, closed := make(chan bool), make(chan bool), make(chan error, 1)
			failure := make(chan error, 1)
			go func() {
				failure <- use(s, func(b []byte) error {
					close(inside)
					<-closing
					// Close has begun. What we hold stays, nothing new begins.
					for s.Bytes() != nil {
						runtime.Gosched()
					}
					if err := s.View(func([]byte) error { return nil }); !errors.Is(err, shm.ErrClosed) {
						t.Errorf("a nested View: %v", err)
					}
					if _, err := s.ReadAt(make([]byte, 1), 0); !errors.Is(err, shm.ErrClosed) {
						t.Errorf("a nested ReadAt: %v", err)
					}
					select {
					case err := <-closed:
						t.Errorf("Close returned (%v) during %s", err, name)
					default:
					}
					for i := range b {
						b[i]++
					}
					return io.ErrUnexpectedEOF
				})
			}()
			<-inside
			s.Remove()
			go func() { closed <- s.Close() }()
			close(closing)
			if err := <-failure; err != io.ErrUnexpectedEOF {
				t.Errorf("%s gave %v", name, err)
			}
			want(t, <-closed)
		}
	})
}

func TestViewNested(t *testing.T) {
	s := create(t, newAddress(t, "posix"), 4096, nil)
	want(t, s.View(func(b []byte) error {
		return s.Update(func(b []byte) error {
			_, err := s.WriteAt([]byte("inner"), 0)
			return err
		})
	}))
	if !bytes.HasPrefix(s.Bytes(), []byte("inner")) {
		t.Errorf("%q", s.Bytes()[:5])
	}
}

// However fn ends, Close does not wait for ever afterwards.
func TestViewLeft(t *testing.T) {
	s := create(t, newAddress(t, "memfd"), 4096, nil)
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v", p)
			}
		}()
		s.View(func([]byte) error { panic("mine") })
	}()
	func() {
		defer func() {
			if err, ok := recover().(runtime.Error); !ok {
				t.Errorf("recovered %v", err)
			}
		}()
		var nothing *int
		s.View(func([]byte) error { *nothing = 1; return nil })
	}()
	done := make(chan bool)
	go func() {
		defer close(done)
		s.View(func([]byte) error { runtime.Goexit(); return nil })
	}()
	<-done
	want(t, s.Close())
}

// Methods at work while Close comes either do their work or say ErrClosed.
func TestCloseConcurrently(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	everyKind(t, func(t *testing.T, address string) {
		for range rounds {
			s := create(t, address, 8192, nil)
			w, err := shm.At[[4]uint64](s, 4096)
			want(t, err)
			var wg sync.WaitGroup
			var started sync.WaitGroup
			for _, f := range []func() error{
				func() error { _, err := s.ReadAt(make([]byte, 4000), 1); return err },
				func() error { _, err := s.WriteAt([]byte("some bytes"), 2000); return err },
				func() error { return s.View(func(b []byte) error { _ = b[8000]; return nil }) },
				func() error { return s.Update(func(b []byte) error { b[8100] = 1; return nil }) },
				func() error { _, err := s.Info(); return err },
				func() error { _, err := w.Load(); return err },
				func() error { s.Truncatable(); return w.Store([4]uint64{1, 2, 3, 4}) },
				func() error {
					err := s.Remove()
					if errors.Is(err, shm.ErrRemoved) {
						return nil
					}
					return err
				},
			} {
				started.Add(1)
				wg.Go(func() {
					for n := 0; ; n++ {
						err := f()
						if n == 0 {
							started.Done()
						}
						if errors.Is(err, shm.ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						runtime.Gosched()
					}
				})
			}
			started.Wait()
			for range 2 {
				wg.Go(func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
	})
}
