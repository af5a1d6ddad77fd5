package shmnet

import (
	"sync"
	"sync/atomic"
)

// turn is for who waits for something else than the peer, with a place in the
// ring: a ReadFrom for its source, a WriteTo for its sink. That can take for
// ever, and the direction's lock must not be held meanwhile: others who wait
// have deadlines, Close ends them, and a ring that has grown is given back. But
// nobody else uses the ring until it is over.
type turn struct {
	busy   atomic.Bool  // changes under the direction's lock
	queued atomic.Int32 // others, who wait for the end of it
}

// give lets go of the lock with the turn kept.
func (t *turn) give(lock sync.Locker) {
	t.busy.Store(true)
	lock.Unlock()
}

// takeBack ends that.
func (t *turn) takeBack(lock sync.Locker, b *bell, r *role) {
	lock.Lock()
	t.busy.Store(false)
	if t.queued.Load() > 0 {
		b.mu.Lock()
		r.queue.Broadcast()
		b.mu.Unlock()
	}
}

// await waits until nobody has the turn, as long as there is no reason not to
// go on; those that can be found are the bits in ends of the role's. The lock
// is held, and not any more when there was a reason.
func (t *turn) await(lock sync.Locker, b *bell, r *role, ends uint32, reason func() error) error {
	t.queued.Add(1)
	defer t.queued.Add(-1)
	for t.busy.Load() {
		err := reason()
		lock.Unlock()
		if err != nil {
			return err
		}
		b.mu.Lock()
		for t.busy.Load() && r.stop.Load()&ends == 0 {
			r.queue.Wait()
		}
		b.mu.Unlock()
		lock.Lock()
	}
	return nil
}

// lockOut takes the writer's lock when nobody has the turn, or gives the reason
// not to write, without the lock.
//
// Read and Write do the same with their own hands: a call more is a seventh of
// the time of 64 B.
func (c *Conn) lockOut() error {
	c.out.Lock()
	if !c.out.turn.busy.Load() {
		return nil
	}
	return c.awaitOut()
}

// awaitOut is the rest of lockOut, when somebody has the turn.
func (c *Conn) awaitOut() error {
	return c.out.turn.await(&c.out.Mutex, &c.bell, &c.bell.out, ^uint32(0), c.mayWrite)
}

// lockIn is the same for the reader. That the peer has hung up is no reason
// not to read what it has sent.
func (c *Conn) lockIn() error {
	c.in.Lock()
	if !c.in.turn.busy.Load() {
		return nil
	}
	return c.awaitIn()
}

// awaitIn is the rest of lockIn.
func (c *Conn) awaitIn() error {
	const ends = ^uint32(stopHungUp)
	return c.in.turn.await(&c.in.Mutex, &c.bell, &c.bell.in, ends, func() error {
		if stop := c.bell.in.stop.Load(); stop&ends != 0 {
			return c.inError(stop)
		}
		return nil
	})
}
