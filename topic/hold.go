package topic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// admitted reports whether number c may be read in place: the publisher has
// answered us, and watches our pins from a number on that is not past c. The
// whole ID is compared once for every generation of the entry's state; after
// that the state alone tells.
func (s *Subscriber) admitted(c uint64) bool {
	if s.member == nil {
		return false
	}
	if s.entry != nil && mem.LoadAcquire64(&s.entry.state) == s.state {
		return c >= s.from
	}
	return s.findEntry() && c >= s.from
}

// findEntry looks for our line in the table, and asks again when we had one
// and lost it.
func (s *Subscriber) findEntry() bool {
	s.entry = nil
	for i := range s.ring.table {
		e := &s.ring.table[i]
		state := mem.LoadAcquire64(&e.state)
		if state&3 == stateFree {
			continue
		}
		id, from := e.id, e.from
		mem.LoadFence()
		if mem.LoadAcquire64(&e.state) != state || id != s.member.ID {
			continue
		}
		if state&3 != stateAdmitted {
			// Lapped, perhaps before we ever saw that we were admitted: what
			// we asked was answered, so we have to ask again, once for every
			// time.
			if state != s.demoted {
				s.demoted, s.asked = state, 0
			}
			break
		}
		// What was passed over before we knew is not promised.
		s.entry, s.state, s.from = e, state, max(from, s.at)
		s.asked = 0
		return true
	}
	if s.asked == 0 {
		s.asked = *s.ask + 1
		mem.StoreRelease64(s.ask, s.asked)
		s.bell.ring()
	}
	return false
}

// buffer gives memory for a copy of n bytes.
func (s *Subscriber) buffer(n int) []byte { return make([]byte, 0, n) }

// count keeps the books of a sample that was taken.
func (s *Subscriber) count(m *Sample) {
	if s.seqKnown && m.Seq > s.nextSeq {
		m.Missed = m.Seq - s.nextSeq
	}
	s.nextSeq, s.seqKnown = m.Seq+1, true
	if s.stats == nil {
		return
	}
	mem.Add(&s.stats.taken, 1)
	mem.Add(&s.stats.lost, m.Missed)
	if m.pin < 0 {
		mem.Add(&s.stats.copied, 1)
	}
}

// empty says why there is no sample now.
func (s *Subscriber) empty(head uint64) error {
	if end := mem.LoadAcquire64(s.ring.end); end != 0 && end-1 <= s.at {
		return io.EOF
	}
	return ErrEmpty
}

// sleep waits until there may be a sample, or no hope of one.
func (s *Subscriber) sleep(ctx context.Context) error {
	s.mu.Lock()
	at := s.at // it only grows: who looks with an old one looks once too often
	if s.stats != nil && !s.closed {
		if sleeps, ok := mem.TryLoad(&s.stats.sleeps); ok {
			mem.TryStore(&s.stats.sleeps, sleeps+1)
		}
	}
	s.mu.Unlock()
	if !s.waits.Enter() {
		return s.fail("next", shm.ErrClosed)
	}
	defer s.waits.Leave()
	g, looks := s.ring, 0
	err := s.sleeper.Wait(ctx, func() bool {
		if mem.LoadAcquire64(g.head) > at || s.closing.Load() || s.hopeless() {
			return true
		}
		if s.opts.Wait == Spin {
			// Who never sleeps never passes by the look on the way to it.
			if looks++; looks%spinLook == 0 {
				s.lookOut()
			}
		}
		// An end that is not reached yet is nothing to wake up for: a
		// publisher that lies about it would have us run in circles.
		end := mem.LoadAcquire64(g.end)
		return end != 0 && end-1 <= at
	})
	var fault *mem.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault):
		err = fmt.Errorf("byte %d of data: %w", fault.Off, ErrTruncated)
	}
	return s.fail("next", err)
}

// hopeless reports whether nothing will come, as far as is known.
func (s *Subscriber) hopeless() bool {
	o := &s.outlook
	return o.removed.Load() != nil || s.opts.OwnerGone > 0 && o.dead.Load() >= int64(s.opts.OwnerGone)
}

// noHope looks again, if the last look was long ago, and says why nothing
// will come; nil if something may.
func (s *Subscriber) noHope() error {
	if !s.waits.Enter() {
		return s.fail("next", shm.ErrClosed)
	}
	defer s.waits.Leave()
	s.lookOut()
	if err := s.outlook.removed.Load(); err != nil {
		return err
	}
	if !s.hopeless() {
		return nil
	}
	dead := time.Duration(s.outlook.dead.Load()).Round(time.Millisecond)
	return &shm.Error{
		Op: "next", Kind: "topic", Name: topicdir.Address(s.peer.Name()),
		Err:  fmt.Errorf("it has had no publisher for %v: %w", dead, ErrOwnerDied),
		Hint: "start the publisher again: it goes on where the last one ended",
	}
}

func (s *Subscriber) fail(op string, err error) error {
	return opError(op, s.peer.Name(), err)
}

// wakePublisher wakes a publisher that waits for this subscriber's cursor.
func (s *Subscriber) wakePublisher() {
	sys.FutexWake(s.member.Region.Addr()+topicdir.MemberCursor, 1)
}
