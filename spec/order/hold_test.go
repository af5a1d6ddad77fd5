package order

import (
	"fmt"

	"github.com/seed-298b2b26/shm/shmtest/explore"
)

// holding is drop oldest: one publisher, subscribers that take, hold and
// release, and observers; spec/topic.md, sections 6, 6.1 and 7. The ring is full
// in the beginning, with the numbers below slots.
type holding struct {
	mutant
	slots     uint64
	subs      int
	observers int
	loans     int   // how many numbers are lent
	takes     []int // how many numbers each subscriber and then each observer goes through
	readmit   bool
	holds     bool // a subscriber may hold a sample while it goes on

	head   *explore.Word
	stamp  []*explore.Word
	data   [][2]*explore.Word
	state  []*explore.Word
	cursor []*explore.Word
	pin    []*explore.Word
	ask    []*explore.Word
}

// Stamps: the number << 2 | kind. States: generation << 2 | kind.
const (
	sample = 1
	hole   = 2
	busy   = 3

	free     = 0
	admitted = 1
	demoted  = 2
)

func showStamp(v uint64) string {
	return fmt.Sprintf("%s(%d)", [...]string{"never", "sample", "hole", "busy"}[v&3], v>>2)
}

func showState(v uint64) string {
	return fmt.Sprintf("%s/%d", [...]string{"free", "admitted", "demoted"}[v&3], v>>2)
}

func (h *holding) system() *explore.System {
	s := &explore.System{}
	h.head = s.Word("head", h.slots)
	for p := range h.slots {
		h.stamp = append(h.stamp, s.Word(fmt.Sprintf("stamp[%d]", p), p<<2|sample).Show(showStamp))
		h.data = append(h.data, [2]*explore.Word{
			s.Word(fmt.Sprintf("data[%d].0", p), p), s.Word(fmt.Sprintf("data[%d].1", p), p),
		})
	}
	for i := range h.subs {
		h.state = append(h.state, s.Word(fmt.Sprintf("state[%d]", i), 1<<2|admitted).Show(showState))
		h.cursor = append(h.cursor, s.Word(fmt.Sprintf("cursor[%d]", i), 0))
		h.pin = append(h.pin, s.Word(fmt.Sprintf("pin[%d]", i), 0))
		h.ask = append(h.ask, s.Word(fmt.Sprintf("ask[%d]", i), 1))
	}
	p := publisher{next: h.slots, shown: h.slots, loans: h.loans}
	for i := range h.subs {
		p.reader[i] = reader{admitted: true, answered: 1}
	}
	explore.Rounds(s, "publisher", p, h.publish)
	for i := range h.subs {
		explore.Rounds(s, fmt.Sprintf("subscriber %d", i), subscriber{head: h.slots, state: 1<<2 | admitted, takes: h.takes[i]},
			func(t *explore.Thread, l *subscriber) bool { return h.take(t, l, i) })
	}
	for i := range h.observers {
		explore.Rounds(s, fmt.Sprintf("observer %d", i), subscriber{takes: h.takes[h.subs+i]}, h.observe)
	}
	return s
}

// publisher is what the publisher keeps.
type publisher struct {
	next, shown uint64
	loans       int
	reader      [2]reader
}

// reader is what it has seen of a subscriber.
type reader struct {
	admitted    bool
	generation  uint64 // of the state, above 1
	cursor, pin uint64
	answered    uint64
}

// blocked reports whether a pin that was seen blocks a slot.
func (p *publisher) blocked(slot, slots uint64) bool {
	for _, r := range p.reader {
		if r.pin != 0 && (r.pin-1)%slots == slot {
			return true
		}
	}
	return false
}

// publish lends one number and publishes it, or makes it a hole.
func (h *holding) publish(t *explore.Thread, p *publisher) bool {
	if p.loans == 0 {
		return false
	}
	p.loans--
	if h.readmit {
		for i := range h.subs {
			h.admit(t, p, i)
		}
	}
	n := p.next
	s := n % h.slots
	p.next++
	concerns := func(r *reader) bool {
		return r.admitted && n >= h.slots && n-h.slots >= r.cursor || r.pin != 0 && (r.pin-1)%h.slots == s
	}
	if h.is("look, then busy") {
		h.look(t, p, n, concerns)
	}
	t.Say("busy")
	t.StoreRelease64(h.stamp[s], n<<2|busy)
	if !h.is("no store fence after busy") {
		t.Say("SYNC POINT: copy")
		t.StoreFence()
	}
	if !h.is("look, then busy") {
		h.look(t, p, n, concerns)
	}
	if p.blocked(s, h.slots) {
		t.StoreRelease64(h.stamp[s], n<<2|hole)
		return true
	}
	t.Store64(h.data[s][0], n)
	t.Store64(h.data[s][1], n)
	if h.is("stamp and head stored plainly") {
		t.Store64(h.stamp[s], n<<2|sample)
		t.Store64(h.head, n+1)
	} else {
		h.release(t, "sample's stamp stored plainly", h.stamp[s], n<<2|sample)
		h.release(t, "head stored plainly", h.head, n+1)
	}
	p.shown = n + 1
	return true
}

