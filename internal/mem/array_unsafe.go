package mem

import "unsafe"

// Array is n values of type T that stand stride bytes apart in a region. It
// was checked when it was made; At checks only the index.
type Array[T any] struct {
	base   unsafe.Pointer
	stride uintptr
	n      uint64
}

// ArrayOf gives the array of n values from byte offset off on. T must satisfy
// CheckType, and off and stride be multiples of its alignment.
func ArrayOf[T any](r Region, off int64, stride uintptr, n uint64) (Array[T], error) {
	var t T
	if err := CheckType[T](); err != nil {
		return Array[T]{}, err
	}
	size, align := unsafe.Sizeof(t), unsafe.Alignof(t)
	if n == 0 || stride < size || stride&(align-1) != 0 || n > uint64(r.Len())/uint64(stride) {
		return Array[T]{}, &CountError{Off: off, Count: int(n), Size: stride, Len: int64(r.Len())}
	}
	if err := r.Check(off, stride*uintptr(n-1)+size, align); err != nil {
		return Array[T]{}, err
	}
	return Array[T]{unsafe.Pointer(&r.b[off]), stride, n}, nil
}

// Len is the number of values.
func (a Array[T]) Len() uint64 { return a.n }

// At is the value i, in place. It panics when i is not below Len.
func (a Array[T]) At(i uint64) *T {
	if i >= a.n {
		panic("mem: index out of range")
	}
	return (*T)(unsafe.Add(a.base, uintptr(i)*a.stride))
}
