package topic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
)

// Subscriber takes samples from a topic, each once, in order. Its methods
// may be called concurrently; then each sample goes to one of the callers.
//
// Guarantee: a sample that Next gave is whole, and stays so until Release.
type Subscriber struct {
	*station
	ring   *ring
	member *own // nil for an observer
	opts   SubscribeOptions
	block  bool // the topic's policy

	// The subscriber's own words, which the publisher reads.
	cursor *uint64
	ask    *uint64
	pins   []uint64
	stats  *readerCounters

	mu       sync.Mutex
	at       uint64 // private copy of the cursor
	head     uint64 // of the last look
	nextSeq  uint64 // dense sequence of the next sample, if seqKnown
	seqKnown bool
	held     int // pins in use

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
	Number uint64    // of the slot; numbers have holes
	Seq    uint64    // dense: how many samples came before it
	Time   time.Time // of publishing
	User   uint64
	Flags  uint32

	// Missed is how many samples between the one before and this one were
	// overwritten before this subscriber took them.
	Missed uint64

	s   *Subscriber
	pin int // the place of the pin, -1 for a copy
}

// Release gives the sample back: the publisher may overwrite it. Data must
// not be touched afterwards. Later calls, on copies of the value too, do
// nothing.
func (m *Sample) Release() {
	if m.s == nil {
		return
	}
	s := m.s
	m.s, m.Data = nil, nil
	s.release(m.pin, m.Number)
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
func (s *Subscriber) Next(ctx context.Context) (Sample, error) {
	m, err := s.TryNext()
	if err == nil || !errors.Is(err, ErrEmpty) {
		return m, err
	}
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
		if m, err = s.TryNext(); err == nil || !errors.Is(err, ErrEmpty) {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.caught(debug.SetPanicOnFault(true), "next", &err)
	return s.take()
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

// take is one attempt; s.mu is held. The steps are those of spec/topic.md,
// section 7.
func (s *Subscriber) take() (Sample, error) {
	g := s.ring
	if s.closed {
		return Sample{}, s.fail("next", shm.ErrClosed)
	}
	for tries := 0; ; tries++ {
		c := s.at
		if c >= s.head {
			head := mem.LoadAcquire64(g.head)
			if head < s.head || head-s.head > 1<<49 {
				return Sample{}, s.fail("next", fmt.Errorf("the head went from %d to %d: %w", s.head, head, ErrCorrupt))
			}
			s.head = head
			if c >= head {
				return Sample{}, s.empty(head)
			}
		}
		if tries > int(g.slots)*2 {
			return Sample{}, s.fail("next", fmt.Errorf("the publisher overwrites faster than this process copies: %w", ErrEmpty))
		}
		h := g.headers.At(c & g.mask)
		if s.admitted(c) {
			pin := s.freePin()
			if pin < 0 {
				return Sample{}, s.fail("next", fmt.Errorf("%d samples are held: %w", len(s.pins), ErrHeld))
			}
			mem.StoreRelease64(&s.pins[pin], c+1)
			mem.FullFence() // SYNC POINT: pin, with (*Publisher).prepare and demote
			st := stamp(mem.LoadAcquire64(&h.stamp))
			if s.believe(st, c) && mem.LoadAcquire64(&s.entry.state) == s.state {
				if m, ok := s.sample(h, c, pin); ok {
					s.held++
					s.count(&m)
					s.step(c + 1)
					return m, nil
				}
				mem.StoreRelease64(&s.pins[pin], 0)
				s.step(c + 1)
				return Sample{}, s.tooLong("next", c)
			}
			mem.StoreRelease64(&s.pins[pin], 0)
			if !s.believe(st, c) {
				s.pass(st, c)
			} // else we were demoted just now: a copy may do
			continue
		}
		st := stamp(mem.LoadAcquire64(&h.stamp))
		if !s.believe(st, c) {
			s.pass(st, c)
			continue
		}
		m, ok := s.sample(h, c, -1)
		if ok {
			m.Data = append(s.buffer(len(m.Data)), m.Data...)
		}
		mem.LoadFence()
		if stamp(mem.LoadAcquire64(&h.stamp)) != st {
			s.pass(0, c)
			continue
		}
		if !ok {
			s.step(c + 1)
			return Sample{}, s.tooLong("next", c)
		}
		s.count(&m)
		s.step(c + 1)
		return m, nil
	}
}

func (s *Subscriber) tooLong(op string, c uint64) error {
	return s.fail(op, fmt.Errorf("sample %d says it is longer than its slot: %w", c, ErrCorrupt))
}

// believe reports whether a stamp says that its slot holds sample c, by the
// publisher whose number c is.
func (s *Subscriber) believe(st stamp, c uint64) bool {
	if st.kind() != kindSample || st.number() != c {
		return false
	}
	return s.rightEpoch(st, c)
}

// rightEpoch reports whether number c is the present publisher's and so is the
// stamp, or neither is. since has the epoch that it belongs to beside it, so
// one load tells both; it must come after that of the stamp.
func (s *Subscriber) rightEpoch(st stamp, c uint64) bool {
	since := stamp(mem.LoadAcquire64(s.ring.since))
	return (st.epoch() == since.epoch()) == (c >= since.number())
}

// sample reads what stands before the payload, each word once.
func (s *Subscriber) sample(h *slotHeader, c uint64, pin int) (Sample, bool) {
	n := h.length
	if n > s.ring.capacity {
		return Sample{}, false
	}
	seq := h.seq
	m := Sample{
		Data: s.ring.bytes(c&s.ring.mask, n), Number: c, Seq: seq,
		Time: time.Unix(0, h.time), User: h.user, Flags: h.flags,
		s: s, pin: pin,
	}
	return m, true
}

// step moves the cursor behind a number that was dealt with.
func (s *Subscriber) step(c uint64) {
	was := s.at
	s.at = c
	if s.cursor == nil {
		return
	}
	mem.StoreRelease64(s.cursor, c)
	if s.block {
		mem.FullFence() // SYNC POINT: want, with (*Publisher).sleepForRoom
		// Only who passes the mark rings, not everybody who is beyond it.
		if w := mem.LoadAcquire64(s.ring.want); w != 0 && was < w-1 && w-1 <= c {
			s.wakePublisher()
		}
	}
}

// pass goes past number c, which cannot be had: a hole, or overwritten.
func (s *Subscriber) pass(st stamp, c uint64) {
	if st.kind() == kindHole && st.number() == c && s.rightEpoch(st, c) {
		s.step(c + 1)
		return
	}
	// Overwritten. Go where there is some time before the publisher comes
	// round again.
	if head := mem.LoadAcquire64(s.ring.head); head > s.head && head-s.head <= 1<<49 {
		s.head = head
	}
	next := c + 1
	if n := s.ring.slots; s.head > n {
		margin := max(n/8, 1)
		if s.block {
			// We are not admitted yet, or this would not be gone. The number
			// from which we are, any moment now, is head-N at the least: it
			// must not be passed.
			margin = 0
		}
		next = max(next, s.head-n+margin)
	}
	s.step(min(next, max(s.head, c+1)))
}
