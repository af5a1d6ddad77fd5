package topic

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/internal/wait"
)

// try is one attempt; who is going to wait lingers where that pays.
func (s *Subscriber) try(m *Sample, linger bool) (err error) {
	done, before := false, debug.SetPanicOnFault(true)
	s.mu.Lock()
	defer func() {
		s.mu.Unlock()
		debug.SetPanicOnFault(before)
		if !done {
			err = s.faulted("next", recover())
		}
	}()
	if !s.quick(m) {
		if err = s.take(m); err == ErrEmpty && linger && s.linger() {
			if err = nil; !s.quick(m) {
				err = s.take(m)
			}
		}
	}
	done = true
	return err
}

// tryBatch takes what is there, into at most as many samples as there are.
func (s *Subscriber) tryBatch(into []Sample) (n int, err error) {
	done, before := false, debug.SetPanicOnFault(true)
	s.mu.Lock()
	defer func() {
		s.mu.Unlock()
		debug.SetPanicOnFault(before)
		if !done {
			err = s.faulted("next", recover())
		}
	}()
	for n < len(into) && err == nil {
		if k := s.takeMany(into[n:]); k > 0 {
			n += k
			break
		}
		// Something is not as it is most often.
		if err = s.take(&into[n]); err == nil {
			n++
		}
	}
	done = true
	return n, err
}

// quick is take where everything is as it is most often: we are admitted, hold
// nothing, and a sample is there. False means that nothing was done.
func (s *Subscriber) quick(m *Sample) bool {
	g, e, c := s.ring, s.entry, s.at
	if s.closed || e == nil || c < s.from || mem.LoadAcquire64(&e.state) != s.state {
		return false
	}
	if c >= s.head {
		head := mem.LoadAcquire64(g.head)
		if head <= c || head-s.head > 1<<49 {
			return false
		}
		s.head = head
	}
	own, pin := &s.holds[0], &s.pins[0]
	if mem.LoadAcquire64(own) != 0 {
		return false
	}
	h := g.headers.At(c & g.mask)
	mem.StoreRelease64(own, c+1)
	mem.StoreFull64(pin, c+1) // SYNC POINT: pin, with (*Publisher).prepare and demote
	st := stamp(mem.LoadAcquire64(&h.stamp))
	since := stamp(mem.LoadAcquire64(g.since))
	if st.kind() != kindSample || st.number() != c || !rightEpoch(st, since, c) ||
		mem.LoadAcquire64(&e.state) != s.state || !s.fill(m, h, c, 0) {
		s.unpin(0)
		return false
	}
	s.count(m)
	s.step(c + 1)
	return true
}

// take takes the next sample; s.mu is held. The steps are those of
// spec/topic.md, section 7.
func (s *Subscriber) take(m *Sample) error {
	g := s.ring
	if s.closed {
		return s.fail("next", shm.ErrClosed)
	}
	for tries := uint64(0); ; tries++ {
		c := s.at
		if c >= s.head {
			if err := s.advance(); err != nil {
				return err
			}
		}
		if tries > 2*g.slots {
			return s.fail("next", fmt.Errorf("the publisher overwrites faster than this process copies: %w", ErrEmpty))
		}
		h := g.headers.At(c & g.mask)
		if !s.admitted(c) {
			if ok, err := s.copy(m, h, c); ok || err != nil {
				return err
			}
			continue
		}
		pin := s.freePin()
		if pin < 0 {
			return s.fail("next", fmt.Errorf("%d samples are held: %w", len(s.pins), ErrHeld))
		}
		mem.StoreRelease64(&s.holds[pin], c+1)
		mem.StoreFull64(&s.pins[pin], c+1) // SYNC POINT: pin, with (*Publisher).prepare and demote
		st := stamp(mem.LoadAcquire64(&h.stamp))
		believed := s.believe(st, c)
		if believed && mem.LoadAcquire64(&s.entry.state) == s.state {
			if s.fill(m, h, c, pin) {
				s.count(m)
				s.step(c + 1)
				return nil
			}
			s.unpin(pin)
			s.step(c + 1)
			return s.tooLong("next", c)
		}
		s.unpin(pin)
		if !believed {
			s.pass(st, c)
		} // else we were demoted just now: a copy may do
	}
}

