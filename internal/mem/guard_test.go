package mem

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// mapped gives pages of anonymous memory.
func mapped(t testing.TB, pages int) Region {
	t.Helper()
	n := pages * os.Getpagesize()
	addr, err := sys.Mmap(0, uintptr(n), sys.PROT_READ|sys.PROT_WRITE, sys.MAP_PRIVATE|sys.MAP_ANONYMOUS, -1, 0)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Munmap(addr, uintptr(n)); err != nil {
			t.Error(err)
		}
	})
	return At(addr, n)
}

// protect changes what can be done with one page.
func protect(t testing.TB, r Region, page, prot int) {
	t.Helper()
	size := uintptr(os.Getpagesize())
	if err := sys.Mprotect(r.Addr()+uintptr(page)*size, size, prot); err != nil {
		t.Fatal(err)
	}
}

func TestGuardLetsOtherPanicsThrough(t *testing.T) {
	defer func() {
		if recover() != "mine" {
			t.Error("the panic was swallowed")
		}
	}()
	Heap(8).Guard(func() error { panic("mine") })
}

func TestGuard(t *testing.T) {
	page := os.Getpagesize()
	r := mapped(t, 3)
	protect(t, r, 1, sys.PROT_NONE)
	inner := errors.New("fn's own")
	if err := r.Guard(func() error { return inner }); err != inner {
		t.Error(err)
	}
	for _, off := range []int{page, page + 17, 2*page - 1} {
		deferred := false
		err := r.Guard(func() error {
			defer func() { deferred = true }()
			r.Bytes()[off]++
			t.Error("went on after a fault")
			return nil
		})
		var f *Fault
		if !errors.As(err, &f) || f.Off != int64(off) || f.Addr != r.Addr()+uintptr(off) || !deferred {
			t.Errorf("%d: %#v, deferred %v", off, err, deferred)
		}
	}
	// The setting is as before, on and off.
	for _, on := range []bool{true, false} {
		old := debug.SetPanicOnFault(on)
		r.Guard(func() error { r.Bytes()[page]++; return nil })
		r.TryReadAt(make([]byte, page+1), 0)
		TryLoad(&r.Bytes()[page])
		if now := debug.SetPanicOnFault(old); now != on {
			t.Errorf("panic on fault was %v and is %v", on, now)
		}
	}
}

// Guards of two regions, one in the other: each fault belongs to its own.
func TestGuardNested(t *testing.T) {
	a, b := mapped(t, 1), mapped(t, 1)
	protect(t, a, 0, sys.PROT_NONE)
	var inner error
	err := a.Guard(func() error {
		inner = b.Guard(func() error { a.Bytes()[5]++; return nil })
		t.Error("went on after a fault")
		return nil
	})
	var f *Fault
	if !errors.As(err, &f) || f.Off != 5 || inner != nil {
		t.Errorf("outer %v, inner %v", err, inner)
	}
	protect(t, b, 0, sys.PROT_NONE)
	protect(t, a, 0, sys.PROT_READ)
	err = a.Guard(func() error {
		inner = b.Guard(func() error { b.Bytes()[6]++; return nil })
		return nil
	})
	if err != nil || !errors.As(inner, &f) || f.Off != 6 {
		t.Errorf("outer %v, inner %v", err, inner)
	}
}

func TestGuardNil(t *testing.T) {
	defer func() {
		if _, ok := recover().(runtime.Error); !ok {
			t.Error("not panicked again")
		}
	}()
	var p *int
	mapped(t, 1).Guard(func() error { *p = 1; return nil })
}

func TestCopyUpToFault(t *testing.T) {
	page := os.Getpagesize()
	r := mapped(t, 4)
	protect(t, r, 2, sys.PROT_NONE)
	text := bytes.Repeat([]byte("0123456789abcdef"), 4*page/16)
	for _, off := range []int{0, 1, page - 1, page, page + 7, 2*page - 1} {
		n, err := r.WriteAt(text[off:], int64(off))
		var f *Fault
		// Which byte of the page was first is memmove's choice.
		if !errors.As(err, &f) || n != 2*page-off || f.Off/int64(page) != 2 {
			t.Errorf("write at %d: %d, %v", off, n, err)
		}
		b := make([]byte, 3*page)
		n, err = r.ReadAt(b, int64(off))
		if !errors.As(err, &f) || n != 2*page-off || f.Off/int64(page) != 2 || !bytes.Equal(b[:n], text[off:2*page]) {
			t.Errorf("read at %d: %d, %v", off, n, err)
		}
		if n, ok := r.TryReadAt(b, int64(off)); ok || n != 0 {
			t.Errorf("try at %d: %d, %v", off, n, ok)
		}
		if n, ok := r.TryWriteAt(text, int64(off)); ok || n != 0 {
			t.Errorf("try at %d: %d, %v", off, n, ok)
		}
		if n, ok := r.TryReadAt(b[:2*page-off], int64(off)); !ok || n != 2*page-off {
			t.Errorf("try at %d: %d, %v", off, n, ok)
		}
	}
	// Behind it all is well, and a short destination is no error.
	if n, err := r.WriteAt(text, int64(3*page)); n != page || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := r.ReadAt(make([]byte, 2*page), int64(3*page+1)); n != page-1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := r.ReadAt(nil, int64(2*page)); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := (&Fault{Off: 7}).Error(); !strings.Contains(got, "offset 7") {
		t.Error(got)
	}
}

