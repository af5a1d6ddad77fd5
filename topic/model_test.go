package topic

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// modelSub is what a subscriber or observer is to the model.
type modelSub struct {
	s        *Subscriber
	member   *heapMember // nil for an observer
	next     uint64      // sequence of the next sample that it has not seen
	held     []Sample
	admitted bool // was seen to be, and did not lose that since
}

// model is a topic and what must be in it.
type model struct {
	h      *heapTopic
	policy Policy
	shown  uint64 // samples that subscribers may see
	queued uint64 // and those that are whole beside
	loan   *Loan
	subs   []*modelSub
	closed bool
}

func text(seq uint64) string { return fmt.Sprintf("sample %d", seq) }

func (m *model) lend(t *rapid.T) {
	if m.loan != nil {
		if _, err := m.h.p.TryLoan(1); !errors.Is(err, ErrBusy) {
			t.Fatalf("a second loan: %v", err)
		}
		return
	}
	seq := m.shown + m.queued
	l, err := m.h.p.TryLoan(len(text(seq)))
	switch {
	case errors.Is(err, ErrFull):
		// Who waits has shown what it had.
		m.shown, m.queued = m.shown+m.queued, 0
		if m.policy != Block {
			t.Fatal("drop oldest waits")
		}
		for _, sub := range m.subs {
			if sub.member != nil && sub.next < m.shown {
				return
			}
		}
		t.Fatal("it waits for nobody")
	case err != nil:
		t.Fatal(err)
	default:
		m.loan = l
		copy(l.Bytes(), text(seq))
		if m.h.p.shown == m.h.p.last {
			m.shown, m.queued = m.shown+m.queued, 0 // half a round was queued
		}
	}
}

func (m *model) end(t *rapid.T) {
	if m.loan == nil {
		return
	}
	l := m.loan
	m.loan = nil
	switch rapid.IntRange(0, 4).Draw(t, "how") {
	case 0:
		l.Discard()
	case 1:
		if err := l.Queue(); err != nil {
			t.Fatal(err)
		}
		m.queued++
	default:
		if err := l.Publish(); err != nil {
			t.Fatal(err)
		}
		m.shown, m.queued = m.shown+m.queued+1, 0
	}
}

// saw checks a sample that a subscriber got.
func (m *model) saw(t *rapid.T, sub *modelSub, s Sample) {
	if string(s.Data) != text(s.Seq) || s.Seq >= m.shown {
		t.Fatalf("sample %d is %q, %d are shown", s.Seq, s.Data, m.shown)
	}
	if s.Seq < sub.next || sub.next+s.Missed != s.Seq {
		t.Fatalf("after %d came %d with %d missed", sub.next, s.Seq, s.Missed)
	}
	if m.policy == Block && sub.admitted && s.Seq != sub.next {
		t.Fatalf("admitted, and lost %d to %d", sub.next, s.Seq)
	}
	sub.next = s.Seq + 1
}

