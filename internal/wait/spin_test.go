package wait

import (
	"runtime"
	"testing"
)

// TestOneProcessor does not spin where there is one processor, or the time of
// one.
func TestOneProcessor(t *testing.T) {
	vain := func(t *testing.T) {
		t.Helper()
		for range 3 * spinning.restMost {
			var s spinner
			s.alone.left = spinning.probe
			if s.spin(func() bool { t.Error("it looks"); return true }) {
				break
			}
		}
	}
	t.Run("GOMAXPROCS", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		vain(t)
		o := heapObject(t)
		s := o.sleeper(t, Config{Strategy: Spin})
		w := o.waker(t, false)
		done := make(chan error)
		go func() { done <- s.Wait(t.Context(), o.past(1)) }()
		eventually(t, "sleeping", s.asleep)
		o.publish(w, 1)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("quota", func(t *testing.T) {
		defer processors.one.Store(processors.one.Load())
		processors.one.Store(true)
		vain(t)
	})
}

// TestSpinLearns spins always where it pays, and hardly ever where it does
// not.
func TestSpinLearns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	defer processors.one.Store(processors.one.Load())
	processors.one.Store(false)
	var s spinner
	s.alone.left = spinning.probe
	soon := func() func() bool {
		n := 0
		return func() bool { n++; return n > 10 }
	}
	never := func() bool { return false }
	count := func(rounds int, ready func() func() bool) (hits, misses uint64) {
		h, m := s.hits.Load(), s.misses.Load()
		for range rounds {
			s.spin(ready())
		}
		return s.hits.Load() - h, s.misses.Load() - m
	}
	if hits, misses := count(100, soon); hits < 50 || misses > 50 {
		t.Errorf("where it pays: %d hits, %d misses in 100 waits", hits, misses)
	}
	if _, misses := count(20_000, func() func() bool { return never }); misses > 200 || misses < 20 {
		t.Errorf("where it does not: %d misses in 20,000 waits", misses)
	}
	if hits, _ := count(4*spinning.restMost, soon); hits < uint64(spinning.restMost) {
		t.Errorf("where it pays again: %d hits in %d waits", hits, 4*spinning.restMost)
	}
}
