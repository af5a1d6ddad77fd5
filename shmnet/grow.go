package shmnet

import (
	"fmt"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

const (
	// growAfter is how often the ring was full before a greater one is
	// offered, and growBy how much greater that is.
	growAfter = 4
	growBy    = 4
)

// grower is what a sender knows of rings beside the first one (spec/shmnet.md,
// section 6).
type grower struct {
	most    int64   // the greatest ring that the receiver accepts; 0 for none
	full    int     // how often there was no room
	offers  uint32  // made
	pending *memory // offered and not moved to yet
	moves   uint32  // made
	ring    *memory // in use; nil for the first one
}

// next is the size of the ring to offer now, or 0. more is how much is left to
// send. It is called when there is no room.
func (s *sender) next(more int64) int64 {
	g, size := &s.grow, int64(s.size())
	if g.full++; g.pending != nil || size >= g.most {
		return 0
	}
	if g.full < growAfter && more <= size {
		return 0
	}
	if mem.LoadAcquire32(&s.receiver.Moved) != g.moves {
		return 0 // it has not followed us to this ring yet
	}
	n := size * growBy
	for n < more && n < g.most {
		n *= growBy
	}
	return min(n, g.most)
}

// answered reports whether the receiver has answered the last offer.
func (g *grower) answered(r *receiverLine) bool {
	return g.pending != nil && uint32(mem.LoadAcquire64(&r.Answer)>>1) == g.offers
}

// offered notes that m was sent, and shows it.
func (s *sender) offered(m *memory) (ring bool) {
	s.grow.pending, s.grow.full = m, 0
	s.grow.offers++
	mem.StoreRelease32(&s.sender.Offer, s.grow.offers)
	mem.FullFence()
	return s.sleeping()
}

// settle looks for the answer to an offer and moves to a ring that was
// accepted.
func (s *sender) settle() error {
	g := &s.grow
	if g.pending == nil {
		return nil
	}
	answer := mem.LoadAcquire64(&s.receiver.Answer)
	moved := mem.LoadAcquire32(&s.receiver.Moved)
	switch generation := answer >> 1; {
	case generation > uint64(g.offers):
		return fmt.Errorf("the peer answers offer %d of %d: %w", generation, g.offers, sys.ErrCorrupt)
	case generation < uint64(g.offers):
		return nil
	case answer&1 == 0:
		g.pending.release()
		g.pending, g.most = nil, 0 // never again
		return nil
	case moved != g.moves:
		// It had followed when the offer was made.
		return fmt.Errorf("the peer says that it followed %d moves of %d: %w", moved, g.moves, sys.ErrCorrupt)
	}
	old := g.ring
	s.move(g.pending, g.offers)
	g.pending = nil
	if old != nil {
		old.release()
	}
	return nil
}

// shrink moves back to the first ring, if everything was taken. It reports
// whether it did, and whether a bell is due.
func (s *sender) shrink() (done, ring bool, err error) {
	g := &s.grow
	if g.ring == nil || g.pending != nil {
		return g.ring == nil, false, nil
	}
	if err := s.refresh(); err != nil {
		return false, false, err
	}
	if s.head != s.tail || mem.LoadAcquire32(&s.receiver.Moved) != g.moves {
		return false, false, nil
	}
	old := g.ring
	s.move(nil, 0)
	old.release()
	mem.FullFence()
	return true, s.sleeping(), nil
}

// move goes on in another ring: that of m, or the first one.
//
// SYNC POINT: move. It meets receiver.refill.
func (s *sender) move(m *memory, generation uint32) {
	g := &s.grow
	g.ring, g.full = m, 0
	g.moves++
	mem.StoreRelease64(&s.sender.MoveAt, s.tail)
	mem.StoreRelease32(&s.sender.MoveTo, generation)
	mem.StoreRelease32(&s.sender.Moves, g.moves)
	s.data = s.base
	if m != nil {
		s.data = m.region.Bytes()
	}
	s.mask = uint64(len(s.data) - 1)
}

// answer tells the sender whether its offer was accepted, in the form of the
// memory that will be used. It reports whether a bell is due.
func (r *receiver) answer(m *memory) (ring bool) {
	r.answered++
	word := uint64(r.answered) << 1
	if m != nil {
		word |= 1
		r.next, r.nextAt = m, r.answered
	}
	mem.StoreRelease64(&r.receiver.Answer, word)
	mem.FullFence()
	return r.wake()
}

// hinted reports, once, that the sender says that an offer is on the socket.
func (r *receiver) hinted() bool {
	n := mem.LoadAcquire32(&r.sender.Offer)
	if n == r.hint {
		return false
	}
	r.hint = n
	return n != r.answered
}