// look is step 5 of section 6: look at those whom number n concerns, and demote
// who is behind it.
func (h *holding) look(t *explore.Thread, p *publisher, n uint64, concerns func(*reader) bool) {
	any := false
	for i := range h.subs {
		any = any || concerns(&p.reader[i])
	}
	if !any {
		return
	}
	if !h.is("no full fence between busy and look") {
		t.Say("SYNC POINT: pin")
		t.FullFence()
	}
	for i := range h.subs {
		r := &p.reader[i]
		if !concerns(r) {
			continue
		}
		h.lookAt(t, p, i, r.admitted)
		if r.admitted && n >= h.slots && r.cursor <= n-h.slots && r.cursor < p.shown {
			r.admitted = false
			r.generation++
			if h.is("look, then demoted") {
				h.lookAt(t, p, i, true)
			}
			h.release(t, "demoted stored plainly", h.state[i], (1+r.generation)<<2|demoted)
			if h.is("look, then demoted") {
				continue
			}
			if !h.is("no full fence after demoted") {
				t.Say("SYNC POINT: pin")
				t.FullFence()
			}
			if !h.is("no last look") {
				h.lookAt(t, p, i, true)
			}
		}
	}
}

// lookAt is section 6.1.
func (h *holding) lookAt(t *explore.Thread, p *publisher, i int, taking bool) {
	r := &p.reader[i]
	before := r.cursor
	cursor := func() {
		t.Say("SYNC POINT: pin")
		if c := h.acquire(t, "look loads the cursor plainly", h.cursor[i]); c > r.cursor {
			r.cursor = max(r.cursor, min(c, p.shown))
		}
	}
	if !h.is("pins, then cursor") {
		cursor()
	}
	t.Say("SYNC POINT: pin")
	v := h.acquire(t, "look loads the pins plainly", h.pin[i])
	if h.is("old pins are ignored") && v != 0 && v-1+h.slots < p.shown {
		v, r.pin = 0, 0
	}
	if v != r.pin {
		if v != 0 && (!taking || v-1 < before || v-1 >= p.shown) {
			v = 0
		}
		r.pin = v
	}
	if h.is("pins, then cursor") {
		cursor()
	}
}

// admit answers a subscriber that was demoted and asks again.
func (h *holding) admit(t *explore.Thread, p *publisher, i int) {
	r := &p.reader[i]
	if r.admitted {
		return
	}
	if a := t.LoadAcquire64(h.ask[i]); a == r.answered {
		return
	} else {
		h.lookAt(t, p, i, false)
		if r.pin != 0 && !h.is("admitted though a pin stands") {
			return
		}
		r.pin = 0
		r.answered = a
	}
	if p.next > h.slots {
		r.cursor = max(r.cursor, p.next-h.slots)
	}
	// ID and from stand between two states: see entry.
	r.generation++
	t.StoreRelease64(h.state[i], (1+r.generation)<<2|free)
	r.generation++
	t.StoreRelease64(h.state[i], (1+r.generation)<<2|admitted)
	r.admitted = true
}

// subscriber is what a subscriber keeps.
type subscriber struct {
	at, head uint64
	state    uint64 // of its entry, when it was found admitted
	takes    int
	asked    uint64
	held     uint64 // 0, or 1 + the number that is held
}

