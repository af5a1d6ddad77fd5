package topic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/internal/wait"
)

// Subscriber takes samples from a topic, each once, in order. Its methods
// may be called concurrently; then each sample goes to one of the callers.
//
// Guarantee: a sample that Next gave is whole, and stays so until Release.
type Subscriber struct {
	ring    *ring
	peer    *topicdir.Peer
	member  *topicdir.Membership // nil for an observer
	bell    *bell
	sleeper *wait.Sleeper
	opts    SubscribeOptions
	block   bool // the topic's policy

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
	demoted uint64    // state of the entry that we have asked again for
	died    time.Time // when the publisher was first seen dead
	closed  bool
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
// io.EOF: the topic has ended and everything was taken. ErrHeld: as many
// samples are held as the topic lets one subscriber hold; release one.
func (s *Subscriber) Next(ctx context.Context) (Sample, error) {
	for {
		m, err := s.TryNext()
		if err == nil || !errors.Is(err, ErrEmpty) {
			return m, err
		}
		if err := s.sleep(ctx); err != nil {
			return Sample{}, err
		}
	}
}

// TryNext is Next that does not wait: ErrEmpty.
func (s *Subscriber) TryNext() (Sample, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take()
}

// Samples gives all samples from now on, and ends with the topic, or with an
// error that it gives last. Each sample is released when the loop body ends:
// copy what must stay.
func (s *Subscriber) Samples(ctx context.Context) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		for {
			m, err := s.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			ok := yield(m, err)
			m.Release()
			if !ok || err != nil {
				return
			}
		}
	}
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
				return Sample{}, s.fail("next", fmt.Errorf("sample %d says it is longer than its slot: %w", c, ErrCorrupt))
			}
			mem.StoreRelease64(&s.pins[pin], 0)
			s.pass(st, c)
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
			return Sample{}, s.fail("next", fmt.Errorf("sample %d says it is longer than its slot: %w", c, ErrCorrupt))
		}
		s.count(&m)
		s.step(c + 1)
		return m, nil
	}
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
		next = max(next, s.head-n+max(n/8, 1))
	}
	s.step(min(next, max(s.head, c+1)))
}