// A fault in the caller's own bytes is not the region's.
func TestCopyFaultElsewhere(t *testing.T) {
	r, other := mapped(t, 1), mapped(t, 1)
	protect(t, other, 0, sys.PROT_NONE)
	for name, f := range map[string]func(){
		"read":  func() { r.ReadAt(other.Bytes(), 0) },
		"write": func() { r.WriteAt(other.Bytes(), 0) },
	} {
		func() {
			defer func() {
				if f, ok := recover().(interface{ Addr() uintptr }); !ok || !other.Contains(f.Addr()) {
					t.Errorf("%s: %v", name, f)
				}
			}()
			f()
		}()
	}
	if _, ok := r.TryReadAt(other.Bytes(), 0); ok {
		t.Error("it went well")
	}
}

func TestTryLoadStore(t *testing.T) {
	r := mapped(t, 1)
	p, err := Pointer[[4]uint64](r, 64)
	if err != nil {
		t.Fatal(err)
	}
	in := [4]uint64{1, 2, 3, 4}
	if !TryStore(p, in) {
		t.Error("not stored")
	}
	if out, ok := TryLoad(p); !ok || out != in {
		t.Errorf("%v, %v", out, ok)
	}
	protect(t, r, 0, sys.PROT_READ)
	if TryStore(p, in) {
		t.Error("stored where it cannot be")
	}
	protect(t, r, 0, sys.PROT_NONE)
	if _, ok := TryLoad(p); ok {
		t.Error("loaded what is not there")
	}
}

// TestGuardWords takes a page away under a loop that works on one word of it:
// whatever instruction it is at, the loop ends with an error.
func TestGuardWords(t *testing.T) {
	if os.Getenv("SHMTEST_EXEC") != "" {
		t.Skip("needs the address of a fault, which the emulator does not tell")
	}
	page := os.Getpagesize()
	fd, err := sys.MemfdCreate("shm-words", sys.MFD_CLOEXEC)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close(fd)
	cut := func(size int) {
		t.Helper()
		if err := sys.Ftruncate(fd, int64(size)); err != nil {
			t.Fatal(err)
		}
	}
	addr, err := sys.Mmap(0, uintptr(page), sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED, fd, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Munmap(addr, uintptr(page))
	r := At(addr, page)
	w32, err := Pointer[uint32](r, 0)
	if err != nil {
		t.Fatal(err)
	}
	w64, err := Pointer[uint64](r, 8)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range []struct {
		name string
		op   func()
	}{
		{"LoadAcquire32", func() { LoadAcquire32(w32) }},
		{"LoadAcquire64", func() { LoadAcquire64(w64) }},
		{"StoreRelease32", func() { StoreRelease32(w32, 1) }},
		{"StoreRelease64", func() { StoreRelease64(w64, 1) }},
		{"StoreFull64", func() { StoreFull64(w64, 1) }},
		{"Swap32", func() { Swap32(w32, 1) }},
		{"Add32", func() { Add32(w32, 1) }},
		{"Add", func() { Add(w64, 1) }},
		{"Store", func() { Store(w64, 1) }},
	} {
		t.Run(op.name, func(t *testing.T) {
			// On a busy machine a round can take its turn of the processor.
			for n, begun := 0, time.Now(); n < 50 || n < 1000 && time.Since(begun) < 200*time.Millisecond; n++ {
				cut(page)
				turning, ended := make(chan bool), make(chan error)
				go func() {
					ended <- r.Guard(func() error {
						op.op()
						close(turning)
						for {
							op.op()
						}
					})
				}()
				<-turning
				cut(0)
				var fault *Fault
				if err := <-ended; !errors.As(err, &fault) {
					t.Fatal(err)
				}
			}
		})
	}
}