// take goes through one number: section 7.
func (h *holding) take(t *explore.Thread, l *subscriber, i int) bool {
	c := l.at
	if l.held != 0 && (l.takes == 0 || t.Choose(2) == 0) {
		h.letGo(t, l, i)
		return true
	}
	if l.takes == 0 {
		return false
	}
	if c >= l.head {
		if l.head = t.LoadAcquire64(h.head); c >= l.head {
			l.takes = 0
			return l.held != 0
		}
	}
	l.takes--
	if st := h.acquire(t, "state loaded plainly", h.state[i]); st != l.state {
		if !h.readmit {
			l.state = 0 // it stays so
			return h.copy(t, l, i)
		}
		switch st & 3 {
		case admitted:
			l.state = st
		case demoted:
			if l.asked != st {
				l.asked = st
				t.StoreRelease64(h.ask[i], st)
			}
			return h.copy(t, l, i)
		default:
			return h.copy(t, l, i)
		}
	}
	if l.held != 0 {
		// Its one pin is used.
		h.letGo(t, l, i)
		l.takes++
		return true
	}
	s := c % h.slots
	if h.is("cursor, then pin") {
		t.StoreRelease64(h.cursor[i], c+1)
	}
	stamp := uint64(0)
	if h.is("stamp, then pin") {
		stamp = t.LoadAcquire64(h.stamp[s])
	}
	t.Say("SYNC POINT: pin")
	t.StoreRelease64(h.pin[i], 1+c)
	if !h.is("no full fence after the pin") {
		t.Say("SYNC POINT: pin")
		t.FullFence()
	}
	if !h.is("stamp, then pin") {
		stamp = h.acquire(t, "taker loads the stamp plainly", h.stamp[s])
	}
	state := l.state
	if !h.is("state is not looked at after the pin") {
		t.Say("SYNC POINT: pin")
		state = h.acquire(t, "state loaded plainly", h.state[i])
	}
	if stamp != c<<2|sample || state != l.state {
		t.StoreRelease64(h.pin[i], 0)
		if stamp == c<<2|sample {
			return h.copy(t, l, i)
		}
		return h.pass(t, l, i, stamp)
	}
	l.at = c + 1
	if !h.is("cursor, then pin") {
		h.release(t, "cursor stored plainly", h.cursor[i], c+1)
	}
	l.held = 1 + c
	if !h.holds || t.Choose(2) == 0 {
		h.letGo(t, l, i)
	}
	return true
}

// letGo looks at what is held a last time, and releases it.
func (h *holding) letGo(t *explore.Thread, l *subscriber, i int) {
	c := l.held - 1
	s := c % h.slots
	h.whole(t, c, t.Load64(h.data[s][0]), t.Load64(h.data[s][1]), "holds")
	t.Say("SYNC POINT: pin")
	h.release(t, "pin cleared plainly", h.pin[i], 0)
	l.held = 0
}

// pass goes past a number that cannot be had.
func (h *holding) pass(t *explore.Thread, l *subscriber, i int, stamp uint64) bool {
	c := l.at
	l.at = c + 1
	if stamp != c<<2|hole {
		l.head = max(l.head, t.LoadAcquire64(h.head))
		if l.head > h.slots {
			l.at = max(c+1, min(l.head-h.slots+1, l.head))
		}
	}
	if i >= 0 {
		t.StoreRelease64(h.cursor[i], l.at)
	}
	return true
}

// copy takes a number as who is not admitted does, with i < 0 an observer.
func (h *holding) copy(t *explore.Thread, l *subscriber, i int) bool {
	c := l.at
	s := c % h.slots
	t.Say("SYNC POINT: copy")
	stamp := h.acquire(t, "copier loads the stamp plainly", h.stamp[s])
	if stamp != c<<2|sample {
		return h.pass(t, l, i, stamp)
	}
	v0, v1 := t.Load64(h.data[s][0]), t.Load64(h.data[s][1])
	if !h.is("no load fence after the copy") {
		t.Say("SYNC POINT: copy")
		t.LoadFence()
	}
	if h.acquire(t, "copier loads the stamp plainly again", h.stamp[s]) != stamp {
		return h.pass(t, l, i, 0)
	}
	h.whole(t, c, v0, v1, "has copied")
	l.at = c + 1
	if i >= 0 {
		t.StoreRelease64(h.cursor[i], l.at)
	}
	return true
}

// observe copies numbers.
func (h *holding) observe(t *explore.Thread, l *subscriber) bool {
	if l.takes == 0 {
		return false
	}
	l.takes--
	if l.at >= l.head {
		if l.head = t.LoadAcquire64(h.head); l.at >= l.head {
			return false
		}
	}
	return h.copy(t, l, -1)
}

func (h *holding) whole(t *explore.Thread, c, v0, v1 uint64, how string) {
	t.Assert(v0 == c && v1 == c, "it %s sample %d, whose words are of %d and %d", how, c, v0, v1)
}
