package mem

import (
	"fmt"
	"os"
	"runtime/debug"
)

// Fault is the error for an access to a region that the kernel answered with
// SIGBUS or SIGSEGV: a page past the end of an object that was truncated, a
// page for which no memory is left, or a store to memory mapped read-only.
// Which of them it was the owner of the mapping finds out.
type Fault struct {
	Addr uintptr // the address that was touched
	Off  int64   // the same, counted from the start of the region
}

func (e *Fault) Error() string { return fmt.Sprintf("memory fault at offset %d", e.Off) }

// Guard runs fn and gives a *Fault when fn touches a page of r that cannot
// be touched. A fault anywhere else, and any other panic, goes on as it
// would without Guard. fn is left in the middle of its work then, as by a
// panic: its deferred calls run.
func (r Region) Guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			err = r.fault(p)
		}
	}()
	return fn()
}

// fault makes a *Fault of what recover gave, or panics again when the fault
// has nothing to do with this region.
func (r Region) fault(p any) error {
	if f, ok := p.(interface{ Addr() uintptr }); ok && r.Contains(f.Addr()) {
		return &Fault{Addr: f.Addr(), Off: int64(f.Addr() - r.Addr())}
	}
	panic(p)
}

// ReadAt copies from the region into p, at most to the region's end. After a
// fault, n counts the bytes before the page that could not be read, and
// those stand in p.
func (r Region) ReadAt(p []byte, off int64) (n int, err error) {
	return r.copy(p, r.b[off:], r.b[off:])
}

// WriteAt copies p into the region, at most to the region's end. After a
// fault, n counts the bytes before the page that could not be written, and
// those are in the region.
func (r Region) WriteAt(p []byte, off int64) (n int, err error) {
	return r.copy(r.b[off:], p, r.b[off:])
}

// copy copies src to dst, one of which is shared. What memmove did before a
// fault is not known, for it may begin at the end: so after a fault the copy
// is done again, page by page, up to the page that fails.
func (r Region) copy(dst, src, shared []byte) (n int, err error) {
	n, fault := r.guardedCopy(dst, src)
	if fault == nil {
		return n, nil
	}
	page := os.Getpagesize()
	whole := min(len(dst), len(src))
	for n = 0; n < whole; {
		step := min(page-int(address(shared)+uintptr(n))&(page-1), whole-n)
		if _, again := r.guardedCopy(dst[n:n+step], src[n:n+step]); again != nil {
			return n, again
		}
		n += step
	}
	// Whoever took the pages away has put them back meanwhile.
	return n, nil
}

func (r Region) guardedCopy(dst, src []byte) (n int, err *Fault) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			err = r.fault(p).(*Fault)
		}
	}()
	return copy(dst, src), nil
}
