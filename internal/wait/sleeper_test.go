package wait

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"time"
)

// waitv runs a test with every way to sleep: as it is, with futex_waitv from
// the first sleep on, and as on kernels that do not have it.
func waitv(t *testing.T, test func(t *testing.T, way func(*Sleeper))) {
	t.Run("both", func(t *testing.T) { test(t, func(*Sleeper) {}) })
	t.Run("futex_waitv", func(t *testing.T) { test(t, func(s *Sleeper) { s.long = true }) })
	t.Run("futex", func(t *testing.T) { test(t, func(s *Sleeper) { s.waitv = false }) })
}

// asleep is true when somebody has gone to sleep at least n times.
func (s *Sleeper) asleep() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watched
}

func TestWaitReady(t *testing.T) {
	o := heapObject(t)
	s := o.sleeper(t, Config{})
	if err := s.Wait(t.Context(), o.past(0)); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st != (Stats{}) {
		t.Errorf("nothing to wait for: %+v", st)
	}
}

func TestWaitWoken(t *testing.T) {
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		for _, strategy := range []Strategy{Adaptive, Sleep, Spin} {
			o := mapObject(t, memfd(t, 1), 0)
			s := o.sleeper(t, Config{Strategy: strategy, Bound: time.Hour})
			way(s)
			w := o.waker(t, false)
			for i := uint64(1); i <= 20; i++ {
				done := make(chan error)
				go func() { done <- s.Wait(t.Context(), o.past(i)) }()
				if strategy != Spin {
					eventually(t, "sleeping", s.asleep)
				}
				o.publish(w, i)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestWaitCancelled(t *testing.T) {
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		o := mapObject(t, memfd(t, 1), 0)
		s := o.sleeper(t, Config{Bound: time.Hour})
		way(s)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := s.Wait(ctx, o.past(1)); !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
			})
		}
		eventually(t, "sleeping", func() bool { return s.asleep() && s.sitting() == 4 })
		cancel()
		wg.Wait()
		eventually(t, "nobody watches any more", func() bool { return !s.asleep() })
		if err := s.Wait(ctx, o.past(0)); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: error %v", err)
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Millisecond)
			if err := s.Wait(ctx, o.past(1)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			cancel()
		}
	})
}

// TestWaitHandOver lets the one who sleeps for the others leave first.
func TestWaitHandOver(t *testing.T) {
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		o := mapObject(t, memfd(t, 1), 0)
		s := o.sleeper(t, Config{Bound: time.Hour})
		way(s)
		w := o.waker(t, false)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error), make(chan error)
		go func() { first <- s.Wait(ctx, o.past(1)) }()
		eventually(t, "sleeping", s.asleep)
		go func() { second <- s.Wait(t.Context(), o.past(2)) }()
		eventually(t, "sitting", func() bool { return s.sitting() == 1 })
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		o.publish(w, 1) // not yet
		o.publish(w, 2)
		if err := <-second; err != nil {
			t.Errorf("error %v", err)
		}
		eventually(t, "nobody watches any more", func() bool { return !s.asleep() })
	})
}

func TestClose(t *testing.T) {
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		for _, strategy := range []Strategy{Adaptive, Spin} {
			o := mapObject(t, memfd(t, 1), 0)
			s := o.sleeper(t, Config{Bound: time.Hour, Strategy: strategy})
			way(s)
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if err := s.Wait(t.Context(), o.past(1)); !errors.Is(err, fs.ErrClosed) {
						t.Errorf("error %v", err)
					}
				})
			}
			if strategy != Spin {
				eventually(t, "sleeping", func() bool { return s.asleep() && s.sitting() == 4 })
			}
			for range 2 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if s.asleep() {
				t.Error("somebody watches after Close")
			}
			wg.Wait()
			if err := s.Wait(t.Context(), o.past(0)); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("after Close: error %v", err)
			}
		}
	})
}

// sitting is how many sit on a channel.
func (s *Sleeper) sitting() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := s.list.next; w != &s.list; w = w.next {
		n++
	}
	return n
}
