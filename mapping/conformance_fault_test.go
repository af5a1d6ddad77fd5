package mapping_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// fatal is an access that the kernel answers with a signal.
type fatal struct {
	row    string
	name   string
	signal syscall.Signal
	store  bool
	// prepare gives the bytes, the offset of the one to touch, and a function
	// that tidies up, or nil.
	prepare func(t failer) (b []byte, off int, done func())
}

var fatals = []fatal{
	{"MM-005", "read", syscall.SIGSEGV, false, func(t failer) ([]byte, int, func()) {
		return file(t, pages(1), page, mapping.PROT_NONE)
	}},
	{"MM-012", "second-page", syscall.SIGBUS, false, func(t failer) ([]byte, int, func()) {
		return touching(file(t, pages(1)[:page/2], 2*page, rw))(page)
	}},
	{"MM-033", "read", syscall.SIGBUS, false, func(t failer) ([]byte, int, func()) {
		return touching(object(t, page/2, 2*page))(page)
	}},
	{"MM-033", "store", syscall.SIGBUS, true, func(t failer) ([]byte, int, func()) {
		return touching(object(t, page/2, 3*page))(3*page - 1)
	}},
	{"MM-051", "store", syscall.SIGSEGV, true, func(t failer) ([]byte, int, func()) {
		return file(t, pages(1), page, mapping.PROT_READ)
	}},
	{"MM-053", "store", syscall.SIGSEGV, true, func(t failer) ([]byte, int, func()) {
		return file(t, pages(1), page, mapping.PROT_NONE)
	}},
	{"MM-063", "store-in-the-second-page", syscall.SIGSEGV, true, func(t failer) ([]byte, int, func()) {
		return touching(cut(t))(page)
	}},
	{"MM-063", "store-at-the-end", syscall.SIGSEGV, true, func(t failer) ([]byte, int, func()) {
		return touching(cut(t))(2*page - 1)
	}},
	{"MM-064", "store-in-the-first-page", syscall.SIGSEGV, true, func(t failer) ([]byte, int, func()) {
		return cut(t)
	}},
	{"MM-086", "past-the-end", syscall.SIGBUS, false, func(t failer) ([]byte, int, func()) {
		return touching(file(t, pages(1), 3*page, mapping.PROT_READ))(page)
	}},
	{"MM-086", "wholly-past-the-end", syscall.SIGBUS, false, func(t failer) ([]byte, int, func()) {
		f := tempFile(t, pages(1))
		defer f.Close()
		m, err := mapping.SharedFile(fd(f), int64(4*page), page, rw, nil)
		must(t, err)
		return m.Bytes(), 0, func() { must(t, m.Unmap()) }
	}},
	{"MM-106", "SIGBUS-read", syscall.SIGBUS, false, func(t failer) ([]byte, int, func()) {
		return touching(truncated(t))(page + 17)
	}},
	{"MM-106", "SIGBUS-write", syscall.SIGBUS, true, func(t failer) ([]byte, int, func()) {
		return touching(truncated(t))(page + 17)
	}},
	{"MM-106", "SIGSEGV-read-only", syscall.SIGSEGV, true, func(t failer) ([]byte, int, func()) {
		return file(t, pages(1), page, mapping.PROT_READ)
	}},
	{"MM-106", "SIGSEGV-unmapped", syscall.SIGSEGV, false, func(t failer) ([]byte, int, func()) {
		return cut(t)
	}},
	{"MM-109", "slice-after-unmap", syscall.SIGSEGV, false, func(t failer) ([]byte, int, func()) {
		m, err := mapping.SharedAnonymous(page, rw, at(far(t, page)))
		must(t, err)
		b := m.Bytes()
		must(t, m.Unmap())
		if m.Bytes() != nil {
			t.Fatal("Bytes gives unmapped memory")
		}
		return b, 5, nil
	}},
	{"MM-017", "blocked", syscall.SIGSEGV, true, func(t failer) ([]byte, int, func()) {
		below, stack, b := growsDown(t)
		// Something less than the guard gap (256 pages) below blocks it.
		block, err := mapping.PrivateAnonymous(page, rw, at(below.Addr()-uintptr(4*page)))
		must(t, err)
		return b, len(b) - 1, func() {
			must(t, block.Unmap())
			must(t, stack.Unmap())
		}
	}},
}

