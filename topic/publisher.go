package topic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// Publisher is the one writer of a topic. It is used by one goroutine at a
// time.
//
// Guarantee: a subscriber never sees a sample that is not whole, whenever
// the publisher is killed; and under Block an admitted subscriber gets every
// sample.
//
// What happens to a sample is drawn in spec/topic.md, section 6; in short
//
//	stamp = busy -> store fence -> (look) -> payload -> stamp = sample -> head -> wake
type Publisher struct {
	ring  *ring
	files host
	bell  *ringer
	opts  Options

	epoch   uint64
	next    uint64 // the number of the next loan
	busy    uint64 // numbers below it have had their slot taken already
	last    uint64 // behind the last sample that is stamped: the next head
	shown   uint64 // the head
	seq     uint64 // samples published, which numbers are not: there are holes
	readers []*reader
	floor   uint64  // smallest cursor seen of admitted readers
	blocked []int32 // how many pins block each slot

	loan   Loan // the one that is out, if loan.out
	closed bool
	idle   *idle                    // does the housekeeping when nobody publishes; nil without
	known  map[topicdir.ID]struct{} // whose files are open
	wakes  uint64                   // of the publishers before us
	final  PublisherStats           // when it was closed
	looked time.Time
	news   uint32 // that was answered last
	slow   bool   // the last housekeeping was long ago
	cancel uint32 // futex word by which a context ends a wait for room
}

// Loan is a place in the topic's memory, lent to be written. It ends with
// Publish or Discard.
type Loan struct {
	p    *Publisher
	out  bool
	n    uint64
	slot uint64
	data []byte
	hdr  *slotHeader

	// User and Flags travel with the sample and mean what its users make
	// them mean.
	User  uint64
	Flags uint32
}

// Bytes is the memory of the sample itself, with the size that was asked
// for. It holds whatever stood there before. It must not be touched after
// Publish or Discard.
func (l *Loan) Bytes() []byte { return l.data }

// Loan lends memory for a sample of size bytes. Under Block it waits, as long
// as the context allows, until no admitted subscriber still wants the sample
// whose place it takes; under DropOldest it never waits. One loan can be out
// at a time.
func (p *Publisher) Loan(ctx context.Context, size int) (*Loan, error) {
	p.enter()
	err := p.lend(ctx, size)
	p.leave()
	if err != nil {
		return nil, err
	}
	return &p.loan, nil
}

// TryLoan is Loan that does not wait: ErrFull.
func (p *Publisher) TryLoan(size int) (*Loan, error) { return p.Loan(noWait, size) }

// noWait is for who does not wait.
var noWait context.Context

func (p *Publisher) lend(ctx context.Context, size int) error {
	if p.loan.out {
		return p.fail("loan", fmt.Errorf("a loan is out: publish or discard it first: %w", ErrBusy))
	}
	if uint64(size) > p.ring.capacity {
		return p.fail("loan", fmt.Errorf("a sample of %d bytes does not fit into slots of %d: %w", size, p.ring.capacity, syscall.EMSGSIZE))
	}
	s, err := p.prepare(ctx)
	if err != nil {
		return err
	}
	p.loan = Loan{p: p, out: true, n: p.next, slot: s, data: p.ring.bytes(s, uint64(size)), hdr: p.ring.headers.At(s)}
	return nil
}

// prepare finds the slot of the next number and makes it busy.
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
		if n&1023 == 0 || p.bell.last != p.news || p.slow {
			if err := p.housekeep(false); err != nil {
				return 0, err
			}
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
		p.busy = max(p.busy, n+1)
		mem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindBusy)))
		if g.capacity >= 1<<20 {
			// Copies of this size use stores that pass others.
			mem.StoreFenceNT()
		} else {
			mem.StoreFence()
		}
		if p.blocked[s] == 0 && (n < g.slots || n-g.slots < p.floor) {
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
			return s, nil
		}
		mem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, n, kindHole)))
		g.counters.holes++
		p.next++
	}
}

// demoteBehind demotes every admitted subscriber that still wants number n,
// which is about to go. Under Block there is none. Who has taken everything
// that was shown is not behind, however many holes were made since.
func (p *Publisher) demoteBehind(n uint64) {
	for _, r := range p.readers {
		if r.admitted && r.seenCursor <= n && r.seenCursor < p.shown {
			p.demote(r, "lapped")
		}
	}
}

