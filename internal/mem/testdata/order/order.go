// Package order is compiled, and its instructions are looked at, by
// TestCompilerKeepsOrder. Each constant stored says in which order it was
// written.
package order

import "github.com/seed-298b2b26/shm/internal/mem"

// Stores would keep its last store alone if nothing held the compiler back.
//
//go:noinline
func Stores(p, q *uint64) {
	*p = 0x101
	mem.StoreFence()
	*p = 0x102
	*q = 0x103
	mem.StoreRelease64(p, 0x104)
	mem.StoreRelease64(p, 0x105)
	mem.FullFence()
	*p = 0x106
	mem.StoreFenceNT()
	*p = 0x107
}

// Loads would load once if nothing held the compiler back.
//
//go:noinline
func Loads(p *uint64) (a, b, c, d uint64) {
	a = *p
	mem.LoadFence()
	b = *p
	mem.FullFence()
	c = *p
	d = mem.LoadAcquire64(p)
	return a, b, c, d
}

// Zeros would become one store of 16 bytes.
//
//go:noinline
func Zeros(p *[2]uint64) {
	mem.StoreRelease64(&p[0], 0)
	p[1] = 0
}
