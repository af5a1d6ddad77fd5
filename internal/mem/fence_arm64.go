//go:build !race

package mem

import (
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/point"
)

// StoreRelease64 stores v at p, and no earlier access moves behind that:
// sync/atomic's stores are STLR here.
func StoreRelease64(p *uint64, v uint64) {
	if point.On {
		pass(p)
	}
	atomic.StoreUint64(p, v)
}

// StoreRelease32 stores v at p, and no earlier access moves behind that.
func StoreRelease32(p *uint32, v uint32) {
	if point.On {
		pass(p)
	}
	atomic.StoreUint32(p, v)
}

// FullFence lets nothing move across it, in neither direction.
func FullFence()

// StoreFence lets no later store move before an earlier one.
func StoreFence()

// StoreFenceNT is StoreFence for where the stores on either side may be
// non-temporal.
func StoreFenceNT()

// LoadFence lets no later load, and no later store, move before an earlier
// load.
func LoadFence()