func (m *model) take(t *rapid.T) {
	if len(m.subs) == 0 {
		return
	}
	sub := rapid.SampledFrom(m.subs).Draw(t, "subscriber")
	for range rapid.IntRange(1, 6).Draw(t, "samples") {
		s, err := sub.s.TryNext()
		switch {
		case errors.Is(err, io.EOF):
			if !m.closed || sub.next != m.shown {
				t.Fatalf("ended at %d of %d", sub.next, m.shown)
			}
			return
		case errors.Is(err, ErrEmpty):
			if sub.next != m.shown {
				t.Fatalf("empty at %d of %d", sub.next, m.shown)
			}
			return
		case errors.Is(err, ErrHeld):
			if len(sub.held) != m.h.config.Held {
				t.Fatalf("%d are held", len(sub.held))
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		m.saw(t, sub, s)
		if s.pin < 0 || rapid.Bool().Draw(t, "release") {
			s.Release()
		} else {
			sub.held = append(sub.held, s)
		}
	}
}

// invariants hold after every step.
func (m *model) invariants(t *rapid.T) {
	p := m.h.p
	for _, sub := range m.subs {
		for _, s := range sub.held {
			if string(s.Data) != text(s.Seq) {
				t.Fatalf("sample %d turned into %q while it was held", s.Seq, s.Data)
			}
		}
		if sub.member == nil || sub.member.gone.Load() {
			continue
		}
		from, ok := sub.s.Admitted()
		sub.admitted = ok && sub.s.at >= from
		if sub.s.holding() != len(sub.held) {
			t.Fatalf("%d held, should be %d", sub.s.holding(), len(sub.held))
		}
	}
	if p.shown > p.last || p.last > p.next || *m.h.ring.head != p.shown {
		t.Fatalf("head %d, shown %d, last %d, next %d", *m.h.ring.head, p.shown, p.last, p.next)
	}
	// What blocks is what was seen of the pins.
	blocked := make([]int32, m.h.ring.slots)
	for _, r := range p.readers {
		for _, v := range r.seenPins {
			if v != 0 {
				blocked[(v-1)&m.h.ring.mask]++
			}
		}
	}
	if !slices.Equal(blocked, p.blocked) {
		t.Fatalf("blocked %v, should be %v", p.blocked, blocked)
	}
	if c := m.h.ring.counters.published; c != m.shown+m.queued {
		t.Fatalf("%d published, should be %d", c, m.shown+m.queued)
	}
}

// TestModel lets publisher and subscribers take steps at random and compares
// with what must be.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{policy: rapid.SampledFrom([]Policy{Block, DropOldest}).Draw(rt, "policy")}
		held := rapid.IntRange(1, 3).Draw(rt, "held")
		m.h = newHeapTopic(t, Options{Policy: m.policy, Slots: 8, Subscribers: 2, Held: held, Size: 32, Patience: -1})
		join := func(rt *rapid.T) {
			if len(m.subs) >= 5 {
				return
			}
			from := rapid.SampledFrom([]Start{Next, Oldest, Newest}).Draw(rt, "from")
			sub := &modelSub{next: m.shown}
			if rapid.Bool().Draw(rt, "observer") {
				sub.s = m.h.observe(t, from)
			} else {
				sub.s = m.h.subscribe(t, from)
				sub.member = m.h.members[sub.s.member.ID].participant.(*heapMember)
			}
			// Where older ones begin, the ring says: numbers have holes.
			if sub.next = sub.s.nextSeq; !sub.s.seqKnown || from == Next && sub.next != m.shown {
				rt.Fatalf("it begins with %d of %d", sub.next, m.shown)
			}
			m.subs = append(m.subs, sub)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"join": join,
			"lend": m.lend, "lend again": m.lend, "lend once more": m.lend,
			"end": m.end, "end again": m.end, "end once more": m.end,
			"take": m.take, "take again": m.take,
			"flush": func(rt *rapid.T) {
				if err := m.h.p.Flush(); err != nil {
					rt.Fatal(err)
				}
				m.shown, m.queued = m.shown+m.queued, 0
			},
			"poll": func(rt *rapid.T) {
				if err := m.h.p.Poll(); err != nil {
					rt.Fatal(err)
				}
			},
			"release": func(rt *rapid.T) {
				for _, sub := range m.subs {
					if n := len(sub.held); n > 0 && rapid.Bool().Draw(rt, "this one") {
						i := rapid.IntRange(0, n-1).Draw(rt, "which")
						sub.held[i].Release()
						sub.held = slices.Delete(sub.held, i, i+1)
					}
				}
			},
			"die": func(rt *rapid.T) {
				for i, sub := range m.subs {
					if sub.member != nil && rapid.IntRange(0, 5).Draw(rt, "dies") == 0 {
						sub.member.gone.Store(true)
						m.subs = slices.Delete(m.subs, i, i+1)
						return
					}
				}
			},
			"kill": func(rt *rapid.T) {
				if rapid.IntRange(0, 2).Draw(rt, "kill it") == 0 {
					m.h.kill(t)
					m.loan, m.queued = nil, 0
				}
			},
			"latest": func(rt *rapid.T) {
				for _, sub := range m.subs {
					s, err := sub.s.Latest()
					switch {
					case m.shown == 0:
						if !errors.Is(err, ErrEmpty) {
							rt.Fatal(err)
						}
					case m.loan != nil && err != nil:
						// Its place may be lent.
					case err != nil || s.Seq != m.shown-1 || string(s.Data) != text(s.Seq):
						rt.Fatalf("the latest of %d is %d, %q, %v", m.shown, s.Seq, s.Data, err)
					}
				}
			},
			"": m.invariants,
		})
	})
}
