package bench

import (
	"context"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// wideLine is the limit for other sizes than 64 bytes: the same ring with
// slots as large as the messages, and as few as topics have then.
type wideLine struct {
	memory
	there, back wide
	data        []byte
}

// wide is one side's view of one direction.
type wide struct {
	halves
	s          *Spec
	stride     int
	head, tail *uint64
	at, seen   uint64 // the own cursor, and the other's when it was last seen
	slot       int
	room       uint64 // slots
}

func newWideLine(s Spec) *wideLine {
	return &wideLine{memory: newMemory(s), data: make([]byte, s.Size)}
}

func (l *wideLine) open(o *order, r *reply) error {
	if err := l.memory.open(o, r); err != nil || o.Role > 0 {
		return err
	}
	return l.both()
}

func (l *wideLine) join(ctx context.Context, o *order) error {
	if err := l.memory.join(ctx, o); err != nil || o.Role == 0 {
		return err
	}
	return l.both()
}

func (l *wideLine) both() error {
	if err := l.there.begin(&l.memory, l.forward); err != nil {
		return err
	}
	return l.back.begin(&l.memory, l.reverse)
}

func (w *wide) begin(m *memory, h halves) (err error) {
	w.halves, w.s, w.stride, w.room = h, &m.s, int(m.stride), uint64(slotsFor(m.s.Size))
	if w.head, err = mem.Pointer[uint64](h.sender, 0); err != nil {
		return err
	}
	w.tail, err = mem.Pointer[uint64](h.receiver, 0)
	return err
}

func (w *wide) next() []byte {
	b := w.slots[w.slot : w.slot+w.s.Size]
	if w.slot += w.stride; w.slot == len(w.slots) {
		w.slot = 0
	}
	w.at++
	return b
}

func (w *wide) send(ctx context.Context, data []byte) bool {
	for n := 1; w.at-w.seen >= w.room; n++ {
		if w.seen = mem.LoadAcquire64(w.tail); stopped(ctx, n) {
			return false
		}
	}
	w.s.put(w.next(), data)
	mem.StoreRelease64(w.head, w.at)
	return true
}

func (w *wide) receive(ctx context.Context) bool {
	for n := 1; w.at == w.seen; n++ {
		if w.seen = mem.LoadAcquire64(w.head); stopped(ctx, n) {
			return false
		}
	}
	read(w.next(), w.s.Read == "touch")
	mem.StoreRelease64(w.tail, w.at)
	return true
}

func (l *wideLine) drive(ctx context.Context, n int, r *reply) error {
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

func (l *wideLine) answer(ctx context.Context, n int, r *reply) error {
	for range n {
		if !l.there.receive(ctx) || l.s.Pattern == latency && !l.back.send(ctx, l.data) {
			return context.Cause(ctx)
		}
	}
	return nil
}
