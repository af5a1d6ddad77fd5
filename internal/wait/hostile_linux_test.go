package wait

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

// TestRequeued sends a sleeper to another word, which who can read the memory
// can do. It costs at most the bound.
func TestRequeued(t *testing.T) {
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		f := memfd(t, 1)
		o := mapObject(t, f, 0)
		s := o.sleeper(t, Config{Strategy: Sleep})
		way(s)
		w := o.waker(t, false)
		thief := mapFile(t, f, 0, sys.PROT_READ)
		defer sys.Munmap(thief.Addr(), objectSize)
		own := mapObject(t, memfd(t, 1), 0)

		var took []time.Duration
		for n := uint64(1); n <= 10; n++ {
			done := make(chan error)
			go func() { done <- s.Wait(t.Context(), o.past(n)) }()
			if n > 8 { // when the sleeps have grown to their full length
				timeouts := s.Stats().Timeouts
				eventually(t, "sleeping for long", func() bool { return s.Stats().Timeouts > timeouts+7 })
			}
			eventually(t, "stolen", func() bool {
				moved, _, e := unix.Syscall6(unix.SYS_FUTEX, thief.Addr()+128, 3, 0, 1<<30, mem.Addr(own.word), 0)
				if e != 0 {
					t.Fatal(e)
				}
				return moved > 0
			})
			begun := time.Now()
			o.publish(w, n)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		worst, usual := took[len(took)-1], took[len(took)/2]
		if usual > boundDefault { // now and then a busy machine lets us wait longer
			t.Errorf("half of them woke %v and more after the publication", usual)
		}
		st := s.Stats()
		if st.Stolen == 0 || st.Late > 0 {
			t.Errorf("not counted as it should: %+v", st)
		}
		t.Logf("usual %v, worst %v, %+v", usual, worst, st)
	})
}

// TestFlagKeptUp lets a peer raise the flag all the time: most wakes do not
// look at it then, and when the peer is gone everything is as before.
func TestFlagKeptUp(t *testing.T) {
	o := heapObject(t)
	w := o.waker(t, false)
	const n = 100_000
	for i := range uint64(n) {
		atomic.StoreUint32(o.flag, 1)
		o.publish(w, i)
	}
	if w.Rings > n/5 || w.Rings < n/100 {
		t.Errorf("%d rings for %d publications", w.Rings, n)
	}
	t.Logf("%d rings, %d for nobody, %d skipped", w.Rings, w.Empty, w.Skipped)
	for i := range uint64(restWakes) {
		o.publish(w, n+i)
	}
	s := o.sleeper(t, Config{Bound: time.Hour})
	skipped := w.Skipped
	for i := uint64(n + restWakes); i < n+restWakes+100; i++ {
		done := make(chan error)
		go func() { done <- s.Wait(t.Context(), o.past(i)) }()
		eventually(t, "sleeping", s.asleep)
		o.publish(w, i)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if w.Skipped != skipped {
		t.Errorf("%d publications without a look at the flag, though nobody scribbles on it", w.Skipped-skipped)
	}
}

// TestSlowFlag raises the flag for nobody, but seldom: nothing is delayed.
func TestSlowFlag(t *testing.T) {
	o := heapObject(t)
	w := o.waker(t, false)
	for i := range uint64(3 * patience) {
		atomic.StoreUint32(o.flag, 1)
		time.Sleep(2 * tooOften)
		o.publish(w, i)
	}
	if w.Skipped > 0 || w.Empty != 3*patience {
		t.Errorf("%d skipped, %d for nobody", w.Skipped, w.Empty)
	}
}

// needAddresses skips where a fault does not come with its address.
func needAddresses(t *testing.T) {
	t.Helper()
	if shmtest.Emulated() {
		t.Skip("needs the address of a fault, which the emulator does not tell")
	}
}

// TestCutOff takes the memory away under a sleeper.
func TestCutOff(t *testing.T) {
	needAddresses(t)
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		f := memfd(t, 1)
		o := mapObject(t, f, 0)
		s := o.sleeper(t, Config{Bound: 2 * time.Second})
		way(s)
		var done [3]chan error
		for i := range done {
			done[i] = make(chan error)
			go func() { done[i] <- s.Wait(t.Context(), o.past(1)) }()
		}
		eventually(t, "sleeping", func() bool { return s.asleep() && s.sitting() == 2 })
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		for i := range done {
			var fault *mem.Fault
			if err := <-done[i]; !errors.As(err, &fault) {
				t.Errorf("error %v, want a fault", err)
			}
		}
		var fault *mem.Fault
		if err := s.Wait(t.Context(), o.past(1)); !errors.As(err, &fault) || fault.Off != 0 {
			t.Errorf("error %v, want a fault at the head", err)
		}
		if err := s.Wait(t.Context(), func() bool { return false }); !errors.As(err, &fault) || fault.Off != 128 {
			t.Errorf("error %v, want a fault at the word", err)
		}
		if s.asleep() {
			t.Error("somebody still watches")
		}
	})
}

// TestBellCutOff takes the bell alone away, as one who may ring it can: waits
// go on, by looking again and again.
func TestBellCutOff(t *testing.T) {
	needAddresses(t)
	o := mapObject(t, memfd(t, 1), 0)
	f := memfd(t, 1)
	o.flag = mapObject(t, f, 0).flag
	s := o.sleeper(t, Config{Strategy: Sleep})
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Wait(t.Context(), o.past(1)) }()
	eventually(t, "sleeping", func() bool { return s.Stats().Timeouts > 2 })
	mem.StoreRelease64(o.head, 1)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Late+st.Stolen > 0 {
		t.Errorf("counted as lost: %+v", st)
	}
}

// TestPoll waits without any bell, with the memory mapped read-only.
func TestPoll(t *testing.T) {
	f := memfd(t, 1)
	o := mapObject(t, f, 0)
	view := mapFile(t, f, 0, sys.PROT_READ)
	defer sys.Munmap(view.Addr(), objectSize)
	s := New(Config{Word: newObject(t, view).word, Regions: []mem.Region{view}})
	defer s.Close()
	for n := uint64(1); n <= 5; n++ {
		done := make(chan error)
		go func() { done <- s.Wait(t.Context(), o.past(n)) }()
		eventually(t, "sleeping", func() bool { return s.Stats().Timeouts > 5*n })
		begun := time.Now()
		mem.StoreRelease64(o.head, n)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		t.Logf("seen after %v", time.Since(begun))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	sleeps := s.Stats().Sleeps
	if err := s.Wait(ctx, o.past(1000)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if n := s.Stats().Sleeps - sleeps; n > 60 {
		t.Errorf("%d sleeps in 300 ms", n)
	}
}
