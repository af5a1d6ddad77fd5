package topic

import (
	"math/bits"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

const (
	// readEvery is how long the clock is not read again, and how long the
	// processor's counter is compared with it before it is used at all.
	readEvery    = 50 * time.Microsecond
	measureFirst = time.Millisecond

	// exact bounds the two errors that a reading of the counter can have after
	// readEvery, to 1/exact of it each: that of its rate, and that of the moment
	// at which it was compared with the clock.
	exact = 128
)

// coarse is a clock for many readings. Reading the time takes longer than
// publishing a small sample, so it is read only now and then, and in between
// the processor's counter says how much time has passed. Where there is no
// such counter, or until its rate is known, every reading is one of the clock.
//
// What it gives is right to a microsecond, and never goes back unless the
// clock does.
type coarse struct {
	last  int64  // ns since 1970, read
	ticks uint64 // the counter then
	given int64  // given out last
	limit uint64 // how many ticks later the clock is read again; 0: always
	rate  uint64 // ns a tick, as a fixed-point number with 32 bits behind the point
	every uint64 // ticks in readEvery by that rate; 0: not known

	first      time.Time // when the counter was firstTicks, or up to firstGap more
	firstTicks uint64
	firstGap   uint64
}

// now gives the time, in ns since 1970, and whether the clock was read.
func (c *coarse) now() (ns int64, read bool) {
	ticks := mem.Ticks()
	passed := ticks - c.ticks
	if passed >= c.limit {
		return c.read(ticks), true
	}
	hi, lo := bits.Mul64(passed, c.rate)
	c.given = c.last + int64(hi<<32|lo>>32)
	return c.given, false
}

// read reads the clock between two readings of the counter. How far these are
// apart is how wrong it is at most to take the first for the moment at which
// the clock was read: the thread may have been put aside in between.
func (c *coarse) read(before uint64) int64 {
	t := time.Now()
	after := mem.Ticks()
	for try := 1; try < 4 && after-before > c.limit/exact && c.limit > 0; try++ {
		before, t, after = after, time.Now(), mem.Ticks()
	}
	now := t.UnixNano()
	if ahead := c.given - now; ahead > 0 && ahead < int64(time.Microsecond) {
		now = c.given
	}
	c.last, c.given, c.ticks = now, now, before
	if mem.HasTicks {
		c.calibrate(t, after-before)
	}
	return now
}

// calibrate finds the counter's rate, from when it was first looked at, in
// this second or the last, and decides whether it may be used until the next
// reading of the clock. gap is how many ticks this one took.
func (c *coarse) calibrate(t time.Time, gap uint64) {
	d, n := t.Sub(c.first), c.ticks-c.firstTicks
	switch {
	case c.first.IsZero() || c.every == 0 && gap < c.firstGap/4:
		c.begin(t, gap)
	case d < measureFirst:
	case n <= uint64(d)/1024 || n >= uint64(d)*1024:
		// A rate that cannot be is that of a counter that cannot be used: it
		// stands still, or goes back.
		c.every = 0
		c.begin(t, gap)
	case max(gap, c.firstGap) <= n/exact/2:
		c.rate, _ = bits.Div64(uint64(d)>>32, uint64(d)<<32, n)
		c.every = uint64(float64(n) / float64(d) * float64(readEvery))
	}
	if c.limit = 0; gap > c.every/exact {
		return
	}
	if c.limit = c.every; d > time.Second {
		c.begin(t, gap)
	}
}

func (c *coarse) begin(t time.Time, gap uint64) {
	c.first, c.firstTicks, c.firstGap = t, c.ticks, gap
}
