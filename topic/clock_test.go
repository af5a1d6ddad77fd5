package topic

import (
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// TestCoarse holds the clock of samples to the clock of the machine.
func TestCoarse(t *testing.T) {
	var c coarse
	holdClock(t, &c)
}

// TestCoarseInterrupted: a thread that was put aside during the first reading
// makes the clock no less right.
func TestCoarseInterrupted(t *testing.T) {
	if !mem.HasTicks {
		t.Skip("there is no counter that could be wrong")
	}
	var c coarse
	before := mem.Ticks()
	for start := time.Now(); time.Since(start) < 300*time.Microsecond; {
	}
	c.first, c.firstTicks = time.Now(), before
	c.firstGap = mem.Ticks() - before
	holdClock(t, &c)
	for end := time.Now().Add(10 * time.Second); c.limit == 0; c.now() {
		if time.Now().After(end) {
			t.Fatal("the counter is not used again")
		}
	}
}

func holdClock(t *testing.T, c *coarse) {
	reads, readings, far := 0, 0, 0
	last := int64(0)
	for end := time.Now().Add(50 * time.Millisecond); ; readings++ {
		before := time.Now().UnixNano()
		got, read := c.now()
		after := time.Now()
		if after.After(end) {
			break
		}
		if read {
			reads++
		}
		if got < last {
			t.Fatalf("went back by %d ns", last-got)
		}
		last = got
		// A thread that is put aside in between makes no error: it is within.
		if got < before-1000 || got > after.UnixNano()+1000 {
			far++
			t.Logf("%d ns before, %d ns after", before-got, got-after.UnixNano())
		}
	}
	t.Logf("%d readings, %d of the clock, %d ticks in %v", readings, reads, c.limit, readEvery)
	if far > 0 {
		t.Errorf("%d of %d readings were off by more than a microsecond", far, readings)
	}
}

func BenchmarkCoarse(b *testing.B) {
	var c coarse
	for range b.N {
		c.now()
	}
}
