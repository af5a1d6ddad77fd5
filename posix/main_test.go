package posix_test

import (
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) {
	status := shmtest.Main(m)
	if peerDir != "" {
		os.RemoveAll(peerDir)
	}
	os.Exit(status)
}

// peerSource is a C program that does what other users of the mount do.
//
//go:embed testdata/peer.c
var peerSource string

// peerDir holds the C program once it has been compiled.
var peerDir string

// peer gives the path of the C program.
func peer(t testing.TB) string {
	t.Helper()
	if peerDir == "" {
		binary := shmtest.CompileC(t, peerSource, "-O2", "-pthread")
		dir, err := os.MkdirTemp("", "peer")
		check(t, err)
		check(t, os.Rename(binary, filepath.Join(dir, "peer")))
		peerDir = dir
	}
	return filepath.Join(peerDir, "peer")
}

// tester is a test, a benchmark, or a child process of one.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

var (
	_ tester = testing.TB(nil)
	_ tester = (*shmtest.Child)(nil)
)

const (
	ro    = mapping.PROT_READ
	rw    = mapping.PROT_READ | mapping.PROT_WRITE
	fresh = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL
)

var page = os.Getpagesize()

// emulated tells whether another architecture's user mode is translated.
func emulated() bool { return os.Getenv("SHMTEST_EXEC") != "" }

// unlinkLater removes a name when the test is over, if it is there still.
func unlinkLater(t testing.TB, name string) {
	t.Cleanup(func() {
		if err := posix.Unlink(name, nil); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}

// newName gives a name whose object goes with the test.
func newName(t testing.TB) string {
	name := "/" + shmtest.Name(t)
	unlinkLater(t, name)
	return name
}

// open opens an object, which is closed with the test.
func open(t testing.TB, name string, flags int, mode os.FileMode) *posix.Object {
	t.Helper()
	o, err := posix.Open(name, flags, mode, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// newObject creates an object by shm_open and ftruncate.
func newObject(t testing.TB, size int64) *posix.Object {
	t.Helper()
	o := open(t, newName(t), fresh, 0o600)
	if size > 0 {
		check(t, o.Truncate(size))
	}
	return o
}

// mapped maps the start of an object, until the test is over.
func mapped(t testing.TB, o *posix.Object, length, prot int) *mapping.Mapping {
	t.Helper()
	m, err := mapping.SharedFile(o.FD(), 0, length, prot, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Unmap() })
	return m
}

func check(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErrno demands one errno, in the module's one error type.
func wantErrno(t tester, err error, want syscall.Errno) {
	t.Helper()
	var e *sys.Error
	switch {
	case err == nil:
		t.Fatalf("no error, want %v (%d)", want, want)
	case !errors.Is(err, want):
		t.Fatalf("got %v, want %v", err, want)
	case !errors.As(err, &e):
		t.Fatalf("%v is a %T, want a *sys.Error", err, err)
	}
}

// refused demands that opening fails with an errno.
func refused(t tester, name string, flags int, mode os.FileMode, want syscall.Errno) {
	t.Helper()
	o, err := posix.Open(name, flags, mode, nil)
	if err == nil {
		o.Close()
		t.Fatalf("opened %q, want %v", name, want)
	}
	wantErrno(t, err, want)
}

// equal demands that two values are the same.
func equal[T comparable](t tester, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// stat is fstat, which does not fail.
func stat(t tester, o *posix.Object) posix.Status {
	t.Helper()
	st, err := o.Stat()
	check(t, err)
	return st
}

// named is lstat, which does not fail.
func named(t tester, name string) posix.Status {
	t.Helper()
	st, err := posix.Stat(name, nil)
	check(t, err)
	return st
}

// absent demands that a name has no object.
func absent(t tester, name string) {
	t.Helper()
	if st, err := posix.Stat(name, nil); !errors.Is(err, syscall.ENOENT) {
		t.Fatalf("stat %q: %+v, %v, want ENOENT", name, st, err)
	}
}

// fault runs f and gives the address of the memory fault in it, if it has one.
// The emulator does not tell the address, and Go then takes it for nil.
func fault(f func()) (addr uintptr, faulted bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface {
			error
			Addr() uintptr
		}:
			addr, faulted = p.Addr(), true
		case runtime.Error:
			if !emulated() {
				panic(p)
			}
			faulted = true
		default:
			panic(p)
		}
	}()
	f()
	return 0, false
}

// sink keeps loads from being optimised away.
var sink byte

// wantFault demands that touching a byte of a mapping faults, there.
func wantFault(t tester, b []byte, i int, store bool) {
	t.Helper()
	_, faulted := fault(func() {
		if store {
			b[i] = 1
		} else {
			sink = b[i]
		}
	})
	if !faulted {
		t.Fatalf("touching byte %d did not fault", i)
	}
}

// wantNoFault demands that a byte can be loaded and gives it.
func wantNoFault(t tester, b []byte, i int) (value byte) {
	t.Helper()
	if addr, faulted := fault(func() { value = b[i] }); faulted {
		t.Fatalf("byte %d faulted at %#x", i, addr)
	}
	return value
}

// mapsOf gives the mappings of an object in a process: by device and inode, as
// names prove nothing.
func mapsOf(t tester, pid int, dev, inode uint64) (found []procfs.Mapping) {
	t.Helper()
	for m, err := range procfs.Root("").Maps(pid) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Inode == inode && m.Dev == procfs.DevFromStat(dev) {
			found = append(found, m.Clone())
		}
	}
	return found
}

// dirNames lists a directory.
func dirNames(t tester, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// file is the path of an object in the mount.
func file(name string) string {
	return filepath.Join(shmtest.ShmMount, strings.TrimLeft(name, "/"))
}

// wantHint demands that an error tells what to do next.
func wantHint(t tester, err error, part string) {
	t.Helper()
	var e *sys.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, part) {
		t.Fatalf("%v: its hint does not speak of %q: %+v", err, part, e)
	}
}

// mappingOf maps the start of an object for reading and writing.
func mappingOf(o *posix.Object, length int) (*mapping.Mapping, error) {
	return mapping.SharedFile(o.FD(), 0, length, rw, nil)
}
