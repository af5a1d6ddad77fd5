package bench

import (
	"encoding/binary"
	"slices"
	"time"
)

// origin is what clock counts from.
var origin = time.Now()

// clock is the cheapest reading of time that there is in Go.
func clock() int64 { return int64(time.Since(origin)) }

// overhead is what reading the clock takes.
func overhead() int64 {
	d := make([]int64, 1001)
	for i := range d {
		t := clock()
		d[i] = clock() - t
	}
	slices.Sort(d)
	return d[len(d)/2]
}

// laps measures many short times. What the readings of the clock take is
// taken off.
type laps struct {
	d     []int64
	last  int64
	clock int64
}

func newLaps(n int) *laps { return newLapsOf(n, overhead()) }

// newLapsOf is for who measures overhead for several.
func newLapsOf(n int, overhead int64) *laps { return &laps{d: make([]int64, 0, n), clock: overhead} }

func (l *laps) begin() { l.last = clock() }

// lap ends a lap and begins the next.
func (l *laps) lap() {
	t := clock()
	l.d = append(l.d, t-l.last-l.clock)
	l.last = t
}

// quantiles gives the median, the 99th and the 99.9th percentile, exactly.
func quantiles(d []int64) (p50, p99, p999 float64) {
	if len(d) == 0 {
		return 0, 0, 0
	}
	slices.Sort(d)
	at := func(q float64) float64 { return float64(d[min(int(q*float64(len(d))), len(d)-1)]) }
	return at(0.5), at(0.99), at(0.999)
}

// median gives the one in the middle.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// sink keeps what was read alive.
//
//lint:ignore U1000 it is there to be written
var sink uint64

// read reads a sample as the cell wants it: all of it, or a touch. One
// goroutine of a process does.
func read(b []byte, touch bool) { sink += look(b, touch) }

// look is read for many goroutines, which keep alive what it gives.
func look(b []byte, touch bool) uint64 {
	if touch {
		return uint64(b[0])
	}
	return sum(b)
}

// sum reads every byte. It is as fast as Go's code gets without vectors.
func sum(b []byte) uint64 {
	var s0, s1, s2, s3 uint64
	for len(b) >= 64 {
		c := b[:64]
		s0 += binary.LittleEndian.Uint64(c[0:]) + binary.LittleEndian.Uint64(c[32:])
		s1 += binary.LittleEndian.Uint64(c[8:]) + binary.LittleEndian.Uint64(c[40:])
		s2 += binary.LittleEndian.Uint64(c[16:]) + binary.LittleEndian.Uint64(c[48:])
		s3 += binary.LittleEndian.Uint64(c[24:]) + binary.LittleEndian.Uint64(c[56:])
		b = b[64:]
	}
	for _, c := range b {
		s0 += uint64(c)
	}
	return s0 + s1 + s2 + s3
}
