//go:build race && (amd64 || arm64)

package mem

import (
	"runtime"
	"unsafe"

	"github.com/seed-298b2b26/shm/internal/point"
)

// With -race, sync/atomic is the race detector's own code, in C and on the
// thread's own stack. It touches the word once from Go, where a fault can
// become a panic, and then again from C, where a fault ends the process: a
// peer that cuts its file short between the two would kill us, which
// TestGuardWords sees within a second. So words are loaded and stored here by
// instructions of our own, and the detector is told what that orders.

func load64(p *uint64) uint64
func load32(p *uint32) uint32
func store64(p *uint64, v uint64)
func store32(p *uint32, v uint32)
func exchange32(p *uint32, v uint32) uint32
func plus32(p *uint32, n uint32)

// LoadAcquire64 loads the word at p, and no later access moves before that.
func LoadAcquire64(p *uint64) uint64 {
	v := load64(p)
	runtime.RaceAcquire(unsafe.Pointer(p))
	return v
}

// LoadAcquire32 loads the word at p, and no later access moves before that.
func LoadAcquire32(p *uint32) uint32 {
	v := load32(p)
	runtime.RaceAcquire(unsafe.Pointer(p))
	return v
}

// StoreRelease64 stores v at p, and no earlier access moves behind that.
func StoreRelease64(p *uint64, v uint64) {
	if point.On {
		pass(p)
	}
	runtime.RaceRelease(unsafe.Pointer(p))
	store64(p, v)
}

// StoreRelease32 stores v at p, and no earlier access moves behind that.
func StoreRelease32(p *uint32, v uint32) {
	if point.On {
		pass(p)
	}
	runtime.RaceRelease(unsafe.Pointer(p))
	store32(p, v)
}

func swap32(p *uint32, v uint32) uint32 {
	runtime.RaceReleaseMerge(unsafe.Pointer(p))
	old := exchange32(p, v)
	runtime.RaceAcquire(unsafe.Pointer(p))
	return old
}

func add32(p *uint32, n uint32) {
	runtime.RaceReleaseMerge(unsafe.Pointer(p))
	plus32(p, n)
	runtime.RaceAcquire(unsafe.Pointer(p))
}
