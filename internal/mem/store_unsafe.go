package mem

import (
	"unsafe"

	"github.com/seed-298b2b26/shm/internal/point"
)

// pass is called before each store to shared memory, which is what this
// package alone does: with the tag shmpoint a process can be ended there. Else
// nothing is left of it.
func pass[T any](p *T) {
	if point.On {
		point.Pass("store", uintptr(unsafe.Pointer(p)), unsafe.Sizeof(*p))
	}
}

func passBytes(b []byte) {
	if point.On && len(b) > 0 {
		point.Pass("store", address(b), uintptr(len(b)))
	}
}

// Store is the plain store *p = v, which nothing orders: the compiler and the
// processor may move it as far as the next fence.
func Store[T any](p *T, v T) {
	if point.On {
		pass(p)
	}
	*p = v
}

// Add is *p += n. It is for words that one thread writes and others only
// read, and is no more atomic than its two halves.
func Add(p *uint64, n uint64) {
	if point.On {
		pass(p)
	}
	*p += n
}

// Copy is copy(dst, src) into shared memory. What is killed meanwhile leaves
// any part of it done.
func Copy(dst, src []byte) int {
	if point.On {
		n := min(len(dst), len(src))
		passBytes(dst[:n/2])
		copy(dst[:n/2], src)
		passBytes(dst[n/2 : n])
	}
	return copy(dst, src)
}

// Swap32 puts v at p, gives what stood there, and nothing moves across it.
func Swap32(p *uint32, v uint32) uint32 {
	if point.On {
		pass(p)
	}
	return swap32(p, v)
}

// Add32 adds n to the word at p at once, and nothing moves across it.
func Add32(p *uint32, n uint32) {
	if point.On {
		pass(p)
	}
	add32(p, n)
}
