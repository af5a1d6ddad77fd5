//go:build linux

package sysv_test

import (
	"bytes"
	"errors"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

var page = os.Getpagesize()

const huge = 2 << 20 // bytes in a huge page, see shmtest.NeedHugePages

// newKey gives a key that no segment has.
func newKey(t testing.TB) sysv.Key { return sysv.Key(shmtest.Key(t)) }

// create makes a segment and removes it when the test is over, unless the
// test has done so.
func create(t testing.TB, key sysv.Key, size int64, flags int) sysv.ID {
	t.Helper()
	id, err := sysv.Get(key, size, flags|sysv.IPC_CREAT|sysv.IPC_EXCL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sysv.Remove(id) })
	return id
}

// private makes a segment without a key.
func private(t testing.TB, size int64, mode int) sysv.ID {
	t.Helper()
	return create(t, sysv.IPC_PRIVATE, size, mode)
}

// attach attaches a segment and detaches it when the test is over.
func attach(t testing.TB, id sysv.ID, addr uintptr, flags int) *sysv.Attachment {
	t.Helper()
	a, err := sysv.Attach(id, addr, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Detach() })
	return a
}

func detach(t testing.TB, a *sysv.Attachment) {
	t.Helper()
	check(t, a.Detach())
}

func stat(t testing.TB, id sysv.ID) sysv.Segment {
	t.Helper()
	s, err := sysv.Stat(id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErrno fails the test unless err is an error of this package that
// unwraps to the errno.
func wantErrno(t testing.TB, err error, want syscall.Errno) {
	t.Helper()
	var e *sys.Error
	if !errors.As(err, &e) || !errors.Is(err, want) {
		t.Errorf("error %v, want %v (%s)", err, want, errnoName(want))
	}
}

func errnoName(e syscall.Errno) string {
	return map[syscall.Errno]string{
		syscall.EPERM: "EPERM", syscall.ENOENT: "ENOENT", syscall.ENOMEM: "ENOMEM", syscall.EACCES: "EACCES", syscall.EFAULT: "EFAULT",
		syscall.EEXIST: "EEXIST", syscall.EINVAL: "EINVAL", syscall.ENOSPC: "ENOSPC", sys.EIDRM: "EIDRM",
	}[e]
}

// wantNattch fails the test unless the segment has n attachments.
func wantNattch(t testing.TB, id sysv.ID, n uint64) {
	t.Helper()
	if got := stat(t, id).NAttach; got != n {
		t.Errorf("nattch is %d, want %d", got, n)
	}
}

// wantGone fails the test unless no segment has the identifier.
func wantGone(t testing.TB, id sysv.ID) {
	t.Helper()
	_, err := sysv.Stat(id)
	wantErrno(t, err, syscall.EINVAL)
}

// fault runs f and tells at which address it faulted, if it did.
func fault(f func()) (addr uintptr, faulted bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(interface{ Addr() uintptr })
			if !ok {
				panic(p)
			}
			addr, faulted = e.Addr(), true
		}
	}()
	f()
	return 0, false
}

// wantStoreFault fails the test unless a store to b[i] is a fault at that very
// address.
func wantStoreFault(t testing.TB, a *sysv.Attachment, i int) {
	t.Helper()
	b := a.Bytes()
	addr, faulted := fault(func() { b[i] = 1 })
	if !faulted {
		t.Errorf("a store to byte %d succeeded", i)
	} else if addr != a.Addr()+uintptr(i) {
		t.Errorf("a store to %#x faulted at %#x", a.Addr()+uintptr(i), addr)
	}
}

// freeRange gives the page-aligned address of n bytes where nothing is mapped,
// far from where the kernel puts mappings by itself, so that it stays so.
func freeRange(t testing.TB, n int) uintptr {
	t.Helper()
	nextRange += 1 << 30
	p, err := sys.Mmap(nextRange, uintptr(n), sys.PROT_NONE, sys.MAP_PRIVATE|sys.MAP_ANONYMOUS|sys.MAP_NORESERVE, -1, 0)
	check(t, err)
	check(t, sys.Munmap(p, uintptr(n)))
	return p
}

