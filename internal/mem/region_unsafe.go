package mem

import (
	"sync/atomic"
	"unsafe"
)

// At gives the region of n bytes at addr, which a mapping call returned.
func At(addr uintptr, n int) Region {
	// The address comes from the kernel and lies outside Go's heap, so the
	// collector neither moves nor frees it; the double indirection states
	// that to vet, which can only see a number become a pointer.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&addr))
	return Region{unsafe.Slice((*byte)(p), n)}
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// Pointer gives the T at off, in place. T must satisfy CheckType.
func Pointer[T any](r Region, off int64) (*T, error) {
	var t T
	if err := CheckType[T](); err != nil {
		return nil, err
	}
	if err := r.Check(off, unsafe.Sizeof(t), unsafe.Alignof(t)); err != nil {
		return nil, err
	}
	return (*T)(unsafe.Pointer(&r.b[off])), nil
}

// Slice gives the n values of type T from off on, in place. T must satisfy
// CheckType.
func Slice[T any](r Region, off int64, n int) ([]T, error) {
	var t T
	if err := CheckType[T](); err != nil {
		return nil, err
	}
	size := unsafe.Sizeof(t)
	if n < 0 || uint64(n) > uint64(r.Len())/uint64(size) {
		return nil, &CountError{Off: off, Count: n, Size: size, Len: int64(r.Len())}
	}
	if err := r.Check(off, uintptr(n)*size, unsafe.Alignof(t)); err != nil {
		return nil, err
	}
	if n == 0 {
		return []T{}, nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&r.b[off])), n), nil
}

// Word is what the processor can read and write at once, as sync/atomic has
// it.
type Word interface {
	atomic.Int32 | atomic.Uint32 | atomic.Int64 | atomic.Uint64
}

// Atomic gives the word at off, in place.
func Atomic[W Word](r Region, off int64) (*W, error) {
	var w W
	// Natural alignment, whatever Go thinks of 8-byte words on the machine:
	// the other side is another program.
	if err := r.Check(off, unsafe.Sizeof(w), unsafe.Sizeof(w)); err != nil {
		return nil, err
	}
	return (*W)(unsafe.Pointer(&r.b[off])), nil
}
