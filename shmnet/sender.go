package shmnet

import (
	"fmt"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// publishMost is how much is copied before it is shown: the other side works
// on it while the next piece is copied.
const publishMost = 32 << 10

// sender is the sending end of a direction. It is used by one goroutine at a
// time.
//
// Guarantee: whatever the other side writes, nothing outside the ring is
// touched, and no byte is overwritten that an honest receiver has not taken.
//
// It loads three words of the other side: head, its answer to offers, and its
// nap. Each is loaded once and checked against tail and head, which are
// private.
type sender struct {
	lines
	data []byte
	mask uint64

	tail uint64 // bytes sent
	head uint64 // bytes taken, as known; never goes back
	rung uint32 // nap that was rung last
	nap  uint32 // our last one
	base []byte // the first ring

	grow grower
}

func newSender(l lines, base []byte) sender {
	return sender{lines: l, data: base, base: base, mask: uint64(len(base) - 1)}
}

// size is that of the ring in use.
func (s *sender) size() uint64 { return s.mask + 1 }

// free is how many bytes fit, as known.
func (s *sender) free() uint64 { return s.size() - (s.tail - s.head) }

// refresh looks at how much was taken.
//
// SYNC POINT: room. It meets receiver.taken.
func (s *sender) refresh() error {
	head := mem.LoadAcquire64(&s.receiver.Head)
	if head-s.head > s.tail-s.head {
		return fmt.Errorf("the peer says that it took %d bytes of %d, after %d: %w", head, s.tail, s.head, sys.ErrCorrupt)
	}
	s.head = head
	return nil
}

// put copies as much of p as fits and is shown at once. The caller publishes.
func (s *sender) put(p []byte) int {
	at := s.tail & s.mask
	n := min(uint64(len(p)), s.free(), publishMost)
	if first := s.size() - at; n > first {
		mem.Copy(s.data[at:], p[:first])
		mem.Copy(s.data, p[first:n])
	} else {
		mem.Copy(s.data[at:], p[:n])
	}
	s.tail += n
	return int(n)
}

// space gives the free bytes that stand in a row.
func (s *sender) space() []byte {
	at := s.tail & s.mask
	n := min(s.free(), s.size()-at)
	return s.data[at : at+n : at+n]
}

// publish shows what was put, and reports whether a bell is due.
//
// SYNC POINT: bytes, and nap. They meet receiver.refill, and receiver.arm.
func (s *sender) publish() (ring bool) {
	mem.StoreFull64(&s.sender.Tail, s.tail)
	return s.sleeping()
}

// sleeping reports whether the receiver takes a nap that was not rung yet.
// What it shall see was stored before, with a full fence.
func (s *sender) sleeping() bool {
	nap := mem.LoadAcquire32(&s.receiverNap.Nap)
	if nap == 0 || nap == s.rung {
		return false
	}
	s.rung = nap
	return true
}

// refused reports whether the receiver takes no more.
func (s *sender) refused() bool { return mem.LoadAcquire32(&s.receiverNap.Shut) != 0 }

// finish says that nothing comes any more. It may be called while another
// goroutine sends.
func (l *lines) finish() (ring bool) {
	mem.StoreRelease32(&l.sender.Fin, 1)
	mem.FullFence()
	return mem.LoadAcquire32(&l.receiverNap.Nap) != 0
}

// wanted is the head at which a sender without room goes on: with a quarter
// of the ring free, so that it is not woken for each byte.
func (s *sender) wanted() uint64 { return s.tail - s.size() + s.size()/4 }

// ready is the condition of a sender that waits for room.
func (s *sender) ready() bool {
	return int64(mem.LoadAcquire64(&s.receiver.Head)-s.wanted()) >= 0 || s.refused() || s.grow.answered(s.receiver)
}

// arm begins a nap.
//
// SYNC POINT: nap. It meets receiver.taken.
func (s *sender) arm() {
	if s.nap++; s.nap == 0 {
		s.nap = 1
	}
	mem.StoreRelease64(&s.senderNap.Want, s.wanted())
	mem.StoreRelease32(&s.senderNap.Nap, s.nap)
	mem.FullFence()
}

// disarm ends a nap.
func (s *sender) disarm() { mem.StoreRelease32(&s.senderNap.Nap, 0) }
