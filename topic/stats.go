package topic

import (
	"runtime/debug"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// PublisherStats count what a topic's publishers have done, since the topic
// was made.
type PublisherStats struct {
	Published   uint64 // samples
	Bytes       uint64 // of their payloads
	Holes       uint64 // numbers that were passed over or taken back
	Demoted     uint64 // times that a subscriber lost its right to be waited for
	Evicted     uint64 // subscribers that died or left
	Wakes       uint64 // times that somebody slept and was woken
	Waits       uint64 // times that this publisher waited for a subscriber
	Subscribers int    // that are admitted now
}

// Stats counts what the topic's publishers have done. After Close it is what
// it was then.
func (p *Publisher) Stats() PublisherStats {
	p.enter()
	defer p.leave()
	if p.closed {
		return p.final
	}
	return p.stats()
}

func (p *Publisher) stats() PublisherStats {
	c := p.ring.counters
	st := PublisherStats{
		Published: c.published, Bytes: c.bytes, Holes: c.holes, Demoted: c.demoted,
		Evicted: c.evicted, Wakes: p.wakes + p.bell.rings(), Waits: c.waits,
	}
	for _, r := range p.readers {
		if r.admitted {
			st.Subscribers++
		}
	}
	return st
}

// SubscriberStats count what a subscriber has done.
type SubscriberStats struct {
	Taken  uint64 // samples
	Lost   uint64 // samples that were overwritten before they were taken
	Copied uint64 // of the taken, how many were copies
	Sleeps uint64 // times that it waited
	Lag    uint64 // numbers published and not taken yet
	Held   int    // samples held now
}

// Stats counts what the subscriber has done. An observer counts only Lag.
func (s *Subscriber) Stats() (st SubscriberStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return st
	}
	defer s.caught(debug.SetPanicOnFault(true), "stats", new(error))
	if c := s.stats; c != nil {
		st = SubscriberStats{Taken: c.taken, Lost: c.lost, Copied: c.copied, Sleeps: c.sleeps, Held: s.holding()}
	}
	if head := mem.LoadAcquire64(s.ring.head); head > s.at {
		st.Lag = head - s.at
	}
	return st
}

// Options gives the topic as it is made.
func (s *Subscriber) Options() Options {
	c := &s.config
	return Options{
		Size: int(c.Capacity), Slots: int(c.Slots), Subscribers: c.Subscribers, Held: c.Held,
		Policy: Policy(c.Policy), Align: int(c.PayloadAlign), Patience: c.Patience,
		Sharing: Sharing(s.sharing), Type: c.TypeName, TypeHash: c.TypeHash,
	}
}
