package topic

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/internal/wait"
)

// roomBound is how long the publisher sleeps at most before it looks again
// by itself; a subscriber that was killed rings nobody.
const roomBound = 100 * time.Millisecond

// room reports whether number n can be lent under Block, by what was seen
// last: the first slot from n on that no pin blocks holds nothing that an
// admitted subscriber has still to take. Otherwise need is where every cursor
// has to be for that. Holes are made only where a slot to be used lies behind
// them: a subscriber that works on what it took last would turn the whole ring
// into holes, one by one. Who has taken all that was shown is in nobody's way;
// waiting for it would be waiting for ourselves.
func (p *Publisher) room(n uint64) (need uint64, ok bool) {
	slots := p.ring.slots
	for q := n; ; q++ {
		if q >= slots && q-slots >= p.floor && p.floor < p.shown {
			return min(q-slots+1, p.shown), false
		}
		if p.blocked[q&p.ring.mask] == 0 {
			return 0, true
		}
	}
}

// waitForRoom waits until there is room for number n, dead subscribers not
// counted and laggards demoted when the patience ends. A nil context means not
// to wait.
func (p *Publisher) waitForRoom(ctx context.Context, n uint64) error {
	var began time.Time
	for {
		// Before the look, for it can end a reader. Also for who never waits:
		// a dead subscriber would stand in its way for ever.
		if err := p.housekeep(false); err != nil {
			if !errors.Is(err, ErrFenced) {
				mem.StoreRelease64(p.ring.want, 0)
			}
			return err
		}
		behind, need := p.lookBehind(n)
		if behind == nil {
			mem.StoreRelease64(p.ring.want, 0)
			return nil
		}
		if ctx == nil {
			if p.dropDead(need) {
				continue
			}
			return p.fail("loan", fmt.Errorf("%w: process %d has not taken what stands there", ErrFull, behind.member.PID))
		}
		if err := ctx.Err(); err != nil {
			mem.StoreRelease64(p.ring.want, 0)
			return p.fail("loan", err)
		}
		t := time.Now()
		if began.IsZero() {
			began = t
			mem.Add(&p.ring.counters.waits, 1)
			p.resetPatience(t)
		}
		if p.impatient(t, need) || p.linger(behind, need) {
			continue
		}
		if p.opts.Wait == Spin && wait.Parallel() {
			sys.Yield() // the subscriber may need this very processor
			continue
		}
		p.sleepForRoom(ctx, behind, need)
	}
}

// lookBehind looks again at the subscribers that stand in the way of number n
// and gives the one that is furthest behind, and where it has to be; nil when
// none is.
func (p *Publisher) lookBehind(n uint64) (behind *reader, need uint64) {
	need, ok := p.room(n)
	if ok {
		return nil, 0
	}
	t := time.Time{}
	for _, r := range p.readers {
		if r.index < 0 || (!r.admitted || r.seenCursor >= need) && !r.holds() {
			continue
		}
		before := r.seenCursor
		if !p.look(r, r.admitted) {
			p.evict(r, truncated)
			continue
		}
		if r.seenCursor != before {
			if t.IsZero() {
				t = time.Now()
			}
			r.moved = t
		}
	}
	p.setFloor()
	if need, ok = p.room(n); ok {
		return nil, 0
	}
	for _, r := range p.readers {
		if r.admitted && r.seenCursor < need && (behind == nil || r.seenCursor < behind.seenCursor) {
			behind = r
		}
	}
	return behind, need
}

// holds reports whether the subscriber was seen to hold anything.
func (r *reader) holds() bool {
	for _, v := range r.seenPins {
		if v != 0 {
			return true
		}
	}
	return false
}

func (p *Publisher) resetPatience(t time.Time) {
	for _, r := range p.readers {
		r.moved = t
	}
}

