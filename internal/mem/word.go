//go:build !race || (!amd64 && !arm64)

package mem

import "sync/atomic"

// LoadAcquire64 loads the word at p, and no later access moves before that.
func LoadAcquire64(p *uint64) uint64 { return atomic.LoadUint64(p) }

// LoadAcquire32 loads the word at p, and no later access moves before that.
func LoadAcquire32(p *uint32) uint32 { return atomic.LoadUint32(p) }

func swap32(p *uint32, v uint32) uint32 { return atomic.SwapUint32(p, v) }

func add32(p *uint32, n uint32) { atomic.AddUint32(p, n) }
