package wait

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// giveLeast and giveSpan are how often and how long others are let run
	// again and again before a sleep, as long as there are some each time. As
	// many as they are, the time is spent once for all.
	giveLeast = 4
	giveSpan  = 50 * time.Microsecond
)

// giving shows in one try whether there are others. It costs 0.2 us where there
// are none, and now and then some more, for the goroutine may go on elsewhere.
var giving = way{probe: 1, restFirst: 16, restMost: 32}

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
// whether there were others, for then it is not for us to spin.
func (p *spinner) giveWay(c *Crowd, ready func() bool) (done, others bool) {
	if !p.busy.CompareAndSwap(false, true) {
		return false, false
	}
	defer p.busy.Store(false)
	if pays, _ := p.among.pays(&giving); !pays {
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
		more := c.turns.Load() != mine
		others = others || more
		if done || !more || n >= giveLeast && time.Since(begun) > giveSpan {
			break
		}
	}
	if others {
		p.among.more()
	} else {
		p.among.less(&giving)
	}
	if done {
		p.hits.Add(1)
	} else if others {
		p.misses.Add(1)
	}
	return done, others
}
