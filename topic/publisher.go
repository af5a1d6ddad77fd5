package topic

import (
	"context"
	"fmt"
	"log/slog"
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

	eager eager
	free  uint64 // below it a number has nothing in its way but pins
	clock coarse

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

// Discard gives the memory back without a sample. Nobody was shown its number,
// so the next loan has it again, and nothing is stored.
func (l *Loan) Discard() {
	p := l.p
	if p == nil || !l.out {
		return
	}
	l.out = false
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