// Publish shows the sample to the subscribers. size may be less than the loan
// was.
func (l *Loan) Publish() error {
	p := l.p
	if p == nil || !l.out {
		return &shm.Error{Op: "publish", Kind: "topic", Err: fmt.Errorf("the loan is over: %w", shm.ErrClosed)}
	}
	p.enter()
	err := p.stampSample(l)
	if err == nil {
		p.show()
	}
	p.leave()
	return err
}

// Queue is Publish for one sample of several: it is whole then, but shown
// only with the next that is published, or by Flush. That costs less for
// each, and samples of a batch are written in place as any other. A publisher
// that has to wait for room, or has queued half a round of the ring, shows
// what there is.
func (l *Loan) Queue() error {
	p := l.p
	if p == nil || !l.out {
		return &shm.Error{Op: "publish", Kind: "topic", Err: fmt.Errorf("the loan is over: %w", shm.ErrClosed)}
	}
	p.enter()
	err := p.stampSample(l)
	p.leave()
	return err
}

// Flush shows what was queued.
func (p *Publisher) Flush() error {
	p.enter()
	defer p.leave()
	if p.closed {
		return p.fail("publish", shm.ErrClosed)
	}
	if p.last == p.shown {
		return nil
	}
	if mem.LoadAcquire64(p.ring.epoch) != p.epoch {
		return p.fail("publish", ErrFenced)
	}
	p.show()
	return nil
}

// stampSample makes the sample whole; nobody looks at it before show.
func (p *Publisher) stampSample(l *Loan) error {
	g := p.ring
	l.out = false
	if mem.LoadAcquire64(g.epoch) != p.epoch {
		return p.fail("publish", ErrFenced)
	}
	h := l.hdr
	h.seq, h.length, h.flags, h.user = p.seq, uint64(len(l.data)), l.Flags, l.User
	h.time = now()
	p.slow = h.time-p.looked.UnixNano() > int64(housekeepEvery)
	mem.StoreRelease64(&h.stamp, uint64(makeStamp(p.epoch, l.n, kindSample)))
	p.seq++
	p.next = l.n + 1
	p.last = p.next
	g.counters.published++
	g.counters.bytes += uint64(len(l.data))
	return nil
}

// show moves the head behind the last sample that is stamped, and wakes. Holes
// that were made after it are not shown: the newest number is always a sample.
func (p *Publisher) show() {
	p.shown = p.last
	mem.StoreRelease64(p.ring.head, p.last)
	p.bell.wake()
}

// Discard gives the memory back without a sample. Nobody was shown its number,
// so the next loan has it again, and nothing is stored.
func (l *Loan) Discard() {
	p := l.p
	if p == nil || !l.out {
		return
	}
	l.out = false
}

// Send copies data into the topic and publishes it.
func (p *Publisher) Send(ctx context.Context, data []byte) error {
	p.enter()
	err := p.lend(ctx, len(data))
	if err == nil {
		copy(p.loan.data, data)
		if err = p.stampSample(&p.loan); err == nil {
			p.show()
		}
	}
	p.leave()
	return err
}

// SendBatch copies several samples in and shows them all at once, which
// costs less for each. It says how many were published: fewer than all only
// with an error.
func (p *Publisher) SendBatch(ctx context.Context, all [][]byte) (n int, err error) {
	p.enter()
	defer p.leave()
	for _, data := range all {
		if err = p.lend(ctx, len(data)); err != nil {
			break
		}
		copy(p.loan.data, data)
		if err = p.stampSample(&p.loan); err != nil {
			break
		}
		n++
	}
	if n > 0 && !errors.Is(err, ErrFenced) {
		p.show()
	}
	return n, err
}

// log tells the logger, if there is one, of what befell a subscriber.
func (p *Publisher) log(level slog.Level, msg string, r *reader, why string) {
	if p.opts.Logger != nil {
		p.opts.Logger.LogAttrs(context.Background(), level, msg,
			slog.String("topic", p.files.Name()), slog.Int("pid", r.member.PID),
			slog.String("id", r.member.ID.String()), slog.String("why", why))
	}
}

// enter and leave keep out the goroutine that Options.Housekeep asks for;
// without one they do nothing.
func (p *Publisher) enter() {
	if p.idle != nil {
		p.idle.mu.Lock()
	}
}

func (p *Publisher) leave() {
	if p.idle != nil {
		p.idle.mu.Unlock()
	}
}

func (p *Publisher) fail(op string, err error) error {
	return opError(op, p.files.Name(), err)
}
