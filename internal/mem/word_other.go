//go:build !amd64 && !(arm64 && race)

package mem

import (
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/point"
)

// StoreRelease64 stores v at p, and no earlier access moves behind that.
// sync/atomic's stores are STLR on arm64.
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
