package topic

import (
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

const (
	// precision is how much older than its publishing a sample's time may be.
	precision = time.Microsecond

	// measureFor is how long the processor's counter is compared with the
	// clock before it is used.
	measureFor = time.Millisecond
)

// coarse is a clock for many readings. Reading the time takes longer than
// publishing a small sample, so it is read again only when the processor's
// counter says that precision is over. Where there is no such counter, or
// until its rate is known, that is always.
type coarse struct {
	last  int64  // ns since 1970
	ticks uint64 // the counter when last was read
	limit uint64 // this many ticks pass in precision at least; 0: not known

	first      time.Time // when the counter was firstTicks
	firstTicks uint64
}

// now gives the time, and whether it was read just now.
func (c *coarse) now() (ns int64, fresh bool) {
	ticks := mem.Ticks()
	if ticks-c.ticks < c.limit {
		return c.last, false
	}
	return c.read(ticks), true
}

func (c *coarse) read(ticks uint64) int64 {
	t := time.Now()
	c.last, c.ticks = t.UnixNano(), ticks
	if c.limit != 0 || !mem.HasTicks {
		return c.last
	}
	if c.first.IsZero() {
		c.first, c.firstTicks = t, ticks
	} else if d := t.Sub(c.first); d >= measureFor {
		// A rate that cannot be is that of a counter that cannot be used: it
		// stands still, or went back.
		if perMicro := float64(ticks-c.firstTicks) / float64(d) * float64(precision); perMicro < 1<<20 {
			c.limit = uint64(perMicro)
		}
		c.first, c.firstTicks = t, ticks
	}
	return c.last
}
