package topic

import (
	"log/slog"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// reader is what the publisher knows of one subscriber. The words are the
// subscriber's; everything else is private to the publisher.
type reader struct {
	member    *member
	cursor    *uint64
	ask       *uint64
	fenceFree *uint32 // 1: it does not fence between cursor and want
	pins      []uint64

	index    int  // of its entry in the table, -1 without
	admitted bool // kind of the entry: admitted or, with an index, demoted

	// As last seen. What the subscriber can hold is in seenPins or has a
	// number of seenCursor or more.
	seenCursor uint64
	seenPins   []uint64

	answered uint64    // the ask that was answered last
	moved    time.Time // when seenCursor last moved while we waited for it
}

// look reads the subscriber's words again: cursor first, then pins. In that
// order a sample that is taken meanwhile is in one of the two; SYNC POINT:
// pin, with (*Subscriber).take. False means that its file has no memory any
// more, because its owner has truncated it.
//
// taking says that the subscriber may have taken something since the last
// look: it is admitted, or this is the last look when it is demoted. Then a
// pin that was not there before has a number that its cursor had not passed
// before, and that was shown. Any other new pin holds nothing: if it counted,
// whoever moves pins along in front of us would keep us from ever finding a
// slot.
func (p *Publisher) look(r *reader, taking bool) (ok bool) {
	before := r.seenCursor
	return nil == r.member.Region.Guard(func() error {
		// A cursor only grows; whoever sets it back or past the head lies to
		// itself alone: what it could have held stays protected until now.
		if c := mem.LoadAcquire64(r.cursor); c > r.seenCursor {
			r.seenCursor = max(r.seenCursor, min(c, p.shown))
		}
		for i := range r.pins {
			if v := mem.LoadAcquire64(&r.pins[i]); v != r.seenPins[i] {
				p.block(r.seenPins[i], -1)
				if v != 0 && (!taking || v-1 < before || v-1 >= p.shown) {
					v = 0
				}
				r.seenPins[i] = v
				p.block(v, 1)
			}
		}
		return nil
	})
}

// block counts a pin (1 + a number, or 0) in or out.
func (p *Publisher) block(pin uint64, by int32) {
	if pin != 0 {
		p.blocked[(pin-1)&p.ring.mask] += by
	}
}

// forget drops all that is known of the subscriber's holdings.
func (p *Publisher) forget(r *reader) {
	for i, v := range r.seenPins {
		p.block(v, -1)
		r.seenPins[i] = 0
	}
}

// lookAll looks at every subscriber that number n concerns: those whose
// sample n-N may still be taken, and those with a pin in its slot.
func (p *Publisher) lookAll(n uint64) {
	slot := n & p.ring.mask
	for _, r := range p.readers {
		if r.index < 0 || !p.concerns(r, n, slot) {
			continue
		}
		if !p.look(r, r.admitted) {
			p.evict(r, truncated)
		}
	}
	p.setFloor()
}

func (p *Publisher) concerns(r *reader, n, slot uint64) bool {
	if r.admitted && n >= p.ring.slots && n-p.ring.slots >= r.seenCursor {
		return true
	}
	for _, v := range r.seenPins {
		if v != 0 && (v-1)&p.ring.mask == slot {
			return true
		}
	}
	return false
}

// setFloor computes the smallest cursor that admitted subscribers were seen
// at.
func (p *Publisher) setFloor() {
	p.floor, p.free = ^uint64(0), 0
	for _, r := range p.readers {
		if r.admitted {
			p.floor = min(p.floor, r.seenCursor)
		}
	}
}

// setState changes the kind of a subscriber's entry, and with it the
// generation.
func (p *Publisher) setState(index int, kind uint64) {
	e := &p.ring.table[index]
	mem.StoreRelease64(&e.state, (e.state>>2+1)<<2|kind)
}

// admit answers a subscriber that asked: from a number on, what it has not
// taken is not overwritten (block) or it is demoted first (drop oldest), and
// what it pins is not overwritten at all.
func (p *Publisher) admit(r *reader) bool {
	// No pin is new here. Who was never admitted holds nothing, whatever its
	// pins say: if they counted, files that have no place in the table could
	// block all slots.
	if !p.look(r, false) {
		return false
	}
	for _, v := range r.seenPins {
		if v != 0 {
			// Held since before it was demoted, and honoured until it is let
			// go.
			return false
		}
	}
	if r.index < 0 {
		if r.index = p.freeEntry(); r.index < 0 {
			if r.index = p.reclaim(); r.index < 0 {
				return false
			}
		}
	}
	from := r.seenCursor
	if lent := max(p.next, p.busy); lent > p.ring.slots {
		from = max(from, lent-p.ring.slots)
	}
	r.seenCursor = from
	e := &p.ring.table[r.index]
	p.setState(r.index, stateFree)
	mem.StoreFence()
	mem.Store(&e.id, [16]byte(r.member.ID))
	mem.Store(&e.from, from)
	p.setState(r.index, stateAdmitted)
	r.admitted = true
	p.setFloor()
	return true
}

func (p *Publisher) freeEntry() int {
	for i := range p.ring.table {
		if p.ring.table[i].state&3 == stateFree && !p.taken(i) {
			return i
		}
	}
	return -1
}

// reclaim takes the place of a subscriber that was demoted and holds nothing:
// it is slow or stopped, and another one waits. It stays a subscriber, and is
// admitted again when there is a place; perhaps it was admitted and demoted
// without ever seeing it, so what it asked counts as not answered.
func (p *Publisher) reclaim() int {
	for _, r := range p.readers {
		if r.index < 0 || r.admitted || !p.look(r, false) || r.holds() {
			continue
		}
		index := r.index
		p.setState(index, stateFree)
		r.index, r.answered = -1, 0
		return index
	}
	return -1
}

func (p *Publisher) taken(index int) bool {
	for _, r := range p.readers {
		if r.index == index {
			return true
		}
	}
	return false
}

// demote revokes a subscriber's cursor, never its pins: what it holds stays.
func (p *Publisher) demote(r *reader, why string) {
	p.setState(r.index, stateDemoted)
	r.admitted = false
	// The subscriber pins, fences, and looks at its state; we set the state,
	// fence, and look at its pins. What is new among them afterwards holds
	// nothing.
	mem.FullFence()
	if !p.look(r, true) {
		p.evict(r, truncated)
		return
	}
	p.setFloor()
	mem.Add(&p.ring.counters.demoted, 1)
	p.log(slog.LevelWarn, "subscriber demoted", r, why)
}

// evict drops a subscriber that is dead or whose file cannot be read: its
// entry is free for another.
func (p *Publisher) evict(r *reader, why string) {
	p.forget(r)
	r.admitted = false
	if r.index < 0 {
		return
	}
	p.setState(r.index, stateFree)
	r.index = -1
	p.setFloor()
	mem.Add(&p.ring.counters.evicted, 1)
	level := slog.LevelWarn
	if why == left {
		level = slog.LevelInfo
	}
	p.log(level, "subscriber evicted", r, why)
}

// Why subscribers are evicted.
const (
	left      = "it left"
	died      = "it died"
	truncated = "its file was truncated"
)

// end says why a subscriber has no lock any more: whoever leaves in order
// takes its ask back before.
func (p *Publisher) end(r *reader) string {
	why := died
	r.member.Region.Guard(func() error {
		if mem.LoadAcquire64(r.ask) == 0 {
			why = left
		}
		return nil
	})
	return why
}
