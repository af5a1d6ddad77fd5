package bench

import "context"

// slotLine is two directions of slots in a memory of its own. How one side
// knows what the other has done is a matter of the direction.
type slotLine struct {
	memory
	there, back direction
	data        []byte
}

// direction is one side's view of a half of the memory.
type direction interface {
	begin(s *Spec, h halves) error
	send(ctx context.Context, data []byte) bool
	receive(ctx context.Context) bool
}

func newSlotLine(s Spec, there, back direction) *slotLine {
	return &slotLine{memory: newMemory(s), there: there, back: back, data: make([]byte, s.Size)}
}

func (l *slotLine) open(o *order, r *reply) error {
	if err := l.memory.open(o, r); err != nil || o.Role > 0 {
		return err
	}
	return l.begin()
}

func (l *slotLine) join(ctx context.Context, o *order) error {
	if err := l.memory.join(ctx, o); err != nil || o.Role == 0 {
		return err
	}
	return l.begin()
}

func (l *slotLine) begin() error {
	if err := l.there.begin(&l.s, l.forward); err != nil {
		return err
	}
	return l.back.begin(&l.s, l.reverse)
}

func (l *slotLine) drive(ctx context.Context, n int, r *reply) error {
	t := newLaps(n)
	t.begin()
	for range n {
		if !l.there.send(ctx, l.data) {
			return context.Cause(ctx)
		}
		if l.s.Pattern == latency {
			if !l.back.receive(ctx) {
				return context.Cause(ctx)
			}
			t.lap()
		}
	}
	r.laps(t.d)
	return nil
}

func (l *slotLine) answer(ctx context.Context, n int, r *reply) error {
	for range n {
		if !l.there.receive(ctx) || l.s.Pattern == latency && !l.back.send(ctx, l.data) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// slots are taken one after the other, and around.
type slots struct {
	all          []byte
	size, stride int
	at           int
}

func newSlots(s *Spec, h halves) slots { return slots{all: h.slots, size: s.Size, stride: h.stride} }

// next gives the next slot.
func (s *slots) next() []byte {
	slot := s.all[s.at : s.at+s.size]
	if s.at += s.stride; s.at == len(s.all) {
		s.at = 0
	}
	return slot
}
