package memfd_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

const (
	ro = mapping.PROT_READ
	wo = mapping.PROT_WRITE
	rw = mapping.PROT_READ | mapping.PROT_WRITE
)

var page = os.Getpagesize()

// emulated tells whether another machine's code is run by qemu's user mode.
var emulated = os.Getenv("SHMTEST_EXEC") != ""

// failer is what tests and child processes have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file gives the memfd of a call that must succeed, closed with the test.
func file(t testing.TB) func(*memfd.File, error) *memfd.File {
	return func(f *memfd.File, err error) *memfd.File {
		t.Helper()
		must(t, err)
		t.Cleanup(func() { must(t, f.Close()) })
		return f
	}
}

// sized gives memory of size bytes that can be sealed and has seals.
func sized(t testing.TB, size int64, seals memfd.Seals) *memfd.File {
	t.Helper()
	return file(t)(memfd.CreateSized(t.Name(), size, &memfd.Options{Seals: seals}))
}

// refused fails unless err is the module's error and unwraps to errno.
func refused(t failer, err error, errno syscall.Errno) {
	t.Helper()
	var e *sys.Error
	if !errors.As(err, &e) || !errors.Is(err, errno) {
		t.Fatalf("got %v, want an error that unwraps to %q", err, errno)
	}
	if e.Op == "" || e.Kind != "memfd" {
		t.Fatalf("the error %#v does not name its call", e)
	}
}

func noFile(t failer, f *memfd.File, err error, errno syscall.Errno) {
	t.Helper()
	if f != nil {
		f.Close()
		t.Fatalf("a memfd was given, want %q", errno)
	}
	refused(t, err, errno)
}

func seals(t failer, f *memfd.File) memfd.Seals {
	t.Helper()
	s, err := f.Seals()
	must(t, err)
	return s
}

func size(t failer, f *memfd.File) int64 {
	t.Helper()
	st, err := f.Stat()
	must(t, err)
	return st.Size
}

// mapShared maps all of f.
func mapShared(f *memfd.File, prot int) (*mapping.Mapping, error) {
	return mapping.SharedFile(f.FD(), 0, page, prot, nil)
}

func mapped(t testing.TB) func(*mapping.Mapping, error) *mapping.Mapping {
	return func(m *mapping.Mapping, err error) *mapping.Mapping {
		t.Helper()
		must(t, err)
		t.Cleanup(func() { must(t, m.Unmap()) })
		return m
	}
}

// unmappable fails unless a mapping was refused with errno.
func unmappable(t failer, m *mapping.Mapping, err error, errno syscall.Errno) {
	t.Helper()
	if m != nil {
		m.Unmap()
		t.Fatalf("a mapping was given, want %q", errno)
	}
	if !errors.Is(err, errno) {
		t.Fatalf("got %v, want %q", err, errno)
	}
}

// again opens the memory anew with any flags of open(2), which Reopen does
// not all offer.
func again(f *memfd.File, flags int) (int, error) {
	return sys.Open(fmt.Sprintf("/proc/self/fd/%d", f.FD()), flags|sys.O_CLOEXEC, 0)
}

// hugeSizes are the sizes of huge pages that the kernel lists, as logarithms.
func hugeSizes(t failer) map[int]bool {
	t.Helper()
	entries, err := os.ReadDir("/sys/kernel/mm/hugepages")
	must(t, err)
	sizes := make(map[int]bool)
	for _, e := range entries {
		var kib int
		if _, err := fmt.Sscanf(e.Name(), "hugepages-%dkB", &kib); err != nil {
			t.Fatal(err)
		}
		log := 10
		for ; kib > 1; kib >>= 1 {
			log++
		}
		sizes[log] = true
	}
	return sizes
}

// mapsLine gives the line of /proc/self/maps that starts at addr.
func mapsLine(t failer, addr uintptr) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	for s := range strings.Lines(string(text)) {
		if strings.HasPrefix(s, fmt.Sprintf("%x-", addr)) || strings.HasPrefix(s, fmt.Sprintf("%08x-", addr)) {
			return strings.TrimSpace(s)
		}
	}
	t.Fatalf("nothing in maps at %#x", addr)
	return ""
}
