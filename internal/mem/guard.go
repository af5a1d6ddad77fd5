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

// TryReadAt copies from the region into p, at most to the region's end, and
// reports whether that went well. If not, some of p may be overwritten, and
// ReadAt tells what was wrong. It never panics, so that what must be done
// after it needs no defer; that is worth a third of the time of a small copy.
func (r Region) TryReadAt(p []byte, off int64) (n int, ok bool) {
	n, caught := guardedCopy(p, r.b[off:])
	return n, caught == nil
}

// TryWriteAt is TryReadAt in the other direction.
func (r Region) TryWriteAt(p []byte, off int64) (n int, ok bool) {
	passBytes(r.b[off:])
	n, caught := guardedCopy(r.b[off:], p)
	return n, caught == nil
}

// ReadAt copies from the region into p, at most to the region's end. After a
// *Fault, n counts the bytes before the page that could not be read, and
// those stand in p. A fault elsewhere, in p, is panicked again.
func (r Region) ReadAt(p []byte, off int64) (n int, err error) {
	return r.copy(p, r.b[off:], r.b[off:])
}

// WriteAt copies p into the region, at most to the region's end. After a
// *Fault, n counts the bytes before the page that could not be written, and
// those are in the region. A fault elsewhere, in p, is panicked again.
func (r Region) WriteAt(p []byte, off int64) (n int, err error) {
	passBytes(r.b[off:])
	return r.copy(r.b[off:], p, r.b[off:])
}

// copy copies src to dst, one of which is shared. What memmove did before a
// fault is not known, for it may begin at the end: so after a fault the copy
// is done again, page by page, up to the page that fails.
func (r Region) copy(dst, src, shared []byte) (n int, err error) {
	n, caught := guardedCopy(dst, src)
	if caught == nil {
		return n, nil
	}
	r.fault(caught)
	page := os.Getpagesize()
	whole := min(len(dst), len(src))
	for n = 0; n < whole; {
		step := min(page-int(address(shared)+uintptr(n))&(page-1), whole-n)
		if _, caught = guardedCopy(dst[n:n+step], src[n:n+step]); caught != nil {
			return n, r.fault(caught)
		}
		n += step
	}
	// Whoever took the pages away has put them back meanwhile.
	return n, nil
}

// guardedCopy is copy, and gives what it panicked with.
func guardedCopy(dst, src []byte) (n int, caught any) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if n < 0 {
			n, caught = 0, recover()
		}
	}()
	n = -1
	return copy(dst, src), nil
}

// TryLoad copies the value at p, which is in a region, and reports whether
// that went well; Guard tells what was wrong otherwise. It never panics.
func TryLoad[T any](p *T) (v T, ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !ok {
			recover()
		}
	}()
	v = *p
	return v, true
}

// TryStore is TryLoad in the other direction.
func TryStore[T any](p *T, v T) (ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if !ok {
			recover()
		}
	}()
	pass(p)
	*p = v
	return true
}
