package topic

import (
	"fmt"
	"runtime/debug"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
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
	if err = s.one(m, s.share); err == ErrEmpty && linger && s.linger() {
		err = s.one(m, s.share)
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
	// Behind the head that was seen last there may be more, for the next call.
	for n < len(into) && err == nil && (n == 0 || s.at < s.head) {
		if s.reserved == 0 {
			if ready := int(min(s.ready(), reserveMost)); ready == 0 || !s.reserve(min(ready, len(into)-n)) {
				// Something is not as it is most often.
				if err = s.take(&into[n]); err == nil {
					n++
				}
				continue
			}
		}
		k := 0
		k, err = s.hand(into[n:])
		n += k
	}
	done = true
	return n, err
}

// one takes the next sample, in the way that is quick where everything is as it
// is most often. Up to most are reserved on the way.
func (s *Subscriber) one(m *Sample, most int) error {
	if s.reserved > 0 {
		return s.handOne(m)
	}
	switch n := s.ready(); {
	case n == 0:
	case n == 1 || most == 1:
		if s.quick(m) {
			return nil
		}
	case s.reserve(int(min(n, uint64(most)))):
		return s.handOne(m)
	}
	return s.take(m)
}

// ready reports how many samples there are of which we are sure that the
// publisher watches our pins.
func (s *Subscriber) ready() uint64 {
	c, e := s.at, s.entry
	if s.closed || e == nil || c < s.from || mem.LoadAcquire64(&e.state) != s.state {
		return 0
	}
	if c >= s.head {
		head := mem.LoadAcquire64(s.ring.head)
		if head <= c || head-s.head > 1<<49 {
			return 0
		}
		s.head = head
	}
	return s.head - c
}

// quick is take for when we are ready. False means that nothing was done.
func (s *Subscriber) quick(m *Sample) bool {
	g, c, pin := s.ring, s.at, 0
	if mem.LoadAcquire64(&s.holds[0]) != 0 {
		if pin = s.freePin(); pin < 0 {
			return false
		}
	}
	h := g.headers.At(c & g.mask)
	mem.StoreRelease64(&s.holds[pin], c+1)
	mem.StoreFull64(&s.pins[pin], c+1) // SYNC POINT: pin, with (*Publisher).prepare and demote
	st := stamp(mem.LoadAcquire64(&h.stamp))
	since := stamp(mem.LoadAcquire64(g.since))
	if st.kind() != kindSample || st.number() != c || !rightEpoch(st, since, c) ||
		mem.LoadAcquire64(&s.entry.state) != s.state || !s.fill(m, h, c, pin) {
		s.unpin(pin)
		return false
	}
	s.count(m)
	s.step(c + 1)
	return true
}

// reserve pins the next samples that are there, up to most and as many as may
// be held, with one fence for all of them: every pin first, the fence, and then
// every stamp. They are handed out one by one; the cursor moves only then, for
// it says what was taken. False means that take has to see to the first of them.
func (s *Subscriber) reserve(most int) bool {
	g, c := s.ring, s.at
	n, most := 0, min(most, reserveMost)
	for i := range s.holds {
		if mem.LoadAcquire64(&s.holds[i]) == 0 {
			s.places[n] = uint8(i)
			n++
			mem.StoreRelease64(&s.holds[i], c+uint64(n))
			mem.StoreRelease64(&s.pins[i], c+uint64(n))
			if n == most {
				break
			}
		}
	}
	mem.FullFence()
	// SYNC POINT: pin, with (*Publisher).prepare and demote
	since := stamp(mem.LoadAcquire64(g.since))
	good := 0
	for ; good < n; good++ {
		number := c + uint64(good)
		st := stamp(mem.LoadAcquire64(&g.headers.At(number & g.mask).stamp))
		if st.kind() != kindSample || st.number() != number || !rightEpoch(st, since, number) {
			break
		}
	}
	// What was compared counts if it holds after the last stamp too.
	if mem.LoadAcquire64(&s.entry.state) != s.state || stamp(mem.LoadAcquire64(g.since)) != since {
		good = 0
	}
	for _, pin := range s.places[good:n] {
		s.unpin(int(pin))
	}
	s.next, s.reserved = 0, good
	return good > 0
}

// handOne gives the first sample that is reserved. An error is that of a sample
// which says that it is longer than its slot.
func (s *Subscriber) handOne(m *Sample) error {
	g, c := s.ring, s.at
	pin := int(s.places[s.next])
	s.next++
	s.reserved--
	fits := s.fill(m, g.headers.At(c&g.mask), c, pin)
	if fits {
		s.count(m)
	} else {
		s.unpin(pin)
	}
	s.step(c + 1)
	if !fits {
		return s.tooLong("next", c)
	}
	return nil
}

// hand gives as many of those that are reserved as there is place for. The
// cursor moves once.
func (s *Subscriber) hand(into []Sample) (n int, err error) {
	g, c := s.ring, s.at
	into = into[:min(len(into), s.reserved)]
	for n < len(into) && s.fill(&into[n], g.headers.At(c&g.mask), c, int(s.places[s.next+n])) {
		s.count(&into[n])
		n++
		c++
	}
	s.next += n
	s.reserved -= n
	if n > 0 {
		s.step(c)
	}
	if n < len(into) {
		err = s.handOne(&into[n])
	}
	return n, err
}

// unreserve gives back what was not handed out.
func (s *Subscriber) unreserve() {
	for ; s.reserved > 0; s.reserved-- {
		s.unpin(int(s.places[s.next]))
		s.next++
	}
}

// reserveMost is how many samples are reserved at once at most. Without being
// asked for so many (NextBatch) no more than an eighth of the ring is, by all
// subscribers together: a slot with a pin is one that the publisher passes over.
const (
	reserveMost  = 16
	reserveShare = 8
)

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
	m.Number, m.Seq, m.UnixNano = c, h.seq, h.time
	m.User, m.Flags, m.Missed = h.user, h.flags, 0
	m.s, m.pin = s, int32(pin)
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

// holding counts the samples that are held, by whoever took them.
func (s *Subscriber) holding() (n int) {
	n -= s.reserved
	for i := range s.holds {
		if mem.LoadAcquire64(&s.holds[i]) != 0 {
			n++
		}
	}
	return n
}

// lingerLooks is how many looks at the head come before a wait, some
// microseconds: entering and leaving a wait takes about as long as the peer's
// answer. Between two of them is a pause. A processor that looks without one
// has begun many looks at once, and has to take them all back when the line
// goes to the publisher, which also gets it later: a round trip took a fifth
// to a third longer.
const lingerLooks = 256

// linger looks at the head for a moment, and reports whether it was worth
// while. s.mu is held meanwhile: nobody else would find more, and Close has to
// wait, with the memory.
func (s *Subscriber) linger() bool {
	if !s.eager.worth(s.opts.Wait) {
		return false
	}
	head := s.ring.head
	for range lingerLooks {
		mem.Pause()
		if mem.LoadAcquire64(head) > s.at {
			s.eager.learn(true)
			return true
		}
	}
	s.eager.learn(false)
	return false
}
