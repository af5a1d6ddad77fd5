package wait

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// one makes this process one of one processor for a test.
func one(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// TestGiveWay: in a crowd on one processor, a look comes after the others ran.
func TestGiveWay(t *testing.T) {
	one(t)
	var c Crowd
	var s Spinner
	var flag atomic.Bool
	c.Join()
	go flag.Store(true)
	if s.Spin(&c, flag.Load) {
		t.Error("one is no crowd, and who is alone on one processor does not look")
	}
	for !flag.Load() {
		runtime.Gosched()
	}
	c.Join()
	// Now and then the runtime lets the one go on that has just given way.
	const rounds = 100
	hits := 0
	for range rounds {
		flag.Store(false)
		var s Spinner
		go flag.Store(true)
		if s.Spin(&c, flag.Load) {
			hits++
			if n, _ := s.Counts(); n != 1 {
				t.Errorf("%d hits are counted", n)
			}
		}
		for !flag.Load() {
			runtime.Gosched()
		}
	}
	if hits < rounds*3/4 {
		t.Errorf("in %d of %d times somebody else has run", hits, rounds)
	}
	c.Leave()
	go flag.Store(false)
	if s.Spin(&c, func() bool { t.Error("it looks"); return true }) {
		t.Error("it does not notice that it is alone again")
	}
}

// TestGiveWayEnds: where nothing comes, a few looks are all, for one among
// those who sleep; and those who let run each other all come to an end.
func TestGiveWayEnds(t *testing.T) {
	one(t)
	stirred := 0
	c := Crowd{Stir: func() { stirred++ }}
	for range 100 {
		c.Join()
	}
	var s Spinner
	looks := 0
	if s.Spin(&c, func() bool { looks++; return false }) || looks > 2*giveLeast {
		t.Errorf("%d looks where nobody else runs", looks)
	}
	if stirred != 1 {
		t.Errorf("those who sleep were looked after %d times", stirred)
	}
	c.Stir = nil
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			var s Spinner
			for range 20 {
				s.Spin(&c, func() bool { return false })
			}
		})
	}
	wg.Wait()
}

// TestGiveWayAmong: on several processors, who meets others lets them run at
// every wait.
func TestGiveWayAmong(t *testing.T) {
	var s spinner
	var c Crowd
	looks := 0
	for range 1000 {
		s.giveWay(&c, func() bool { looks++; c.turns.Add(1); return true })
	}
	if looks != 1000 {
		t.Errorf("%d tries in 1,000 waits", looks)
	}
}

// TestCredit tries always what pays, and rests longer and longer from what
// does not.
func TestCredit(t *testing.T) {
	var c credit
	tries := func(waits int, success bool) (n int) {
		for range waits {
			if yes, _ := c.pays(&giving); !yes {
				continue
			}
			if n++; success {
				c.more()
			} else {
				c.less(&giving)
			}
		}
		return n
	}
	for _, x := range []struct {
		waits, least, most int
		success            bool
	}{{1000, 1000, 1000, true}, {1000, 25, 40, false}, {1000, 980, 1000, true}} {
		if n := tries(x.waits, x.success); n < x.least || n > x.most {
			t.Errorf("%d tries in %d waits, success %v", n, x.waits, x.success)
		}
	}
}