// takeMany takes as many samples as are there, fit and may be held, with one
// fence for all of them: every pin first, the fence, and then every stamp. It
// gives 0 where take has to see to the first of them.
func (s *Subscriber) takeMany(into []Sample) int {
	g, c := s.ring, s.at
	if s.closed || !s.admitted(c) {
		return 0
	}
	if s.head-c < uint64(len(into)) && s.advance() != nil {
		return 0
	}
	var pins [pinsMost]uint8
	n, most := 0, int(min(uint64(len(into)), s.head-c, pinsMost))
	for i := range s.pins {
		if n == most {
			break
		}
		if mem.LoadAcquire64(&s.holds[i]) == 0 {
			pins[n] = uint8(i)
			n++
			mem.StoreRelease64(&s.holds[i], c+uint64(n))
			mem.StoreRelease64(&s.pins[i], c+uint64(n))
		}
	}
	mem.FullFence() // SYNC POINT: pin, with (*Publisher).prepare and demote
	var stamps [pinsMost]stamp
	good := 0
	for ; good < n; good++ {
		number := c + uint64(good)
		st := stamp(mem.LoadAcquire64(&g.headers.At(number & g.mask).stamp))
		if st.kind() != kindSample || st.number() != number {
			break
		}
		stamps[good] = st
	}
	since := stamp(mem.LoadAcquire64(g.since))
	if mem.LoadAcquire64(&s.entry.state) != s.state {
		good = 0
	}
	for i := range good {
		number := c + uint64(i)
		if !rightEpoch(stamps[i], since, number) || !s.fill(&into[i], g.headers.At(number&g.mask), number, int(pins[i])) {
			good = i
			break
		}
		s.count(&into[i])
	}
	for _, pin := range pins[good:n] {
		s.unpin(int(pin))
	}
	if good > 0 {
		s.step(c + uint64(good))
	}
	return good
}

const pinsMost = topicdir.MaxHeld

// copy takes number c as an observer does, and reports whether it did.
func (s *Subscriber) copy(m *Sample, h *slotHeader, c uint64) (ok bool, err error) {
	st := stamp(mem.LoadAcquire64(&h.stamp))
	if !s.believe(st, c) {
		s.pass(st, c)
		return false, nil
	}
	fits := s.fill(m, h, c, -1)
	if fits {
		m.Data = append(s.buffer(len(m.Data)), m.Data...)
	}
	mem.LoadFence()
	if stamp(mem.LoadAcquire64(&h.stamp)) != st {
		s.pass(0, c)
		return false, nil
	}
	s.step(c + 1)
	if !fits {
		return false, s.tooLong("next", c)
	}
	s.count(m)
	return true, nil
}

// advance looks at the head; nil: there is something.
func (s *Subscriber) advance() error {
	head := mem.LoadAcquire64(s.ring.head)
	if head < s.head || head-s.head > 1<<49 {
		return s.fail("next", fmt.Errorf("the head went from %d to %d: %w", s.head, head, ErrCorrupt))
	}
	if s.head = head; s.at >= head {
		return s.empty(head)
	}
	return nil
}

func (s *Subscriber) tooLong(op string, c uint64) error {
	return s.fail(op, fmt.Errorf("sample %d says it is longer than its slot: %w", c, ErrCorrupt))
}

// believe reports whether a stamp says that its slot holds sample c, by the
// publisher whose number c is.
func (s *Subscriber) believe(st stamp, c uint64) bool {
	return st.kind() == kindSample && st.number() == c && s.rightEpoch(st, c)
}

// rightEpoch reports whether number c is the present publisher's and so is the
// stamp, or neither is. since has the epoch that it belongs to beside it, so
// one load tells both; it must come after that of the stamp.
func (s *Subscriber) rightEpoch(st stamp, c uint64) bool {
	return rightEpoch(st, stamp(mem.LoadAcquire64(s.ring.since)), c)
}

