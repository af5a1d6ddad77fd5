package mem

import (
	"sync"
	"sync/atomic"
)

// Gate counts who is inside and lets one closer wait for them. Unlike
// sync.RWMutex, a closer that waits turns newcomers away instead of making
// them wait: so somebody inside may enter again, and cannot be deadlocked
// with the closer by it.
//
// The zero Gate is open. It must not be copied.
//
// Guarantee: after Close has returned nobody is inside, and nobody enters
// any more.
type Gate struct {
	state atomic.Int64 // how many are inside, plus closed
	mu    sync.Mutex
	empty *sync.Cond // made by the first Close; guarded by mu
}

// closed is far above every count and leaves the sum positive.
const closed = 1 << 62

// Enter lets the caller in, until Leave; false means that the gate closes or
// has closed.
func (g *Gate) Enter() bool {
	for {
		n := g.state.Load()
		if n >= closed {
			return false
		}
		if g.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Leave ends what Enter began.
func (g *Gate) Leave() {
	if g.state.Add(-1) == closed {
		// The last one inside while somebody closes. Close set the flag
		// before it looked, under mu, so it is either before its look or
		// asleep: either way the broadcast cannot be missed.
		g.mu.Lock()
		g.empty.Broadcast()
		g.mu.Unlock()
	}
}

// Close turns newcomers away, waits until nobody is inside and reports
// whether this call was the one that closed the gate. Every caller, the
// first or not, returns only when the gate is empty.
func (g *Gate) Close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty == nil {
		g.empty = sync.NewCond(&g.mu)
	}
	first := g.state.Load() < closed
	if first {
		g.state.Add(closed)
	}
	for g.state.Load() > closed {
		g.empty.Wait()
	}
	return first
}

// Closed reports whether Close was called.
func (g *Gate) Closed() bool { return g.state.Load() >= closed }