var nextRange uintptr = 0x30_0000_0000

// mapPage maps one page of memory without a file at addr, 0 for anywhere, and
// unmaps it when the test is over.
func mapPage(t testing.TB, addr uintptr, flags int) uintptr {
	t.Helper()
	if addr != 0 {
		flags |= sys.MAP_FIXED_NOREPLACE
	}
	p, err := sys.Mmap(addr, uintptr(page), sys.PROT_READ|sys.PROT_WRITE, flags|sys.MAP_ANONYMOUS, -1, 0)
	check(t, err)
	t.Cleanup(func() { sys.Munmap(p, uintptr(page)) })
	return p
}

// mappingAt gives the line of /proc/self/maps whose range starts at addr.
func mappingAt(t testing.TB, addr uintptr) procfs.Mapping {
	t.Helper()
	for m, err := range procfs.Root("/proc").Maps(procfs.Self) {
		check(t, err)
		if m.Start == uint64(addr) {
			return m.Clone()
		}
	}
	t.Fatalf("no mapping starts at %#x", addr)
	return procfs.Mapping{}
}

// attachedAt gives where this process has the segment attached.
func attachedAt(t testing.TB, id sysv.ID) (uintptr, bool) {
	t.Helper()
	for m, err := range procfs.Root("/proc").Maps(procfs.Self) {
		check(t, err)
		if m.Inode == uint64(id) && strings.HasPrefix(string(m.Path), "/SYSV") {
			return uintptr(m.Start), true
		}
	}
	return 0, false
}

// rowOf gives the segment as /proc/sysvipc/shm has it.
func rowOf(t testing.TB, id sysv.ID) sysv.Segment {
	t.Helper()
	all, err := sysv.ReadProc("/proc")
	check(t, err)
	for _, s := range all {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("/proc/sysvipc/shm does not show segment %d", id)
	return sysv.Segment{}
}

// fillPattern and wantPattern write and expect bytes of which no two
// neighbouring pages have the same.
func fillPattern(b []byte) {
	for i := range b {
		b[i] = pattern(i)
	}
}

func wantPattern(t testing.TB, b []byte) {
	t.Helper()
	for i := range b {
		if b[i] != pattern(i) {
			t.Fatalf("byte %d is %#x, want %#x", i, b[i], pattern(i))
		}
	}
}

func pattern(i int) byte { return byte(i ^ i>>8 ^ i>>16*7) }

func wantBytes(t testing.TB, got []byte, want string) {
	t.Helper()
	if !bytes.HasPrefix(got, []byte(want)) {
		t.Errorf("memory starts with %q, want %q", got[:min(len(got), len(want))], want)
	}
}

// nextSecond waits until the kernel's clock shows a later second than at, so
// that a time stamp of now differs.
func nextSecond(at time.Time) {
	// The kernel's stamps come from a clock that moves with the timer tick.
	const tick = 20 * time.Millisecond
	time.Sleep(time.Until(at.Truncate(time.Second).Add(time.Second + tick)))
}

// wantNow fails the test unless at is a whole second between start and now.
func wantNow(t testing.TB, what string, at, start time.Time) {
	t.Helper()
	if at.Nanosecond() != 0 || at.Before(start.Truncate(time.Second).Add(-time.Second)) || at.After(time.Now()) {
		t.Errorf("%s is %v, want a whole second from %v on", what, at, start)
	}
}

// sysctl gives a kernel parameter of one number.
func sysctl(t testing.TB, name string) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	check(t, err)
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		m, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		check(t, err)
		return m
	}
	return int64(n)
}

// emulated reports whether the system calls are translated by an emulator of
// user programs.
func emulated() bool { return shmtest.Emulated() }

// needKernel skips the test where an emulator answers in the kernel's place.
func needKernel(t testing.TB, reason string) {
	t.Helper()
	if emulated() {
		t.Skipf("needs the kernel's own answer: %s", reason)
	}
}
