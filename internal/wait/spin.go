package wait

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Strategy says what comes before the sleep.
type Strategy int

const (
	// Adaptive spins for some microseconds where that has proved to pay.
	Adaptive Strategy = iota
	// Sleep never spins.
	Sleep
	// Spin does not sleep at all, for whom nothing is too dear. It lets other
	// goroutines run in between. Where there is one processor, it sleeps.
	Spin
)

const (
	// spinMost bounds a spin. To sleep and be woken costs both sides together
	// about half of it, so a spin that fails costs no more than a few sleeps.
	spinMost = 20 * time.Microsecond
	// spinCheck is after how many looks the clock is read, a microsecond or
	// two, and spinYield after how many other goroutines are let in. Powers
	// of two.
	spinCheck = 64
	spinYield = 256
	// spinMeasure is after how many looks their time is taken.
	spinMeasure = 10
	// lendYield is after how many looks without end the processor is offered
	// to other processes, some 50 us: the peer may need this very one.
	lendYield = 16 * spinYield

	// A spin that took longer than its looks, by switchLeast, was interrupted:
	// the peer runs on the same processor, and would have run sooner if we had
	// gone to sleep.
	switchLeast = 500 * time.Nanosecond
)

// spinning is tried several times in a row: two peers that both sleep find out
// together or not at all, for who is woken late by the other sees no gain in
// it. In the end a try takes 0.1 us of each wait.
var spinning = way{probe: 4, restFirst: 16, restMost: 1024}

// spinner learns whether spinning pays. What counts is only whether a spin
// had success, so it notices everything that can be in the way, such as a
// peer that is on the same processor.
type spinner struct {
	busy atomic.Bool // one goroutine spins and learns at a time

	alone, among credit        // what was learned with no others around, and in a crowd
	typical      int           // looks that successful spins took, smoothed
	look         time.Duration // what a look takes

	hits, misses atomic.Uint64
}

// spin looks again and again, and gives up after a while.
func (p *spinner) spin(ready func() bool) bool {
	if !processors.several() || !p.busy.CompareAndSwap(false, true) {
		return false
	}
	defer p.busy.Store(false)
	switch pays, anew := p.alone.pays(&spinning); {
	case !pays:
		return false
	case anew:
		p.typical = 0
	}
	limit := 1 << 30
	if p.typical > 0 {
		limit = max(spinCheck, 16*p.typical)
	}
	begun := time.Now()
	mark := begun
	for n := 1; ; n++ {
		if n == spinMeasure {
			p.timeLook(time.Since(begun) / spinMeasure)
		}
		if ready() {
			p.hit(n, mark)
			return true
		}
		mem.Pause()
		if n%spinCheck == 0 {
			mark = time.Now()
			if n >= limit || mark.Sub(begun) > spinMost {
				break
			}
			if n%spinYield == 0 {
				runtime.Gosched()
				// The peer may have had this processor meanwhile.
				if n++; ready() {
					p.hit(n, mark)
					return true
				}
				mark = time.Now()
			}
		}
	}
	processors.refresh(begun) // there is time before the sleep
	p.miss()
	return false
}

// hit learns from a spin that saw what it waited for after n looks. mark is
// when the first of the last n modulo spinCheck of them began.
func (p *spinner) hit(n int, mark time.Time) {
	looks := time.Duration(n % spinCheck)
	if p.look > 0 && p.alone.left < creditMost && time.Since(mark) > looks*p.look*3/2+switchLeast {
		p.miss() // it was not we who looked, but the peer in our place
		return
	}
	p.hits.Add(1)
	p.alone.more()
	p.typical += (n-p.typical)/8 + 1
}

// timeLook takes a measure of what a look takes. An interruption only makes it
// longer, so less is believed at once and more by and by.
func (p *spinner) timeLook(took time.Duration) {
	if took < p.look || p.look == 0 {
		p.look = max(took, 1)
	} else {
		p.look += (took - p.look) / 32
	}
}

// miss learns from a spin for nothing.
func (p *spinner) miss() {
	p.misses.Add(1)
	p.alone.less(&spinning)
}

// forever looks until ready or stop says yes, and reports whether it was
// ready.
func forever(ready, stop func() bool) bool {
	for n := 1; ; n++ {
		if ready() {
			return true
		}
		mem.Pause()
		if n%spinYield == 0 {
			if stop() {
				return false
			}
			runtime.Gosched()
			if n%lendYield == 0 {
				sys.Yield()
			}
		}
	}
}
