//go:build !race

package mem

import (
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/point"
)

// StoreFull64 stores v at p, and nothing moves across that in either
// direction: StoreRelease64 and FullFence in one locked instruction.
func StoreFull64(p *uint64, v uint64) {
	if point.On {
		pass(p)
	}
	atomic.StoreUint64(p, v)
}
