package topic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// Subscriber takes samples from a topic, each once, in order. Its methods
// may be called concurrently; then each sample goes to one of the callers.
//
// Guarantee: a sample that Next gave is whole, and stays so until Release.
type Subscriber struct {
	*station
	ring      *ring
	member    *own // nil for an observer
	opts      SubscribeOptions
	block     bool // the topic's policy
	fenceFree bool // and the publisher fences for us before it waits

	// The subscriber's own words, which the publisher reads.
	cursor *uint64
	ask    *uint64
	pins   []uint64
	stats  *readerCounters

	mu       latch
	at       uint64 // private copy of the cursor
	head     uint64 // of the last look
	nextSeq  uint64 // dense sequence of the next sample, if seqKnown
	seqKnown bool
	holds    []uint64 // what stands in the pins, for us alone
	places   [reserveMost]uint8
	next     int // of places: where the pin of number at is
	reserved int // how many numbers from at on are pinned and whole
	share    int // how many are reserved unasked
	eager    eager

	entry   *entry // our line of the table, nil before the first admission
	state   uint64 // its state when we compared the ID
	from    uint64
	asked   uint64
	demoted uint64 // state of the entry that we have asked again for
	closed  bool   // or about to be

	turn    chan struct{} // whoever has it waits, the others wait for it
	waits   mem.Gate      // for Close to wait until nobody sleeps
	closing atomic.Bool
}

type readerCounters struct{ taken, lost, copied, sleeps uint64 }

// Sample is a sample that a subscriber took. Its data stays as it is until
// Release.
type Sample struct {
	Data   []byte
	Number uint64 // of the slot; numbers have holes
	Seq    uint64 // dense: how many samples came before it
	User   uint64 // Loan.User
	Flags  uint32 // Loan.Flags

	pin int32 // the place of the pin, -1 for a copy

	// Missed is how many samples between the one before and this one were
	// overwritten before this subscriber took them.
	Missed uint64

	// UnixNano is when it was published, in ns since 1970, right to a
	// microsecond or so. The samples of one SendBatch can have the same.
	UnixNano int64

	s *Subscriber
}

// Time is UnixNano as a time.
func (m *Sample) Time() time.Time { return time.Unix(0, m.UnixNano) }

// Release gives the sample back: the publisher may overwrite it. Data must
// not be touched afterwards. Later calls, on copies of the value too, do
// nothing.
func (m *Sample) Release() {
	if m.s == nil {
		return
	}
	s := m.s
	m.s, m.Data = nil, nil
	s.release(int(m.pin), m.Number)
}

// Next gives the next sample, and waits for it as long as the context allows.
// Errors, beside the context's:
//
//   - io.EOF: the topic has ended, and everything was taken.
//   - ErrHeld: as many samples are held as the topic lets one subscriber hold;
//     release one.
//   - ErrOwnerDied, ErrRemoved: nobody publishes any more (see
//     SubscribeOptions.OwnerGone), or the topic was removed. What is there is
//     taken first; both are noticed while waiting, within a second or so.
//   - ErrCorrupt: the publisher has written what none writes. The next call
//     goes on behind it.
//   - ErrTruncated: the topic's memory was cut short.
//   - fs.ErrClosed.
func (s *Subscriber) Next(ctx context.Context) (m Sample, err error) {
	if err = s.try(&m, true); err != nil && errors.Is(err, ErrEmpty) {
		return s.await(ctx)
	}
	return m, err
}

// await is Next where nothing is there yet.
func (s *Subscriber) await(ctx context.Context) (m Sample, err error) {
	// One waits in the topic's memory, the others wait for their turn: a
	// sample wakes one of them, not all.
	select {
	case <-s.turn:
	default:
		select {
		case <-s.turn:
		case <-ctx.Done():
			return Sample{}, s.fail("next", ctx.Err())
		}
	}
	defer func() { s.turn <- struct{}{} }()
	for {
		if err = s.try(&m, false); err == nil || !errors.Is(err, ErrEmpty) {
			return m, err
		}
		if s.hopeless() {
			// Perhaps it has changed since.
			if err := s.noHope(); err != nil {
				return Sample{}, err
			}
		}
		if err := s.sleep(ctx); err != nil {
			return Sample{}, err
		}
	}
}

// TryNext is Next that does not wait: ErrEmpty.
func (s *Subscriber) TryNext() (m Sample, err error) {
	err = s.try(&m, false)
	return m, err
}

// caught ends what debug.SetPanicOnFault began, and makes an error of a fault
// in the topic's memory: its publisher can have cut it short.
func (s *Subscriber) caught(before bool, op string, err *error) {
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		*err = s.faulted(op, p)
	}
}

func (s *Subscriber) faulted(op string, p any) error {
	f, ok := p.(interface{ Addr() uintptr })
	switch {
	case ok && s.ring.region.Contains(f.Addr()):
		return s.fail(op, fmt.Errorf("byte %d of data: %w", f.Addr()-s.ring.region.Addr(), ErrTruncated))
	case ok && s.member != nil && s.member.Region.Contains(f.Addr()):
		return s.fail(op, fmt.Errorf("byte %d of this subscriber's file: %w", f.Addr()-s.member.Region.Addr(), ErrTruncated))
	}
	panic(p)
}

// Samples gives all samples from now on, and ends with the topic, or with an
// error that it gives last. Each sample is released when the loop body ends:
// copy what must stay, or use Next.
func (s *Subscriber) Samples(ctx context.Context) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for {
			m, err := s.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if !s.give(yield, m, err) || err != nil {
				return
			}
		}
	}
}

// give releases the sample also where the loop body panics.
func (s *Subscriber) give(yield func(Sample, error) bool, m Sample, err error) bool {
	defer m.Release()
	return yield(m, err)
}
