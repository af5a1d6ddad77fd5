package topic

import (
	"fmt"
	"runtime/debug"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
)

// latestTries bounds Latest against a publisher that is faster than one copy.
const latestTries = 100

// Latest gives a copy of the newest sample, whatever was taken before, and
// takes nothing. ErrEmpty: there is none.
func (s *Subscriber) Latest() (m Sample, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Sample{}, s.fail("latest", shm.ErrClosed)
	}
	defer s.caught(debug.SetPanicOnFault(true), "latest", &err)
	for range latestTries {
		head := mem.LoadAcquire64(s.ring.head)
		if head == 0 {
			return Sample{}, ErrEmpty
		}
		// Holes are shown only with the sample after them, so the newest
		// number is a sample unless it was taken back.
		for c := head; c > 0 && head-c < s.ring.slots; {
			c--
			h := s.ring.headers.At(c & s.ring.mask)
			st := stamp(mem.LoadAcquire64(&h.stamp))
			if st.kind() == kindHole && st.number() == c {
				continue
			}
			if !s.believe(st, c) {
				break
			}
			m, ok := s.sample(h, c, -1)
			if ok {
				m.Data = append([]byte(nil), m.Data...)
			}
			mem.LoadFence()
			if stamp(mem.LoadAcquire64(&h.stamp)) != st {
				break
			}
			if !ok {
				return Sample{}, s.tooLong("latest", c)
			}
			return m, nil
		}
	}
	return Sample{}, s.fail("latest", fmt.Errorf("the publisher overwrites faster than this process copies: %w", ErrEmpty))
}
