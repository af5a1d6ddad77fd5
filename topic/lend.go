package topic

import (
	"context"
	"fmt"
	"syscall"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
)

// checkEvery is after how many numbers a loan looks at the clock for the
// housekeeping, a power of two.
const checkEvery = 1024

// lend makes p.loan a loan of size bytes. Most numbers are below p.free, by
// which they have nothing in their way but what is looked at here.
func (p *Publisher) lend(ctx context.Context, size int) error {
	g, l, n := p.ring, &p.loan, p.next
	if l.out || uint64(size) > g.capacity {
		return p.refuse(size)
	}
	s := n & g.mask
	if p.clear(n, s) {
		l.hdr = g.headers.At(s)
		p.claim(l.hdr, n)
	} else {
		var err error
		if s, err = p.prepare(ctx); err != nil {
			return err
		}
		l.hdr = g.headers.At(s)
	}
	l.out, l.User, l.Flags = true, 0, 0
	l.data = g.bytes(s, uint64(size))
	return nil
}

// clear reports whether number n and its slot s have nothing in their way.
func (p *Publisher) clear(n, s uint64) bool {
	return n < p.free && n-p.shown < p.ring.slots>>1 && p.blocked[s] == 0 && mem.LoadAcquire64(p.ring.epoch) == p.epoch
}

// refuse says why there is no loan.
func (p *Publisher) refuse(size int) error {
	if p.loan.out {
		return p.fail("loan", fmt.Errorf("a loan is out: publish or discard it first: %w", ErrBusy))
	}
	return p.fail("loan", fmt.Errorf("a sample of %d bytes does not fit into slots of %d: %w", size, p.ring.capacity, syscall.EMSGSIZE))
}

// claim makes the slot of number n busy.
func (p *Publisher) claim(h *slotHeader, n uint64) {
	p.busy = max(p.busy, n+1)
	mem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindBusy)))
	if p.ring.capacity >= 1<<20 {
		// Copies of this size use stores that pass others.
		mem.StoreFenceNT()
	} else {
		mem.StoreFence()
	}
}

// prepare finds the slot of the next number and makes it busy, whatever is in
// the way.
func (p *Publisher) prepare(ctx context.Context) (slot uint64, err error) {
	g := p.ring
	for {
		if p.closed {
			return 0, p.fail("loan", shm.ErrClosed)
		}
		if mem.LoadAcquire64(g.epoch) != p.epoch {
			return 0, p.fail("loan", ErrFenced)
		}
		n := p.next
		if n%checkEvery == 0 || p.bell.last != p.news || p.slow {
			if err := p.housekeep(false); err != nil {
				return 0, err
			}
			p.slow = false
		}
		if n > maxNumber-1 {
			return 0, p.fail("loan", fmt.Errorf("all %d numbers are used: %w", uint64(maxNumber), syscall.EOVERFLOW))
		}
		if n-p.shown >= g.slots/2 && p.last > p.shown {
			p.show() // a batch must not come round to itself
		}
		if p.opts.Policy == Block {
			if _, ok := p.room(n); !ok {
				if p.last > p.shown {
					p.show() // somebody must take it before there is room
				}
				if err := p.waitForRoom(ctx, n); err != nil {
					return 0, err
				}
				continue
			}
		}
		s := n & g.mask
		h := g.headers.At(s)
		p.claim(h, n)
		if p.blocked[s] == 0 && (n < g.slots || n-g.slots < p.floor) {
			p.foresee(n)
			return s, nil
		}
		// Somebody may hold what stands here, or take it just now. SYNC
		// POINT: pin, with (*Subscriber).take.
		mem.FullFence()
		p.lookAll(n)
		if n >= g.slots && n-g.slots >= p.floor {
			p.demoteBehind(n - g.slots)
		}
		if p.blocked[s] == 0 {
			p.foresee(n)
			return s, nil
		}
		mem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindHole)))
		mem.Add(&g.counters.holes, 1)
		p.next++
	}
}

// foresee notes up to which number nothing has to be looked at but the pins,
// after number n: the next look at the clock, and the slowest cursor that was
// seen. What changes that sets p.free to 0.
func (p *Publisher) foresee(n uint64) {
	p.free = min((n/checkEvery+1)*checkEvery, maxNumber)
	if p.bell.last != p.news {
		p.free = 0
	}
	if p.floor < maxNumber {
		p.free = min(p.free, p.floor+p.ring.slots)
	}
}

// stampSample ends the loan with a sample.
func (p *Publisher) stampSample(l *Loan) error {
	l.out = false
	if mem.LoadAcquire64(p.ring.epoch) != p.epoch {
		return p.fail("publish", ErrFenced)
	}
	p.seal(l.hdr, uint64(len(l.data)), p.time(), l.User, l.Flags)
	return nil
}

// seal makes the next sample whole; nobody looks at it before show.
func (p *Publisher) seal(h *slotHeader, size uint64, t int64, user uint64, flags uint32) {
	g, n := p.ring, p.next
	mem.Store(&h.seq, p.seq)
	mem.Store(&h.length, size)
	mem.Store(&h.flags, flags)
	mem.Store(&h.time, t)
	mem.Store(&h.user, user)
	if g.capacity >= 1<<20 {
		mem.StoreFenceNT()
	}
	mem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindSample)))
	p.seq++
	p.next, p.last = n+1, n+1
	mem.Add(&g.counters.published, 1)
	mem.Add(&g.counters.bytes, size)
}

// time is what stands on a sample that is published now.
func (p *Publisher) time() int64 {
	t, fresh := p.clock.now()
	if fresh && t-p.looked.UnixNano() > int64(housekeepEvery) {
		p.slow, p.free = true, 0
	}
	return t
}

// show moves the head behind the last sample that is stamped, and wakes. Holes
// that were made after it are not shown: the newest number is always a sample.
func (p *Publisher) show() {
	p.shown = p.last
	mem.StoreRelease64(p.ring.head, p.last)
	p.bell.wake()
	if p.bell.last != p.news {
		p.free = 0
	}
}
