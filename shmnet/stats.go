package shmnet

import (
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// Stats says what a connection has done.
type Stats struct {
	Plain bool // it fell back to a plain socket: nothing else is counted

	Sent, Received uint64 // bytes; what was received may lag a little
	Ring           int    // bytes of the ring that is sent through now

	Rings      uint64 // bells sent: system calls to wake the peer
	Naps       uint64 // times that the reader or the writer slept
	SpinHits   uint64 // spins that spared a nap
	SpinMisses uint64 // spins for nothing

	Offered  uint64 // greater rings offered to the peer
	Accepted uint64 // greater rings that the peer offered
	Refused  uint64 // rings that could not be had, or were refused
}

type counters struct {
	sent, received             atomic.Uint64 // when it was closed
	offered, accepted, refused atomic.Uint64
	ring                       atomic.Int64 // size of the one that is sent through
}

// Stats says what the connection has done so far.
func (c *Conn) Stats() Stats {
	if c.plain != nil {
		return Stats{Plain: true}
	}
	st := Stats{
		Sent: c.stats.sent.Load(), Received: c.stats.received.Load(),
		Rings: c.bell.rings.Load(), Naps: c.bell.naps.Load(),
		Offered: c.stats.offered.Load(), Accepted: c.stats.accepted.Load(), Refused: c.stats.refused.Load(),
	}
	for _, s := range []interface{ Counts() (hits, misses uint64) }{&c.in.spin, &c.out.spin} {
		hits, misses := s.Counts()
		st.SpinHits += hits
		st.SpinMisses += misses
	}
	c.bell.mu.Lock()
	defer c.bell.mu.Unlock()
	if !c.bell.closed {
		st.Sent = mem.LoadAcquire64(&c.out.sender.sender.Tail)
		st.Received = mem.LoadAcquire64(&c.in.receiver.receiver.Head)
		st.Ring = int(c.stats.ring.Load())
	}
	return st
}
