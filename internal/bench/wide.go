package bench

import (
	"context"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// wide is a direction of the limit for other sizes than 64 bytes: the same
// ring with slots as large as the messages, and as few as topics have then.
type wide struct {
	slots
	s          *Spec
	head, tail *uint64
	at, seen   uint64 // the own cursor, and the other's when it was last seen
	room       uint64 // slots
}

func (w *wide) begin(s *Spec, h halves) (err error) {
	w.slots, w.s, w.room = newSlots(s, h), s, uint64(slotsFor(s.Size))
	if w.head, err = mem.Pointer[uint64](h.sender, 0); err != nil {
		return err
	}
	w.tail, err = mem.Pointer[uint64](h.receiver, 0)
	return err
}

func (w *wide) send(ctx context.Context, data []byte) bool {
	for n := 1; w.at-w.seen >= w.room; n++ {
		if w.seen = mem.LoadAcquire64(w.tail); stopped(ctx, n) {
			return false
		}
	}
	w.s.put(w.next(), data)
	w.at++
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
	w.at++
	mem.StoreRelease64(w.tail, w.at)
	return true
}
