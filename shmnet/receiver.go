package shmnet

import (
	"fmt"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// receiver is the taking end of a direction. It is used by one goroutine at a
// time.
//
// Guarantee: whatever the other side writes, nothing outside the ring is
// read. Bytes that were taken are the sender's again.
//
// What it loads of the other side it loads once and checks against head and
// tail, which are private.
type receiver struct {
	lines
	ring *memory // what data belongs to; nil for the first ring
	data []byte
	mask uint64
	base []byte // the first ring

	head  uint64 // bytes taken
	tail  uint64 // bytes sent, as known, as far as they are in this ring
	told  uint64 // head as the sender can see it
	rung  uint32 // nap that was rung last
	nap   uint32 // our last one
	moved uint32 // moves followed

	answered uint32  // offers answered
	hint     uint32  // what the sender said of offers when we looked
	next     *memory // accepted and not moved to yet
	nextAt   uint32  // its generation
}

func newReceiver(l lines, base []byte) receiver {
	return receiver{lines: l, data: base, base: base, mask: uint64(len(base) - 1)}
}

func (r *receiver) size() uint64 { return r.mask + 1 }

// there is how many bytes can be taken, as known.
func (r *receiver) there() uint64 { return r.tail - r.head }

// followMost is how many moves one look can meet. The sender makes one when we
// have followed the one before, and it has one accepted ring to move to, and
// the first one before and after that; for another we have to accept first.
const followMost = 3

// refill looks how much was sent, when everything known is taken. It follows
// the sender to another ring.
//
// SYNC POINT: bytes, and move. They meet sender.publish and sender.move.
func (r *receiver) refill() error {
	for range followMost + 1 {
		tail := mem.LoadAcquire64(&r.sender.Tail)
		moves := mem.LoadAcquire32(&r.sender.Moves)
		if moves == r.moved {
			return r.extend(tail)
		}
		// The bytes before the move are in this ring, and tail may be older
		// than the move.
		at := mem.LoadAcquire64(&r.sender.MoveAt)
		to := mem.LoadAcquire32(&r.sender.MoveTo)
		if moves != r.moved+1 {
			return fmt.Errorf("the peer says that it moved %d times, and %d were followed: %w", moves, r.moved, sys.ErrCorrupt)
		}
		if err := r.extend(at); err != nil {
			return err
		}
		if r.head != at {
			return nil
		}
		if err := r.follow(moves, to); err != nil {
			return err
		}
	}
	return fmt.Errorf("the peer moves without end: %w", sys.ErrCorrupt)
}

// extend checks a new end of what is there, and believes it.
func (r *receiver) extend(tail uint64) error {
	n := tail - r.head
	if n > r.size() || n < r.tail-r.head {
		return fmt.Errorf("the peer says that %d bytes are there, after %d, in a ring of %d: %w", int64(n), r.tail-r.head, r.size(), sys.ErrCorrupt)
	}
	r.tail = tail
	return nil
}

// follow takes up another ring.
func (r *receiver) follow(moves, to uint32) error {
	old := r.ring
	switch {
	case to == 0:
		r.ring, r.data = nil, r.base
	case r.next != nil && to == r.nextAt:
		r.ring, r.data = r.next, r.next.region.Bytes()
		r.next = nil
	default:
		return fmt.Errorf("the peer says that it moved to ring %d, which was not accepted: %w", to, sys.ErrCorrupt)
	}
	r.mask = uint64(len(r.data) - 1)
	r.moved = moves
	mem.StoreRelease32(&r.receiver.Moved, moves)
	if old != nil {
		old.release()
	}
	return nil
}

// bytes gives what is there and stands in a row.
func (r *receiver) bytes() []byte {
	at := r.head & r.mask
	n := min(r.there(), r.size()-at)
	return r.data[at : at+n : at+n]
}

// get copies out as much as there is and p holds.
func (r *receiver) get(p []byte) int {
	at := r.head & r.mask
	n := min(uint64(len(p)), r.there())
	if first := r.size() - at; n > first {
		copy(p, r.data[at:])
		copy(p[first:], r.data[:n-first])
	} else {
		copy(p, r.data[at:at+n])
	}
	return int(n)
}

// take gives n bytes back to the sender, and reports whether a bell is due.
// The sender sees it when an eighth of the ring is free again, or all of it.
//
// SYNC POINT: room, and nap. They meet sender.refresh, and sender.arm.
func (r *receiver) take(n int) (ring bool) {
	r.head += uint64(n)
	if r.head != r.tail && r.head-r.told < r.size()/8 {
		return false
	}
	return r.tell()
}

// tell shows how much was taken.
func (r *receiver) tell() (ring bool) {
	mem.StoreFull64(&r.receiver.Head, r.head)
	r.told = r.head
	nap := mem.LoadAcquire32(&r.senderNap.Nap)
	if nap == 0 || nap == r.rung {
		return false
	}
	if want := mem.LoadAcquire64(&r.senderNap.Want); int64(r.head-want) < 0 {
		return false
	}
	r.rung = nap
	return true
}

// wake reports whether a sleeping sender is due a bell for something else
// than room. It was stored before, with a full fence.
func (r *receiver) wake() (ring bool) {
	nap := mem.LoadAcquire32(&r.senderNap.Nap)
	if nap == 0 || nap == r.rung {
		return false
	}
	r.rung = nap
	return true
}

// finished reports whether the sender has said that nothing comes any more.
// Tail is looked at again after it.
func (r *receiver) finished() bool { return mem.LoadAcquire32(&r.sender.Fin) != 0 }

// ready is the condition of a receiver that waits for bytes.
func (r *receiver) ready() bool {
	return mem.LoadAcquire64(&r.sender.Tail) != r.head ||
		mem.LoadAcquire32(&r.sender.Fin) != 0 ||
		mem.LoadAcquire32(&r.sender.Moves) != r.moved
}

// arm begins a nap.
//
// SYNC POINT: nap. It meets sender.sleeping.
func (r *receiver) arm() {
	if r.nap++; r.nap == 0 {
		r.nap = 1
	}
	mem.StoreRelease32(&r.receiverNap.Nap, r.nap)
	mem.FullFence()
}

// disarm ends a nap.
func (r *receiver) disarm() { mem.StoreRelease32(&r.receiverNap.Nap, 0) }

// shut says that no more is taken. It may be called while another goroutine
// takes.
func (l *lines) shut() (ring bool) {
	mem.StoreRelease32(&l.receiverNap.Shut, 1)
	mem.FullFence()
	return mem.LoadAcquire32(&l.senderNap.Nap) != 0
}
