package wait

import (
	"context"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Sleeper lets any number of goroutines wait for changes to one object.
//
// Guarantee: a goroutine whose condition a correct waker makes true returns
// from Wait, woken by that waker.
//
// # One sleeper
//
//	Sleeper                          Waker
//	s1  w = word                     p1  change
//	s2  flag = 1                     p2  full fence
//	s3  full fence                   p3  flag = 0? then done
//	s4  condition true? then done    p4  flag = 0
//	s5  sleep while word = w         p5  word = word + 1
//	                                 p6  wake all
//
// Suppose that s4 does not see the change. Then by the two fences p3 sees a
// flag that s2 or a later raising set, or somebody has taken that flag down
// between s2 and p3 in a p4 of an earlier change. Either way a p4 follows s2,
// and its p5 follows s1. If that p5 comes before s5, then s5 does not sleep.
// If it comes after, its p6 comes after too and finds us asleep. Loading the
// word after raising the flag would let p4 and p5 pass in between, and s5
// sleep on the new word with the flag down. Without p2, see Bell.Arm.
//
// # Many
//
// The first who has to sleep becomes the watcher: it does s1 to s5, in s4 for
// everybody. Others join: they look under the lock, and if that is in vain
// they sit on a channel, for the watcher to tell them. A watcher that leaves
// with others staying hands over to a goroutine, which watches until nobody
// waits any more.
//
// SYNC POINT: join. A joiner looks and joins the list in one turn of the
// lock. The watcher arms and then goes through the list in another turn. If
// the joiner comes first, the watcher looks for it. If the watcher comes
// first, the joiner looks after s2 and s3 of the watcher, which sleeps on a
// word loaded before those: the argument above holds for the joiner's look
// as s4.
//
// Cancelling, and Close, change a word of this process, on which the watcher
// sleeps at the same time (futex_waitv). That costs a tenth more than to sleep
// on one word. So the first sleep of a wait is on one, and so are all of them
// before Linux 5.16: to end such a sleep, all who sleep on that word are woken,
// in all processes, until the watcher has noticed.
//
// A Sleeper may be used by many goroutines at once.
type Sleeper struct {
	config Config
	addr   uintptr
	waitv  bool // there is futex_waitv
	long   bool // use it for the first sleep too
	gate   mem.Gate
	spin   spinner

	kick uint32 // raised to make the watcher look around; a futex word

	mu       sync.Mutex
	list     waiter // head of a ring: who sits on a channel
	watched  bool   // there is a watcher
	serving  bool   // and it is a goroutine that waits for nothing itself
	closed   bool
	seen     uint32 // kick, as the watcher saw it last
	deaf     bool   // its next sleep is not on kick
	hasty    int    // times in a row that arming was followed by no sleep
	stats    Stats
	watching struct { // the context of the last watcher
		done <-chan struct{}
		stop func() bool
	}
}

// New makes a Sleeper. It starts nothing.
func New(c Config) *Sleeper {
	if c.Bound <= 0 {
		c.Bound = boundDefault
	}
	if c.Poll <= 0 {
		c.Poll = pollDefault
	}
	c.Poll = min(c.Poll, c.Bound)
	s := &Sleeper{config: c, addr: mem.Addr(c.Word), waitv: sys.HasFutexWaitv()}
	s.list.prev, s.list.next = &s.list, &s.list
	s.spin.alone.left = spinning.probe
	processors.refresh(time.Now())
	return s
}

// Wait returns nil as soon as ready gives true: at once, or after a change to
// the object. It gives the context's error when that ends, fs.ErrClosed when
// the Sleeper is closed, and a *mem.Fault when the memory is gone.
//
// ready is called often, by this goroutine or, while this one is blocked in
// Wait, by another that waits at the same Sleeper, holding a lock: it must be
// short, must not block and must not use the Sleeper. It is never called by
// two at once, nor after Wait has returned.
func (s *Sleeper) Wait(ctx context.Context, ready func() bool) error {
	if !s.gate.Enter() {
		return fs.ErrClosed
	}
	defer s.gate.Leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	if ok, err := s.look(ready); ok || err != nil {
		return err
	}
	switch s.config.Strategy {
	case Adaptive:
		if ok, err := s.look(func() bool { return s.spin.spin(ready) }); ok || err != nil {
			return err
		}
	case Spin:
		if processors.several() {
			ok, err := s.look(func() bool {
				return forever(ready, func() bool { return ctx.Err() != nil || s.gate.Closed() })
			})
			if !ok && err == nil {
				if err = ctx.Err(); err == nil {
					err = fs.ErrClosed
				}
			}
			return err
		}
	}
	return s.sleep(ctx, ready)
}

// Close makes every Wait return fs.ErrClosed, waits until they have, and
// turns newcomers away. After it nothing of the Sleeper touches the memory
// any more. The second and every later call does nothing.
func (s *Sleeper) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.tellAll(fs.ErrClosed)
	if s.watching.stop != nil {
		s.watching.stop()
		s.watching.done, s.watching.stop = nil, nil
	}
	s.mu.Unlock()
	if first {
		s.rouse()
	}
	s.gate.Close()
	return nil
}

// Stats tells what was done so far.
func (s *Sleeper) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.SpinHits, st.SpinMisses = s.spin.hits.Load(), s.spin.misses.Load()
	return st
}

// sleep is Wait after the first look and the spinning.
func (s *Sleeper) sleep(ctx context.Context, ready func() bool) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fs.ErrClosed
	}
	if s.watched {
		w, err := s.join(ready)
		if w == nil {
			return err
		}
		return s.sit(ctx, w)
	}
	s.watched = true
	if done := ctx.Done(); done != s.watching.done {
		// Most waits come with the context of the wait before. What stays
		// registered costs a look around too many when it ends.
		if s.watching.stop != nil {
			s.watching.stop()
		}
		s.watching.done, s.watching.stop = done, nil
		if done != nil {
			s.watching.stop = context.AfterFunc(ctx, s.rouse)
		}
	}
	hold := s.hasty >= hastyMost
	s.mu.Unlock()
	return s.watch(ctx, ready, hold)
}

// rouse makes the watcher look around.
func (s *Sleeper) rouse() {
	s.mu.Lock()
	kick := atomic.AddUint32(&s.kick, 1)
	watched, deaf := s.watched, s.deaf
	s.mu.Unlock()
	if !watched {
		return // who begins now sees for himself
	}
	sys.FutexWakePrivate(&s.kick, math.MaxInt32)
	for pause := 20 * time.Microsecond; deaf; pause = min(2*pause, time.Millisecond) {
		// The watcher may be about to sleep, with the old value seen.
		sys.FutexWake(s.addr, math.MaxInt32)
		time.Sleep(pause)
		s.mu.Lock()
		deaf = s.watched && int32(s.seen-kick) < 0
		s.mu.Unlock()
	}
}
