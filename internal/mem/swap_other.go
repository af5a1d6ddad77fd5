//go:build race || !amd64

package mem

// StoreFull64 stores v at p, and nothing moves across that in either
// direction.
func StoreFull64(p *uint64, v uint64) {
	StoreRelease64(p, v)
	FullFence()
}
