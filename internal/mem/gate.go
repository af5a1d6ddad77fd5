package mem

import (
	"sync"
	"sync/atomic"
)

// Gate counts who is inside and lets one closer wait for them. Unlike
// sync.RWMutex, a closer that waits turns newcomers away instead of making
// them wait, so somebody inside who tries to enter again cannot be deadlocked
// with the closer by it. To go in and out costs one atomic addition each.
//
// The zero Gate is open. It must not be copied.
//
// Guarantee: after Close has returned nobody is inside, and nobody enters
// any more.
type Gate struct {
	// state is how many are inside, plus closed. Who is turned away counts
	// for a moment too, so below closed it is exact and above it is not:
	// whom Close waits for is counted by inside.
	state atomic.Int64

	mu     sync.Mutex
	inside int64      // who was inside when it was closed and still is
	empty  *sync.Cond // made by the first Close
}

// closed is far above every count and leaves the sum positive.
const closed = 1 << 62

// Enter lets the caller in, until Leave; false means that the gate closes or
// has closed.
func (g *Gate) Enter() bool {
	if g.state.Add(1) < closed {
		return true
	}
	g.state.Add(-1)
	return false
}

// Leave ends what Enter began.
func (g *Gate) Leave() {
	if g.state.Add(-1) >= closed {
		g.leaveClosing()
	}
}

// leaveClosing is for who was inside when the gate was closed: Close counted
// everybody in the addition that closed it, and this leave came after that.
func (g *Gate) leaveClosing() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 {
		g.empty.Broadcast()
	}
}

// Close turns newcomers away, waits until nobody is inside and reports
// whether this call was the one that closed the gate. Every caller, the
// first or not, returns only when the gate is empty.
func (g *Gate) Close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := g.empty == nil
	if first {
		g.empty = sync.NewCond(&g.mu)
		g.inside = g.state.Add(closed) - closed
	}
	for g.inside > 0 {
		g.empty.Wait()
	}
	return first
}

// Closed reports whether Close was called.
func (g *Gate) Closed() bool { return g.state.Load() >= closed }