func touching(b []byte, _ int, done func()) func(int) ([]byte, int, func()) {
	return func(off int) ([]byte, int, func()) { return b, off, done }
}

// file maps length bytes of a file that contains text, shared.
func file(t failer, text []byte, length, prot int) ([]byte, int, func()) {
	t.Helper()
	f := tempFile(t, text)
	defer f.Close()
	m, err := mapping.SharedFile(fd(f), 0, length, prot, nil)
	must(t, err)
	return m.Bytes(), 0, func() { must(t, m.Unmap()) }
}

// object maps length bytes of a shared memory object of size bytes.
func object(t failer, size, length int) ([]byte, int, func()) {
	t.Helper()
	name := fmt.Sprintf("/mapping-fault-%d", os.Getpid())
	o, err := posix.CreateSized(name, int64(size), 0o600, nil)
	must(t, err)
	defer o.Close()
	must(t, posix.Unlink(name, nil))
	m, err := mapping.SharedFile(o.FD(), 0, length, rw, nil)
	must(t, err)
	if m.Bytes()[page-1] != 0 {
		t.Fatal("the rest of the last page is not zero")
	}
	return m.Bytes(), 0, func() { must(t, m.Unmap()) }
}

// cut gives the bytes of two pages that were unmapped with the length of a
// page and a byte.
func cut(t failer) ([]byte, int, func()) {
	t.Helper()
	m, err := mapping.SharedAnonymous(2*page, rw, at(far(t, 4*page)))
	must(t, err)
	b := m.Bytes()
	must(t, m.UnmapRange(0, page+1))
	if lines := maps(t, m.Addr(), 2*page); len(lines) != 0 {
		t.Fatalf("still mapped: %+v", lines)
	}
	return b, 0, nil
}

// truncated maps two pages of a file that is then cut to one.
func truncated(t failer) ([]byte, int, func()) {
	t.Helper()
	f := tempFile(t, pages(2))
	defer f.Close()
	m, err := mapping.SharedFile(fd(f), 0, 2*page, rw, nil)
	must(t, err)
	if m.Bytes()[page+17] != 2 {
		t.Fatal("the file's bytes are not there")
	}
	must(t, f.Truncate(int64(page)))
	return m.Bytes(), 0, func() { must(t, m.Unmap()) }
}

// growsDown maps a stack of one page, and gives it and the page below it,
// which is not mapped.
func growsDown(t failer) (below mem.Region, stack *mapping.Mapping, b []byte) {
	t.Helper()
	addr := far(t, 4096*page) + uintptr(2048*page)
	stack, err := mapping.Mmap(addr, page, rw, mapping.MAP_PRIVATE|mapping.MAP_ANONYMOUS|mapping.MAP_GROWSDOWN|mapping.MAP_FIXED, -1, 0)
	must(t, err)
	below = mem.At(addr-uintptr(page), page)
	return below, stack, below.Bytes()
}

func (f *fatal) touch(b []byte, off int) {
	if f.store {
		b[off] = 1
		return
	}
	runtime.KeepAlive(read(b, off))
}

//go:noinline
func read(b []byte, off int) byte { return b[off] }

func init() {
	shmtest.Handle("touch", func(c *shmtest.Child) {
		i := slices.IndexFunc(fatals, func(f fatal) bool { return f.row+"/"+f.name == c.Args[0] })
		b, off, _ := fatals[i].prepare(c)
		c.Send("%#x", mem.Of(b).Addr()+uintptr(off))
		fatals[i].touch(b, off)
		c.Send("survived")
	})
}