// impatient drops who is dead and demotes who has not moved for the
// patience, and reports whether that was anybody.
func (p *Publisher) impatient(t time.Time, need uint64) (any bool) {
	any = p.dropDead(need)
	for _, r := range p.readers {
		if r.admitted && r.seenCursor < need && p.opts.Patience >= 0 && t.Sub(r.moved) > p.opts.Patience {
			p.demote(r, "out of patience")
			any = true
		}
	}
	return any
}

// dropDead drops who is dead of those whose cursor is below need.
func (p *Publisher) dropDead(need uint64) (any bool) {
	for _, r := range p.readers {
		if r.admitted && r.seenCursor < need && !r.member.Alive() {
			p.evict(r, p.end(r))
			any = true
		}
	}
	return any
}

// target is the cursor to wait for: a quarter of the ring more than needed,
// where that is shown, so that a steady back-pressure does not cost a wait a
// sample.
func (p *Publisher) target(need uint64) uint64 { return min(need+p.ring.slots/4, p.shown) }

// roomLooks is how many looks at a cursor come before a sleep, with as many
// pauses between two of them: each look takes the cursor's line away from the
// subscriber that moves it.
const (
	roomLooks  = 128
	roomPauses = 8
)

// linger looks at the subscriber's cursor for a moment, some ten microseconds,
// and reports whether it was worth while.
func (p *Publisher) linger(r *reader, need uint64) (there bool) {
	if !p.eager.worth(p.opts.Wait) {
		return false
	}
	target := p.target(need)
	r.member.Region.Guard(func() error {
		for range roomLooks {
			if mem.LoadAcquire64(r.cursor) >= target {
				there = true
				break
			}
			for range roomPauses {
				mem.Pause()
			}
		}
		there = there || mem.LoadAcquire64(r.cursor) >= need
		return nil
	})
	p.eager.learn(there)
	return there
}

// sleepForRoom sleeps on the subscriber's own cursor, whose every store by
// the protocol wakes us when it passes want. Here the value is the condition
// itself, so nothing can be swallowed: want is stored, fence, the cursor is
// read again, and the sleep is on what was read. SYNC POINT: want, with
// (*Subscriber).step.
func (p *Publisher) sleepForRoom(ctx context.Context, r *reader, need uint64) {
	mem.StoreRelease64(p.ring.want, 1+p.target(need))
	mem.FullFence()
	var low uint32
	bound := roomBound
	err := r.member.Region.Guard(func() error {
		if mem.LoadAcquire32(r.fenceFree) == 1 {
			// It has registered with membarrier and leaves its fence to us.
			if _, err := sys.Membarrier(sys.MEMBARRIER_CMD_GLOBAL_EXPEDITED); err != nil {
				bound = time.Millisecond
			}
		}
		c := mem.LoadAcquire64(r.cursor)
		low = uint32(c)
		if c >= need {
			return errThere
		}
		return nil
	})
	if err != nil {
		return
	}
	p.sleep(ctx, r, low, bound)
}

var errThere = errors.New("there is room")

// sleep waits on the low half of the cursor, until it changes, the context
// ends or the bound is over.
func (p *Publisher) sleep(ctx context.Context, r *reader, low uint32, bound time.Duration) {
	if p.opts.Patience >= 0 {
		bound = min(bound, max(p.opts.Patience/4, time.Millisecond))
	}
	mem.StoreRelease32(&p.cancel, 0)
	stop := context.AfterFunc(ctx, func() {
		mem.StoreRelease32(&p.cancel, 1)
		sys.FutexWakePrivate(&p.cancel, 1)
	})
	defer stop()
	addr := r.member.Region.Addr() + topicdir.MemberCursor
	err := sys.FutexWaitv(addr, low, &p.cancel, 0, bound)
	if errors.Is(err, syscall.ENOSYS) {
		// Before Linux 5.16 one word at a time: a cancel is noticed a
		// millisecond later.
		sys.FutexWait(addr, low, time.Millisecond)
	}
}
