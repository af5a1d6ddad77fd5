package mem

import (
	"fmt"
	"os"
	"syscall"
)

// Region is a range of memory, mapped or from the heap. The zero Region is
// empty. A Region does not own its memory: it is valid for as long as
// whoever made it keeps the mapping.
type Region struct {
	b []byte
}

// Heap gives a zeroed region of n bytes in Go's own memory, aligned to 64
// bytes at least.
func Heap(n int) Region {
	b := make([]byte, n+63)
	skip := int(-address(b) & 63)
	return Region{b[skip : skip+n : skip+n]}
}

// Bytes gives the region itself, not a copy.
func (r Region) Bytes() []byte { return r.b }

// Len is the size in bytes.
func (r Region) Len() int { return len(r.b) }

// Addr is the address of the first byte.
func (r Region) Addr() uintptr { return address(r.b) }

// Contains reports whether addr lies in the pages that hold the region.
func (r Region) Contains(addr uintptr) bool {
	if len(r.b) == 0 {
		return false
	}
	page := uintptr(os.Getpagesize())
	first := r.Addr() &^ (page - 1)
	end := (r.Addr() + uintptr(len(r.b)) + page - 1) &^ (page - 1)
	return addr >= first && addr < end
}

// Check refuses a range of size bytes at off that is not wholly inside the
// region, or whose address is not a multiple of align (a power of two).
func (r Region) Check(off int64, size, align uintptr) error {
	n := int64(len(r.b))
	if off < 0 || off > n || uint64(size) > uint64(n-off) {
		return &BoundsError{Off: off, Size: size, Len: n}
	}
	if (r.Addr()+uintptr(off))&(align-1) != 0 {
		return &AlignError{Off: off, Align: align}
	}
	return nil
}

// Slice gives the part of the region from off with n bytes.
func (r Region) Slice(off int64, n int) (Region, error) {
	if n < 0 {
		return Region{}, &BoundsError{Off: off, Size: uintptr(n), Len: int64(len(r.b))}
	}
	if err := r.Check(off, uintptr(n), 1); err != nil {
		return Region{}, err
	}
	return Region{r.b[off : off+int64(n) : off+int64(n)]}, nil
}

// BoundsError tells of a range that is not inside its region. It is EINVAL.
type BoundsError struct {
	Off  int64
	Size uintptr
	Len  int64
}

func (e *BoundsError) Error() string {
	return fmt.Sprintf("%d bytes at offset %d do not fit into %d bytes", e.Size, e.Off, e.Len)
}

func (e *BoundsError) Unwrap() error { return syscall.EINVAL }

// AlignError tells of an offset that the type cannot stand at. It is EINVAL.
type AlignError struct {
	Off   int64
	Align uintptr
}

func (e *AlignError) Error() string {
	return fmt.Sprintf("offset %d is not aligned to %d bytes", e.Off, e.Align)
}

func (e *AlignError) Unwrap() error { return syscall.EINVAL }

// Of makes a region of bytes that a mapping call returned.
func Of(b []byte) Region { return Region{b} }
