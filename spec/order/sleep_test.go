package order

import (
	"fmt"

	"github.com/seed-298b2b26/shm/shmtest/explore"
)

// sleeping is section 8: a publisher that only counts, and sleepers that wait
// for it to come to the end. No sleep has a bound here.
type sleeping struct {
	mutant
	sleepers int
	samples  uint64
	gives    bool // a sleeper may give up instead of sleeping
	free     bool // fencefree = 1: the waker does not fence, who sleeps calls membarrier

	head, wake, flag *explore.Word
}

func (s *sleeping) system() *explore.System {
	sys := &explore.System{}
	s.head, s.wake, s.flag = sys.Word("head", 0), sys.Word("wake", 0), sys.Word("sleepers", 0)
	explore.Rounds(sys, "publisher", uint64(0), func(t *explore.Thread, n *uint64) bool {
		if *n == s.samples {
			return false
		}
		*n++
		s.release(t, "head stored plainly", s.head, *n)
		s.ring(t)
		return true
	})
	for i := range s.sleepers {
		explore.Rounds(sys, fmt.Sprintf("sleeper %d", i), uint64(0), s.sleep)
	}
	return sys
}

// ring wakes who sleeps, after a change.
func (s *sleeping) ring(t *explore.Thread) {
	if !s.free && !s.is("no full fence after head") {
		t.Say("SYNC POINT: sleep")
		t.FullFence()
	}
	t.Say("SYNC POINT: sleep")
	if t.LoadAcquire64(s.flag) == 0 {
		return
	}
	down := func() {
		t.Say("SYNC POINT: sleep")
		s.release(t, "0 stored plainly", s.flag, 0)
	}
	up := func() {
		// Nobody else writes it.
		w := t.Load64(s.wake)
		t.Say("SYNC POINT: sleep")
		s.release(t, "wake stored plainly", s.wake, w+1)
	}
	wake := func() { t.FutexWake(s.wake) }
	switch {
	case s.is("woken, then wake + 1"):
		down()
		wake()
		up()
	case s.is("woken, then 0"):
		up()
		wake()
		down()
	case s.is("wake + 1, then 0"):
		up()
		down()
		wake()
	default:
		down()
		up()
		wake()
	}
}

// sleep looks once, and sleeps if there is nothing.
func (s *sleeping) sleep(t *explore.Thread, seen *uint64) bool {
	if h := t.LoadAcquire64(s.head); h > *seen {
		*seen = h
		return h < s.samples
	}
	var w uint64
	load := func() {
		t.Say("SYNC POINT: sleep")
		if s.is("wake and sleepers plainly") {
			w = t.Load64(s.wake)
		} else {
			w = s.acquire(t, "wake loaded plainly", s.wake)
		}
	}
	set := func() {
		t.Say("SYNC POINT: sleep")
		if s.is("wake and sleepers plainly") {
			t.Store64(s.flag, 1)
		} else {
			s.release(t, "sleepers stored plainly", s.flag, 1)
		}
		if !s.is("no full fence after sleepers") {
			t.Say("SYNC POINT: sleep")
			t.FullFence()
		}
		if s.free && !s.is("no membarrier after sleepers") {
			t.Say("SYNC POINT: sleep")
			t.Membarrier()
		}
	}
	if !s.is("wake loaded after the look") && !s.is("sleepers, then wake") {
		load()
	}
	if !s.is("look, then sleepers") {
		set()
	}
	if s.is("sleepers, then wake") {
		load()
	}
	t.Say("SYNC POINT: sleep")
	if h := t.LoadAcquire64(s.head); h > *seen {
		*seen = h
		return h < s.samples
	}
	if s.is("wake loaded after the look") {
		load()
	}
	if s.is("look, then sleepers") {
		set()
	}
	if s.gives && t.Choose(2) == 1 {
		if s.is("who gives up stores 0") {
			t.StoreRelease64(s.flag, 0)
		}
		return false
	}
	if s.is("sleeps on head") {
		t.FutexWait(s.head, *seen)
	} else {
		t.FutexWait(s.wake, w)
	}
	return true
}
