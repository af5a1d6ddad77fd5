package wait

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// serve watches for others.
func (s *Sleeper) serve() {
	defer s.gate.Leave()
	s.watch(context.Background(), nil, false)
}

// handOver ends a watch. The lock is held.
func (s *Sleeper) handOver() {
	if s.list.next == &s.list {
		s.watched, s.serving = false, false
		return
	}
	s.serving = true
	s.gate.Enter() // it is not closed, for then the list would be empty
	go s.serve()
}

// watch sleeps for everybody until its own condition holds. Without one (nil)
// it goes on until nobody waits any more.
func (s *Sleeper) watch(ctx context.Context, ready func() bool, hold bool) error {
	orderly := false
	defer func() {
		if !orderly { // a condition has panicked
			s.mu.Lock()
			defer s.mu.Unlock()
			s.tellAll(errPanicked)
			s.handOver()
		}
	}()
	t := tour{s: s, ctx: ctx, ready: ready, long: s.long}
	t.deadline, _ = ctx.Deadline()
	over := false
	if hold {
		over = t.hold()
	}
	for !over && !t.pass(true) {
		t.sleep()
		over = t.pass(false)
	}
	orderly = true
	return t.err
}

var errPanicked = errors.New("wait: the condition of another goroutine that waits has panicked")

// tour is a watch: what its passes hand to its sleeps and the other way
// round.
type tour struct {
	s     *Sleeper
	ctx   context.Context
	ready func() bool // nil for one that serves others

	deadline time.Time // of the context, or zero
	pace     time.Duration

	word     uint32 // as loaded before arming
	kick     uint32
	sure     bool  // the waker knows
	long     bool  // it has waited for a while
	slept    bool  // since the last count
	woken    error // how that sleep ended
	timedOut bool  // the sleep before was as long as it may be
	fail     error // what ends the watch and every wait
	err      error // what our own wait ends with
}

// pass looks for everybody, after arming or without. It reports whether the
// watch is over.
//
// SYNC POINT: join. It meets Sleeper.join.
func (t *tour) pass(arm bool) (over bool) {
	s := t.s
	if arm {
		t.fail = t.arm()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// First of all: what is kicked after this makes the next sleep end at
	// once.
	t.kick = atomic.LoadUint32(&s.kick)
	s.seen, s.deaf = t.kick, !t.long || !s.waitv
	t.count()
	own, found := false, false
	if t.fail == nil {
		own, found, t.fail = t.lookAround()
	}
	if t.timedOut {
		t.judge(found)
	}
	switch {
	case t.fail != nil:
		t.err = t.fail
		s.tellAll(t.fail)
	case s.closed:
		t.err = fs.ErrClosed
	case own:
		if arm && t.sure {
			s.hasty++
		}
	case t.ready == nil:
		if s.list.next != &s.list {
			return false
		}
	default:
		if t.err = t.ctx.Err(); t.err == nil && t.left() <= 0 {
			// The context's own timer may be late, while we keep a processor.
			t.err = context.DeadlineExceeded
		}
		if t.err == nil {
			return false
		}
	}
	s.handOver()
	return true
}

// arm loads the word and then tells the waker. The order matters: see
// Sleeper.
func (t *tour) arm() error {
	sure := false
	_, err := t.s.look(func() bool {
		t.word = mem.LoadAcquire32(t.s.config.Word)
		sure = t.s.config.Arm != nil && t.s.config.Arm()
		return true
	})
	if t.pace == 0 || sure != t.sure {
		t.pace = pollFirst
		if sure {
			t.pace = max(t.s.config.Bound/boundFirst, 1)
		}
	}
	t.sure = sure
	return err
}

// lookAround tells those whose conditions hold. The lock is held.
func (t *tour) lookAround() (own, found bool, err error) {
	s := t.s
	_, err = s.look(func() bool {
		for w := s.list.next; w != &s.list; {
			next := w.next
			if w.ready() {
				w.leave()
				w.told <- nil
				found = true
			}
			w = next
		}
		own = t.ready != nil && t.ready()
		return true
	})
	return own, found || own, err
}

// count counts the sleep before. The lock is held.
func (t *tour) count() {
	s := t.s
	if !t.slept {
		return
	}
	t.slept = false
	s.stats.Sleeps++
	switch t.woken {
	case syscall.EAGAIN:
		s.hasty++
		return
	case syscall.ETIMEDOUT:
		s.stats.Timeouts++
	}
	s.hasty = 0
}

// judge counts what a timeout was. The lock is held.
func (t *tour) judge(found bool) {
	t.timedOut = false
	s := t.s
	if !found || !t.sure {
		return
	}
	changed, _ := s.look(func() bool { return mem.LoadAcquire32(s.config.Word) != t.word })
	if changed {
		s.stats.Stolen++
	} else {
		s.stats.Late++
	}
}

// sleep sleeps once.
func (t *tour) sleep() {
	s := t.s
	limit := t.pace
	if t.long {
		limit -= rand.N(t.pace/8 + 1) // so that many do not stay in step
	}
	left := t.left()
	limit = max(min(limit, left), 0)
	var err error
	switch {
	case t.long && s.waitv:
		err = sys.FutexWaitv(s.addr, t.word, &s.kick, t.kick, limit)
	case atomic.LoadUint32(&s.kick) == t.kick:
		err = sys.FutexWait(s.addr, t.word, limit)
	}
	t.slept, t.woken = true, err
	switch err {
	case nil, syscall.EAGAIN, syscall.EINTR:
	case syscall.ETIMEDOUT:
		t.timedOut = limit < left
		t.long = true
		t.pace *= 2
		if t.sure {
			t.pace = min(t.pace, s.config.Bound)
		} else {
			t.pace = min(t.pace, s.config.Poll)
		}
	case syscall.EFAULT:
		t.fail = s.faultAt(s.addr)
	default:
		t.fail = err
	}
}

// left is how long the context allows us to sleep.
func (t *tour) left() time.Duration {
	if t.deadline.IsZero() {
		return math.MaxInt64
	}
	return time.Until(t.deadline)
}

// hold waits a moment without raising the flag. A sleeper that always finds
// work just after it raised the flag costs the waker a system call each time,
// and looks to it like somebody who scribbles on the flag.
func (t *tour) hold() (over bool) {
	s := t.s
	s.mu.Lock()
	s.hasty = 0
	s.mu.Unlock()
	runtime.Gosched()
	ok := false
	ok, t.fail = s.look(func() bool {
		for range holdLooks {
			if t.ready() {
				return true
			}
			mem.Pause()
		}
		return false
	})
	return (ok || t.fail != nil) && t.pass(false)
}
