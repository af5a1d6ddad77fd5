package wait

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// giveMost is how often others are let run before a sleep. Where there
	// are none, that takes less than a tenth of what a sleep does.
	giveMost = 4
	// giveSpan bounds how long others are let run again and again when each
	// time there were some: as many as they are, it is spent once for all.
	giveSpan = 50 * time.Microsecond
	// giveLong is more than it takes to let run nobody.
	giveLong = 2 * time.Microsecond
	// giveRest is how many waits lie at most between two tries where there
	// was nobody.
	giveRest = 16
)

// Crowd is those of a process who wait for similar things with Spinners, such
// as its connections. Where they are more than can run at once, who has to
// wait lets others run before it looks again. When many are busy, what each of
// them waits for is there when it is its turn again; so nobody sleeps, and
// nobody has to be woken. And nobody who finds what it waits for within a
// microsecond, again and again, keeps the others from running.
//
// The Go runtime looks for what has come on sockets when no goroutine can run,
// and otherwise every 10 ms. Those who give way can always run. So whoever
// sleeps at a socket would starve; Stir is there to wake it.
type Crowd struct {
	// Stir is called before others are let run, by several at once. It may
	// look after some who sleep, and must be short. Nil: nobody sleeps where
	// only the runtime sees it.
	Stir func()

	members atomic.Int64
	turns   atomic.Uint32 // how often somebody has let others run
}

// Join adds one who may wait. Each Join has its Leave.
func (c *Crowd) Join() { c.members.Add(1) }

// Leave is the opposite of Join.
func (c *Crowd) Leave() { c.members.Add(-1) }

// Members is how many there are.
func (c *Crowd) Members() int { return int(c.members.Load()) }

// giveWay lets others run, and looks. It reports whether ready was true, and
// whether there were others, for then it is not for us to spin. ours is how
// many goroutines can run at once.
func (p *spinner) giveWay(c *Crowd, ours int, ready func() bool) (done, others bool) {
	if !p.busy.CompareAndSwap(false, true) {
		return false, false
	}
	defer p.busy.Store(false)
	// Alone on one processor there is no better use of the time.
	if pays, _ := p.among.pays(); !pays && ours > 1 {
		return false, false
	}
	if c.Stir != nil {
		c.Stir()
	}
	begun := time.Now()
	for n := 1; ; n++ {
		mine := c.turns.Add(1)
		runtime.Gosched()
		done = ready()
		more := c.turns.Load() != mine || n == 1 && time.Since(begun) > giveLong
		others = others || more
		if done || n >= giveMost && !(more && time.Since(begun) < giveSpan) || !more && ours > 1 {
			break
		}
	}
	if others {
		p.among.more()
	} else {
		p.among.less(giveRest)
	}
	if done {
		p.hits.Add(1)
	} else if others {
		p.misses.Add(1)
	}
	return done, others
}
