package mapping_test

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

const rw = mapping.PROT_READ | mapping.PROT_WRITE

var page = os.Getpagesize()

// emulated tells whether another machine's code is run by qemu's user mode,
// which keeps the books of the address space itself.
var emulated = shmtest.Emulated()

// failer is what tests, rapid's checks and child processes have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// must fails unless err is nil.
func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mapped gives the mapping of a call that must succeed, and unmaps it when
// the test is over.
func mapped(t testing.TB) func(*mapping.Mapping, error) *mapping.Mapping {
	return func(m *mapping.Mapping, err error) *mapping.Mapping {
		t.Helper()
		must(t, err)
		t.Cleanup(func() { must(t, m.Unmap()) })
		return m
	}
}

// refused fails unless err is the module's error and unwraps to errno.
func refused(t failer, err error, errno syscall.Errno) {
	t.Helper()
	var e *sys.Error
	if !errors.As(err, &e) || !errors.Is(err, errno) {
		t.Fatalf("got %v, want an error that unwraps to %q", err, errno)
	}
	if e.Op == "" || e.Kind != "mapping" {
		t.Fatalf("the error %#v does not name its call", e)
	}
}

// notMapped is refused for calls that give a mapping.
func notMapped(t failer, m *mapping.Mapping, err error, errno syscall.Errno) {
	t.Helper()
	if err == nil {
		m.Unmap()
		t.Fatalf("a mapping was given, want %q", errno)
	}
	if m != nil {
		t.Fatal("a mapping beside an error")
	}
	refused(t, err, errno)
}

// tempFile gives an open file without a name, on the disk that holds
// temporary files, with text in it.
func tempFile(t failer, text []byte) *os.File {
	t.Helper()
	f, err := os.CreateTemp("", "mapping")
	must(t, err)
	must(t, os.Remove(f.Name()))
	_, err = f.Write(text)
	must(t, err)
	if t, ok := t.(testing.TB); ok {
		t.Cleanup(func() { f.Close() })
	}
	return f
}

// again opens the same file anew with another access mode.
func again(t failer, f *os.File, flags int) *os.File {
	t.Helper()
	g, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flags, 0)
	must(t, err)
	if t, ok := t.(testing.TB); ok {
		t.Cleanup(func() { g.Close() })
	}
	return g
}

func fd(f *os.File) int { return int(f.Fd()) }

// pages makes n pages, each filled with its number, from 1 on.
func pages(n int) []byte {
	b := make([]byte, n*page)
	for i := range b {
		b[i] = byte(i/page + 1)
	}
	return b
}

var farNext atomic.Uint64

// far gives an address with room for n bytes where nothing is mapped, in a
// part of the address space that neither the kernel nor the Go runtime uses
// by itself: holes that a test makes there stay holes, and nobody's memory is
// hit by a store that should fault.
func far(t failer, n int) uintptr {
	t.Helper()
	const start = 0x1100_0000_0000
	n = (n + 1<<30 - 1) >> 30 << 30
	addr := uintptr(start + farNext.Add(uint64(n)+1<<30) - uint64(n))
	// Somebody may have thought of the same address.
	m, err := mapping.PrivateAnonymous(n, mapping.PROT_NONE, &mapping.Options{Addr: addr, NoReserve: true})
	must(t, err)
	defer m.Unmap()
	if m.Addr() != addr {
		t.Fatalf("%#x is not free: the kernel gave %#x", addr, m.Addr())
	}
	return addr
}

// at are the options for a mapping exactly at addr, which is free.
func at(addr uintptr) *mapping.Options {
	if emulated {
		// qemu 7.2 does not know MAP_FIXED_NOREPLACE.
		return &mapping.Options{Addr: addr, Fixed: true}
	}
	return &mapping.Options{Addr: addr, NoReplace: true}
}

// fault runs f and gives the address of the memory fault that f makes.
func fault(f func()) (addr uintptr, faulted bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e, ok := recover().(interface{ Addr() uintptr }); ok {
			addr, faulted = e.Addr(), true
		}
	}()
	f()
	return
}

// A line of /proc/self/maps.
type line struct {
	start, end uintptr
	perms      string // "rw-p"
	offset     string // hexadecimal, 8 digits at least
	dev        string
	inode      uint64
	path       string
}

// maps gives the lines of /proc/self/maps that have something of the n bytes
// from addr on.
func maps(t failer, addr uintptr, n int) (lines []line) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	for s := range strings.Lines(string(text)) {
		f := strings.Fields(s)
		from, to, _ := strings.Cut(f[0], "-")
		l := line{perms: f[1], offset: f[2], dev: f[3], path: strings.Join(f[5:], " ")}
		l.start, l.end, l.inode = number(t, from, 16), number(t, to, 16), uint64(number(t, f[4], 10))
		if l.start < addr+uintptr(n) && addr < l.end {
			lines = append(lines, l)
		}
	}
	return lines
}

func number(t failer, s string, base int) uintptr {
	t.Helper()
	n, err := strconv.ParseUint(s, base, 64)
	must(t, err)
	return uintptr(n)
}

// isMapped tells whether anything is mapped at the page of addr.
func isMapped(addr uintptr) bool {
	return sys.Mincore(addr, uintptr(page), make([]byte, 1)) == nil
}
