//go:build !race

package mem

import (
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/point"
)

// still is read to hold the compiler back. Nobody writes it or its
// neighbours, so it stays in every core's cache.
var still struct {
	_    [128]byte
	word uint32
	_    [128]byte
}

// hold is a fence for the compiler alone.
func hold() { atomic.LoadUint32(&still.word) }

// StoreRelease64 stores v at p, and no earlier access moves behind that.
func StoreRelease64(p *uint64, v uint64) {
	if point.On {
		pass(p)
	}
	hold()
	*p = v
	hold() // else it could be found dead, or merged with a neighbour
}

// StoreRelease32 stores v at p, and no earlier access moves behind that.
func StoreRelease32(p *uint32, v uint32) {
	if point.On {
		pass(p)
	}
	hold()
	*p = v
	hold()
}

// FullFence lets nothing move across it, in neither direction. A locked
// instruction on the own stack takes half the time of MFENCE, and can be
// inlined.
func FullFence() {
	var own uint32
	atomic.StoreUint32(&own, 1)
}

// StoreFence lets no later store move before an earlier one. Neither does the
// processor, but for non-temporal stores: StoreFenceNT.
func StoreFence() { hold() }

// StoreFenceNT is StoreFence for where the stores on either side may be
// non-temporal, as copies of a mebibyte and more are.
func StoreFenceNT()

// LoadFence lets no later load move before an earlier one, which the
// processor does not do anyway.
func LoadFence() { hold() }
