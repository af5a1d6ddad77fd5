//go:build race || !(amd64 || arm64)

package mem

import (
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/point"
)

// StoreRelease64 stores v at p, and no earlier access moves behind that.
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

// FullFence lets nothing move across it: what sync/atomic reads, changes and
// writes at once is ordered with everything before and after.
func FullFence() {
	var own uint32
	atomic.AddUint32(&own, 1)
}

// StoreFence lets no later store move before an earlier one.
func StoreFence() { FullFence() }

// StoreFenceNT is StoreFence for where the stores on either side may be
// non-temporal.
func StoreFenceNT() { FullFence() }

// LoadFence lets no later load move before an earlier one.
func LoadFence() { FullFence() }