func rightEpoch(st, since stamp, c uint64) bool {
	return (st.epoch() == since.epoch()) == (c >= since.number())
}

// fill reads what stands before the payload, each word once. It is false for
// a sample that says it is longer than its slot.
func (s *Subscriber) fill(m *Sample, h *slotHeader, c uint64, pin int) bool {
	n := h.length
	if n > s.ring.capacity {
		return false
	}
	m.Data = s.ring.bytes(c&s.ring.mask, n)
	m.Number, m.Seq, m.Time = c, h.seq, time.Unix(0, h.time)
	m.User, m.Flags, m.Missed = h.user, h.flags, 0
	m.s, m.pin = s, pin
	return true
}

// sample is fill for a new Sample.
func (s *Subscriber) sample(h *slotHeader, c uint64, pin int) (m Sample, ok bool) {
	ok = s.fill(&m, h, c, pin)
	return m, ok
}

// step moves the cursor behind numbers that were dealt with.
func (s *Subscriber) step(c uint64) {
	was := s.at
	s.at = c
	if s.cursor == nil {
		return
	}
	if !s.block {
		mem.StoreRelease64(s.cursor, c)
		return
	}
	if s.fenceFree {
		mem.StoreRelease64(s.cursor, c)
		mem.StoreFence() // for the compiler; the publisher fences for both
	} else {
		mem.StoreFull64(s.cursor, c)
	}
	// SYNC POINT: want, with (*Publisher).sleepForRoom. Only who passes the
	// mark rings, not everybody who is beyond it.
	if w := mem.LoadAcquire64(s.ring.want); w != 0 && was < w-1 && w-1 <= c {
		s.wakePublisher()
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

// freePin gives a place for a pin, -1 when all are used.
func (s *Subscriber) freePin() int {
	for i := range s.holds {
		if mem.LoadAcquire64(&s.holds[i]) == 0 {
			return i
		}
	}
	return -1
}

// unpin clears a pin, in the memory that the publisher sees first.
func (s *Subscriber) unpin(pin int) {
	mem.StoreRelease64(&s.pins[pin], 0)
	mem.StoreRelease64(&s.holds[pin], 0)
}

// release ends a hold, or gives a copy's memory back. It takes no lock: who
// holds has a pin of his own, which nobody else takes before it is cleared,
// and Close waits for that.
func (s *Subscriber) release(pin int, number uint64) {
	if pin >= 0 && mem.LoadAcquire64(&s.holds[pin]) == number+1 {
		s.unpin(pin)
	} // else a copy, or released already
}

// holding counts the samples that are held.
func (s *Subscriber) holding() (n int) {
	for i := range s.holds {
		if mem.LoadAcquire64(&s.holds[i]) != 0 {
			n++
		}
	}
	return n
}

// lingerLooks is how many looks at the head come before a wait, some
// microseconds: entering and leaving a wait takes about as long as the peer's
// answer.
const lingerLooks = 2048

// linger looks at the head for a moment, and reports whether it was worth
// while. s.mu is held meanwhile: nobody else would find more, and Close has to
// wait, with the memory.
func (s *Subscriber) linger() bool {
	if !s.eager.worth(s.opts.Wait) {
		return false
	}
	head := s.ring.head
	for range lingerLooks {
		if mem.LoadAcquire64(head) > s.at {
			s.eager.credit = eagerMost
			return true
		}
	}
	if s.eager.credit > 0 {
		s.eager.credit--
	}
	return false
}

// eager learns whether it is worth while to linger.
type eager struct {
	credit int // it was, not long ago
	rest   int // waits since it was tried
}

const (
	eagerMost  = 4
	eagerEvery = 64 // waits for a try where it was not worth while
)

func (e *eager) worth(w Wait) bool {
	if w == Sleep || !wait.Parallel() {
		return false
	}
	if w == Spin || e.credit > 0 {
		return true
	}
	e.rest++
	return e.rest%eagerEvery == 0
}