// TestConformanceFaults asserts for each access that it ends a Go program by
// the right signal at the right address, and that a goroutine that has called
// debug.SetPanicOnFault gets a runtime.Error with that address instead.
func TestConformanceFaults(t *testing.T) {
	for _, f := range fatals {
		t.Run(f.row+"/"+f.name, func(t *testing.T) {
			if f.row == "MM-017" && emulated {
				t.Skip("qemu's user mode does not grow mappings downwards")
			}
			if f.signal == syscall.SIGBUS && emulated {
				t.Skip("qemu's user mode does not tell the address of a SIGBUS")
			}
			b, off, done := f.prepare(t)
			if done != nil {
				defer done()
			}
			addr, faulted := fault(func() { f.touch(b, off) })
			if want := mem.Of(b).Addr() + uintptr(off); !faulted || addr != want {
				t.Errorf("fault %v at %#x, want one at %#x", faulted, addr, want)
			}

			p := shmtest.Start(t, "touch", f.row+"/"+f.name)
			where := p.Recv()
			if state := p.Exit(); state.ExitCode() != 2 {
				t.Errorf("the program ended with %v, want exit status 2", state)
			}
			text := p.Stderr()
			want := map[syscall.Signal]string{syscall.SIGBUS: "[signal SIGBUS: bus error", syscall.SIGSEGV: "[signal SIGSEGV: segmentation violation"}[f.signal]
			if !strings.Contains(text, want) || !strings.Contains(text, "addr="+where) {
				t.Errorf("the program did not end by %v at %s:\n%s", f.signal, where, text)
			}
		})
	}
}

func TestConformanceGrowsDown(t *testing.T) {
	t.Run("MM-017/free", func(t *testing.T) {
		if emulated {
			t.Skip("qemu's user mode does not grow mappings downwards")
		}
		below, stack, b := growsDown(t)
		for i := len(b) - 1; i >= 0; i-- {
			b[i] = byte(i)
		}
		lines := maps(t, below.Addr(), 2*page)
		if len(lines) != 1 || lines[0].start != below.Addr() {
			t.Errorf("it did not grow: %+v", lines)
		}
		must(t, stack.Unmap())
		// The Mapping is as long as asked for: what grew is not its own.
		if !isMapped(below.Addr()) {
			t.Error("Unmap went beyond the Mapping")
		}
		must(t, sys.Munmap(below.Addr(), uintptr(page)))
	})
}

// TestConformanceRuntimeError asserts the form of what a fault becomes.
func TestConformanceRuntimeError(t *testing.T) {
	t.Run("MM-106/runtime-error", func(t *testing.T) {
		if emulated {
			t.Skip("qemu's user mode does not tell the address of a SIGBUS")
		}
		b, _, done := truncated(t)
		defer done()
		err := mem.Of(b).Guard(func() error {
			defer func() {
				p := recover()
				e, ok := p.(runtime.Error)
				if !ok {
					t.Fatalf("recovered %T", p)
				}
				if !strings.Contains(e.Error(), "nil pointer dereference") {
					t.Errorf("text: %v", e)
				}
				// memmove may begin at any end.
				a := e.(interface{ Addr() uintptr }).Addr()
				if first := mem.Of(b).Addr(); a < first+uintptr(page) || a >= first+uintptr(2*page) {
					t.Errorf("address %#x, the mapping is at %#x", a, first)
				}
				panic(p)
			}()
			copy(make([]byte, 2*page), b[page:])
			return nil
		})
		if _, ok := err.(*mem.Fault); !ok {
			t.Errorf("the guard answered %v", err)
		}
	})
	t.Run("MM-107", func(t *testing.T) {
		b, _, done := truncated(t)
		defer done()
		out := tempFile(t, nil)
		if n, err := syscall.Write(fd(out), b[page:]); n != -1 || err != syscall.EFAULT {
			t.Errorf("write gave %d, %v", n, err)
		}
		// What can be read before the missing page is written.
		if n, err := syscall.Write(fd(out), b[page-10:]); n != 10 || err != nil {
			t.Errorf("write gave %d, %v", n, err)
		}
	})
}
