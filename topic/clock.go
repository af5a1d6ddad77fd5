package topic

import (
	"math/bits"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

const (
	// readEvery is how long the clock is not read again, and how long the
	// processor's counter is compared with it before it is used at all. In
	// between a wrong rate, or one that changes, makes an error of some
	// nanoseconds.
	readEvery    = 50 * time.Microsecond
	measureFirst = time.Millisecond
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
	limit uint64 // ticks in readEvery; 0: not known
	rate  uint64 // ns a tick, as a fixed-point number with 32 bits behind the point

	first      time.Time // when the counter was firstTicks
	firstTicks uint64
	gap        uint64 // the fewest ticks that a reading of the clock took
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

// read reads the clock. What it gives belongs to a reading of the counter only
// if the thread was not put aside between the two.
func (c *coarse) read(before uint64) int64 {
	var t time.Time
	close := false
	for try := 0; try < 4 && !close; try++ {
		t = time.Now()
		after := mem.Ticks()
		gap := after - before
		if c.gap == 0 || gap < c.gap {
			c.gap = gap
		}
		close = gap <= 2*c.gap
		before, c.ticks = after, before
	}
	now := t.UnixNano()
	if ahead := c.given - now; ahead > 0 && ahead < int64(time.Microsecond) {
		now = c.given
	}
	c.last, c.given = now, now
	if !close || !mem.HasTicks {
		c.ticks -= c.limit // the next reading is one of the clock again
		return now
	}
	c.calibrate(t)
	return now
}

// calibrate finds the counter's rate, from when it was first looked at, in
// this second or the last.
func (c *coarse) calibrate(t time.Time) {
	d, n := t.Sub(c.first), c.ticks-c.firstTicks
	if d < measureFirst {
		return
	}
	// A rate that cannot be is that of a counter that cannot be used: it
	// stands still, or goes back, or was never looked at.
	c.limit = 0
	if n > uint64(d)/1024 && n < uint64(d)*1024 && !c.first.IsZero() {
		c.rate, _ = bits.Div64(uint64(d)>>32, uint64(d)<<32, n)
		c.limit = uint64(float64(n) / float64(d) * float64(readEvery))
	}
	if c.first.IsZero() || d > time.Second {
		c.first, c.firstTicks = t, c.ticks
	}
}
