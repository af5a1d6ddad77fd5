//go:build linux

package sysv_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func TestStrings(t *testing.T) {
	for got, want := range map[string]string{
		sysv.IPC_PRIVATE.String():        "sysv:private",
		sysv.Key(0x1234).String():        "sysv:0x00001234",
		sysv.Key(-1).String():            "sysv:0xffffffff",
		sysv.Key(-0x80000000).String():   "sysv:0x80000000",
		sysv.ID(0).String():              "sysv:id=0",
		sysv.ID(7).String():              "sysv:id=7",
		sysv.ID(3<<15 | 5).String():      "sysv:id=98309",
		itoa(sysv.ID(3<<15 | 5).Index()): "5",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestHugeSize(t *testing.T) {
	for size, want := range map[int64]int{
		0: sysv.SHM_HUGETLB, 2 << 20: sysv.SHM_HUGETLB | sysv.SHM_HUGE_2MB, 1 << 30: sysv.SHM_HUGETLB | sysv.SHM_HUGE_1GB, 64 << 10: sysv.SHM_HUGETLB | 16<<26,
	} {
		if got, err := sysv.HugeSize(size); got != want || err != nil {
			t.Errorf("%d: flags %#o, %v; want %#o", size, got, err, want)
		}
	}
	for _, size := range []int64{1, -1, 3, 2<<20 + 1, -2 << 20, -1 << 63} {
		_, err := sysv.HugeSize(size)
		wantErrno(t, err, syscall.EINVAL)
	}
}

// TestErrors holds every error's text, hint and kind: they name the object and
// the cause, and never a cause that it was not.
func TestErrors(t *testing.T) {
	key, absent := newKey(t), newKey(t)
	id := create(t, key, 100, 0o600)
	gone := private(t, 1, 0o600)
	check(t, sysv.Remove(gone))
	at := attach(t, id, freeRange(t, 4*page)+uintptr(page), 0)
	big := private(t, int64(2*page), 0o600)
	file := newFile(t)

	get := func(key sysv.Key, size int64, flags int) error {
		_, err := sysv.Get(key, size, flags|0o600)
		return err
	}
	attachErr := func(id sysv.ID, addr uintptr, flags int) error {
		a, err := sysv.Attach(id, addr, flags)
		if err == nil {
			a.Detach()
		}
		return err
	}
	hex := func(n uintptr) string { return fmt.Sprintf("%#x", n) }
	second := func(_ any, err error) error { return err }

	for _, c := range []errorCase{
		{get(absent, 1, 0), []error{syscall.ENOENT, fs.ErrNotExist}, "shmget " + absent.String() + ": no such file or directory", "no segment has this key"},
		{get(key, 1, sysv.IPC_CREAT|sysv.IPC_EXCL), []error{syscall.EEXIST, fs.ErrExist}, "shmget " + key.String() + ": file exists", "IPC_EXCL"},
		{get(absent, 0, sysv.IPC_CREAT), []error{syscall.EINVAL}, ": a new segment needs a size of at least 1 byte: invalid argument", ""},
		{get(absent, -5, sysv.IPC_CREAT), []error{syscall.EINVAL}, ": -5 is no size: invalid argument", ""},
		{get(key, -5, 0), []error{syscall.EINVAL}, ": -5 is no size: invalid argument", ""},
		{get(key, 101, 0), []error{syscall.EINVAL}, ": the segment has 100 bytes and 101 were asked for: invalid argument", "cannot be resized"},
		{attachErr(gone, 0, 0), []error{syscall.EINVAL, fs.ErrNotExist}, "shmat " + gone.String() + ": no segment has this identifier: invalid argument", "removed"},
		{attachErr(-1, 0, 0), []error{syscall.EINVAL, fs.ErrNotExist}, "shmat sysv:id=-1: no segment has this identifier: invalid argument", ""},
		{attachErr(id, 0x10001, 0), []error{syscall.EINVAL}, ": address 0x10001 is not a multiple of the page size: invalid argument", "SHM_RND"},
		{attachErr(id, 5, sysv.SHM_RND), []error{syscall.EINVAL}, ": address 0x5 rounds down to 0, where no memory can be: invalid argument", ""},
		{attachErr(id, at.Addr(), 0), []error{syscall.EINVAL}, ": something is mapped in the range at address " + hex(at.Addr()) + ": invalid argument", "SHM_REMAP"},
		{attachErr(big, at.Addr()-uintptr(page), 0), []error{syscall.EINVAL}, ": something is mapped in the range at address " + hex(at.Addr()-uintptr(page)) + ": invalid argument", "SHM_REMAP"},
		{attachErr(id, 1<<63, 0), []error{syscall.ENOMEM}, ": the address space has no room for it at address 0x8000000000000000: cannot allocate memory", "address 0"},
		{sysv.Detach(at.Addr() + 1), []error{syscall.EINVAL}, "shmdt address " + hex(at.Addr()+1) + ": no attachment starts there: invalid argument", ""},
		{second(sysv.Stat(gone)), []error{syscall.EINVAL, fs.ErrNotExist}, "shmctl IPC_STAT " + gone.String() + ": no segment has this identifier: invalid argument", "removed"},
		{second(sysv.StatIndex(0x7ffe)), []error{syscall.EINVAL, fs.ErrNotExist}, "shmctl SHM_STAT index 32766: no segment has this index: invalid argument", ""},
		{second(sysv.StatAny(0x7ffe)), []error{syscall.EINVAL, fs.ErrNotExist}, "shmctl SHM_STAT_ANY index 32766: no segment has this index: invalid argument", ""},
		{sysv.Remove(gone), []error{syscall.EINVAL, fs.ErrNotExist}, "shmctl IPC_RMID " + gone.String() + ": no segment has this identifier: invalid argument", "removed"},
		{sysv.Lock(gone), []error{syscall.EINVAL, fs.ErrNotExist}, "shmctl SHM_LOCK " + gone.String() + ": no segment has this identifier: invalid argument", "removed"},
		{sysv.Set(gone, 0, 0, 0), []error{syscall.EINVAL, fs.ErrNotExist}, "shmctl IPC_SET " + gone.String() + ": no segment has this identifier: invalid argument", "removed"},
		{sysv.Set(id, none, 0, 0), []error{syscall.EINVAL}, ": user 4294967295 or group 0 cannot be an owner: invalid argument", "set together"},
		{sysv.Ctl(id, 99), []error{syscall.EINVAL}, "shmctl command 99 " + id.String() + ": invalid argument", ""},
		{second(sysv.Ftok(file+"-absent", 1)), []error{syscall.ENOENT, fs.ErrNotExist}, "ftok " + file + "-absent: no such file or directory", "existing file"},
	} {
		wantError(t, c)
	}
	if emulated() {
		return // it lets these pass
	}
	wantError(t, errorCase{attachErr(id, 0, sysv.SHM_REMAP), []error{syscall.EINVAL}, ": SHM_REMAP needs an address: invalid argument", ""})
	wantError(t, errorCase{attachErr(id, 5, sysv.SHM_REMAP|sysv.SHM_RND), []error{syscall.EINVAL}, ": SHM_REMAP needs an address: invalid argument", ""})
}

// errorCase is an error and what it should be.
type errorCase struct {
	err  error
	is   []error // what it is
	text string  // ends in this
	hint string  // contains this
}

func wantError(t *testing.T, c errorCase) {
	t.Helper()
	var e *sys.Error
	if !errors.As(c.err, &e) {
		t.Errorf("%v: want an error that ends in %q", c.err, c.text)
		return
	}
	for _, is := range c.is {
		if !errors.Is(c.err, is) {
			t.Errorf("%v is not %v", c.err, is)
		}
	}
	if len(c.is) == 1 && errors.Is(c.err, fs.ErrNotExist) {
		t.Errorf("%v is fs.ErrNotExist", c.err)
	}
	if text := c.err.Error(); !strings.HasPrefix(text, "shm: ") || !strings.HasSuffix(text, c.text) {
		t.Errorf("%q, want %q at the end", text, c.text)
	}
	if e.Kind != "sysv" || !strings.Contains(e.Hint, c.hint) || c.hint == "" && strings.Contains(e.Hint, "SHM_") {
		t.Errorf("%v: kind %q, hint %q; want %q in it", c.err, e.Kind, e.Hint, c.hint)
	}
}

// TestErrorsOfLimits holds the errors for limits of the namespace.
func TestErrorsOfLimits(t *testing.T) {
	shmtest.NeedIsolation(t)
	wantError := func(err error, errno syscall.Errno, text, hint string) {
		t.Helper()
		wantErrno(t, err, errno)
		var e *sys.Error
		if errors.As(err, &e) && (!strings.Contains(e.Error(), text) || !strings.Contains(e.Hint, hint)) {
			t.Errorf("%q with hint %q, want %q and %q", e, e.Hint, text, hint)
		}
	}
	t.Run("shmmax", func(t *testing.T) {
		shmtest.Sysctl(t, "kernel.shmmax", "5000")
		_, err := sysv.Get(sysv.IPC_PRIVATE, 5001, 0o600)
		wantError(err, syscall.EINVAL, "5001 bytes are more than the limit of 5000", "kernel.shmmax")
	})
	t.Run("shmmni", func(t *testing.T) {
		private(t, 1, 0o600)
		shmtest.Sysctl(t, "kernel.shmmni", "1")
		_, err := sysv.Get(sysv.IPC_PRIVATE, 1, 0o600)
		wantError(err, syscall.ENOSPC, "all 1 segment identifiers are in use", "kernel.shmmni")
	})
	t.Run("shmall", func(t *testing.T) {
		shmtest.Sysctl(t, "kernel.shmall", "2")
		private(t, int64(2*page), 0o600)
		_, err := sysv.Get(sysv.IPC_PRIVATE, 1, 0o600)
		wantError(err, syscall.ENOSPC, "limit on System V memory would be passed", "kernel.shmall")
		if !errors.Is(err, sys.ErrNoSpace) {
			t.Errorf("%v is not ErrNoSpace", err)
		}
	})
	t.Run("huge page size", func(t *testing.T) {
		flags, err := sysv.HugeSize(1 << 13)
		check(t, err)
		_, err = sysv.Get(sysv.IPC_PRIVATE, 1<<13, flags|0o600)
		wantError(err, syscall.EINVAL, "no huge pages of this size", "hugepages")
	})
	t.Run("no huge pages", func(t *testing.T) {
		shmtest.NeedHugePages(t, 0)
		_, err := sysv.Get(sysv.IPC_PRIVATE, (1+hugePagesAtMost(t))*huge, sysv.SHM_HUGETLB|0o600)
		wantError(err, syscall.ENOMEM, "not enough free huge pages", "vm.nr_hugepages")
	})
}

// TestLockLimit is about RLIMIT_MEMLOCK.
func TestLockLimit(t *testing.T) {
	const memlock = 8 // RLIMIT_MEMLOCK
	for limit, want := range map[uint64]syscall.Errno{0: syscall.EPERM, uint64(page): syscall.ENOMEM} {
		p := startPeer(t, shmtest.Command{User: shmtest.Other(t), Rlimits: []shmtest.Rlimit{{Resource: memlock, Cur: limit, Max: limit}}})
		id := p.create(sysv.IPC_PRIVATE, int64(2*page), 0o600)
		t.Cleanup(func() { sysv.Remove(id) })
		p.fails(want, "lock", int64(id))
		if s := p.stat(id); s.Locked() {
			t.Errorf("limit %d: it is locked", limit)
		}
		p.must("unlock", int64(id))
		p.Wait()
	}
}

func TestDetachIsIdempotent(t *testing.T) {
	id := private(t, int64(page), 0o600)
	keep, a := attach(t, id, 0, 0), attach(t, id, 0, 0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := a.Detach(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantNattch(t, id, 1)
	// What stands at the address now is not touched any more.
	again := attach(t, id, a.Addr(), 0)
	check(t, a.Detach())
	wantNattch(t, id, 2)
	again.Bytes()[0], keep.Bytes()[1] = 1, 2
}

// TestDetachAfterFailure: who unmapped by other means is told once.
func TestDetachAfterFailure(t *testing.T) {
	a := attach(t, private(t, int64(page), 0o600), freeRange(t, page), 0)
	check(t, sys.Munmap(a.Addr(), uintptr(page)))
	wantErrno(t, a.Detach(), syscall.EINVAL)
	check(t, a.Detach())
}

// TestBig is about sizes past what 32 bits hold.
func TestBig(t *testing.T) {
	const size = 5<<30 + 3
	id, err := sysv.Get(newKey(t), size, sysv.IPC_CREAT|sysv.IPC_EXCL|sysv.SHM_NORESERVE|0o600)
	check(t, err)
	t.Cleanup(func() { sysv.Remove(id) })
	if s := stat(t, id); s.Size != size {
		t.Fatalf("IPC_STAT says %d bytes, want %d", s.Size, int64(size))
	}
	if row := rowOf(t, id); row.Size != size {
		t.Errorf("/proc says %d bytes, want %d", row.Size, int64(size))
	}
	a := attach(t, id, 0, 0)
	b := attach(t, id, 0, sysv.SHM_RDONLY)
	if a.Len() != size || len(a.Bytes()) != size || cap(a.Bytes()) != size {
		t.Fatalf("%d bytes, want %d", a.Len(), int64(size))
	}
	a.Bytes()[0], a.Bytes()[1<<32], a.Bytes()[size-1] = 'a', 'b', 'z'
	if got := []byte{b.Bytes()[0], b.Bytes()[1<<32], b.Bytes()[size-1]}; string(got) != "abz" {
		t.Errorf("the other view reads %q", got)
	}
	wantStoreFault(t, b, size-1)
	if row := rowOf(t, id); row.Resident != 3*int64(page) {
		t.Errorf("%d bytes are resident, want 3 pages", row.Resident)
	}
	detach(t, a)
	detach(t, b)
	wantNattch(t, id, 0)
}

// TestRemap is about SHM_REMAP over attachments of one's own.
func TestRemap(t *testing.T) {
	t.Run("whole", func(t *testing.T) {
		first, second := private(t, int64(page), 0o600), private(t, int64(page), 0o600)
		a := attach(t, first, freeRange(t, page), 0)
		copy(a.Bytes(), "first")
		b := attach(t, second, a.Addr(), sysv.SHM_REMAP)
		wantNattch(t, first, 0)
		wantNattch(t, second, 1)
		copy(b.Bytes(), "second")
		detach(t, b)
		wantNattch(t, second, 0)
		wantErrno(t, a.Detach(), syscall.EINVAL)
		wantBytes(t, attach(t, first, 0, sysv.SHM_RDONLY).Bytes(), "first")
	})
	t.Run("in the middle", func(t *testing.T) {
		outer, inner := private(t, int64(3*page), 0o600), private(t, int64(page), 0o600)
		a := attach(t, outer, freeRange(t, 3*page), 0)
		fillPattern(a.Bytes())
		b := attach(t, inner, a.Addr()+uintptr(page), sysv.SHM_REMAP)
		copy(b.Bytes(), "inner")
		wantNattch(t, outer, 2)
		wantNattch(t, inner, 1)
		detach(t, a) // both parts, and nothing of the other segment
		wantNattch(t, outer, 0)
		wantNattch(t, inner, 1)
		wantBytes(t, b.Bytes(), "inner")
		detach(t, b)
		wantPattern(t, attach(t, outer, 0, sysv.SHM_RDONLY).Bytes())
	})
	t.Run("onto itself", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		a := attach(t, id, freeRange(t, page), 0)
		copy(a.Bytes(), "kept")
		b := attach(t, id, a.Addr(), sysv.SHM_REMAP|sysv.SHM_RDONLY)
		wantNattch(t, id, 1)
		wantBytes(t, b.Bytes(), "kept")
		wantStoreFault(t, b, 0)
	})
}

// TestPageZero: the kernel lets those who may attach at address 0, where Go
// can have no memory.
func TestPageZero(t *testing.T) {
	id := private(t, int64(page), 0o600)
	_, err := sysv.Attach(id, 1, sysv.SHM_RND)
	wantErrno(t, err, syscall.EINVAL)
	wantNattch(t, id, 0)
	// The call itself is still there.
	needKernel(t, "the emulator takes address 0 for any address")
	p, err := sys.Shmat(int(id), 1, sysv.SHM_RND)
	switch {
	case err == nil && p == 0:
		wantNattch(t, id, 1)
		check(t, sysv.Detach(0))
	case err != syscall.EPERM && !emulated():
		t.Errorf("shmat near 0: %#x, %v; want 0, or EPERM", p, err)
	}
	wantNattch(t, id, 0)
}

// TestList holds the three ways to list against each other.
func TestList(t *testing.T) {
	want := []sysv.ID{
		create(t, newKey(t), 1, 0o600), private(t, int64(page)+1, 0o644), private(t, 3, 0),
	}
	slices.Sort(want)
	removed := private(t, 9, 0o600)
	attach(t, removed, 0, 0)
	check(t, sysv.Remove(removed))
	for name, list := range map[string]func() ([]sysv.Segment, error){
		"List": sysv.List, "ReadTable": sysv.ReadTable, "ReadProc": func() ([]sysv.Segment, error) { return sysv.ReadProc("/proc") },
	} {
		all, err := list()
		check(t, err)
		if !slices.IsSortedFunc(all, func(a, b sysv.Segment) int { return int(a.ID - b.ID) }) {
			t.Errorf("%s is not sorted: %v", name, ids(all))
		}
		for _, s := range all {
			i := slices.Index(want, s.ID)
			if i < 0 && s.ID != removed {
				continue
			}
			if name == "ReadTable" {
				if s.Resident != -1 || s.Swapped != -1 {
					t.Errorf("%s: usage %d, %d; want -1, which is unknown", name, s.Resident, s.Swapped)
				}
			} else if s.Resident < 0 || s.Swapped < 0 {
				t.Errorf("%s: usage %d, %d", name, s.Resident, s.Swapped)
			}
			s.Resident, s.Swapped = -1, -1
			if s.Perm() != 0 || os.Geteuid() == 0 {
				if direct := stat(t, s.ID); s != direct {
					t.Errorf("%s says\n%+v, IPC_STAT\n%+v", name, s, direct)
				}
			}
			if s.Removed() != (s.ID == removed) {
				t.Errorf("%s: segment %d is removed: %v", name, s.ID, s.Removed())
			}
		}
		for _, id := range append(want, removed) {
			if !slices.Contains(ids(all), int64(id)) && !(name == "ReadTable" && emulated()) {
				t.Errorf("%s lacks segment %d", name, id)
			}
		}
	}
	_, err := sysv.ReadProc(t.TempDir())
	wantErrno(t, err, syscall.ENOENT)
}

func TestSegmentTimes(t *testing.T) {
	id := private(t, 1, 0o600)
	detach(t, attach(t, id, 0, 0))
	s, row := stat(t, id), rowOf(t, id)
	if s.AttachTime != row.AttachTime || s.DetachTime != row.DetachTime || s.ChangeTime != row.ChangeTime {
		t.Errorf("IPC_STAT says %v, /proc %v", s, row)
	}
	if age := time.Since(s.ChangeTime); age < -time.Second || age > time.Minute {
		t.Errorf("created %v ago", age)
	}
}

// peerC does what its standard input says, as a C program does it.
const peerC = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
	key_t key = ftok(argv[1], atoi(argv[2]));
	int id = shmget(key, 8192, IPC_CREAT | IPC_EXCL | 0600);
	char *p = shmat(id, NULL, 0);
	char line[16];
	struct shmid_ds ds;

	if (id < 0 || p == (char *)-1)
		return 3;
	strcpy(p + 8000, "from C");
	printf("%d\n", id);
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin) || shmctl(id, IPC_STAT, &ds))
		return 4;
	printf("%s, %d attached, last by %d, mode %o\n", p, (int)ds.shm_nattch, (int)ds.shm_lpid, ds.shm_perm.mode & 0xffff);
	fflush(stdout);
	return shmdt(p) || shmctl(id, IPC_RMID, NULL);
}
`

// TestC shares a segment with a program in C.
func TestC(t *testing.T) {
	path := newFile(t)
	c := shmtest.Exec(t, shmtest.CompileC(t, peerC), path, "7")
	id, err := parseID(c.Recv())
	check(t, err)
	t.Cleanup(func() { sysv.Remove(id) })
	if got, err := sysv.Get(ftok(t, path, 7), 8192, 0); got != id || err != nil {
		t.Fatalf("the key has %d, %v; want %d", got, err, id)
	}
	a := attach(t, id, 0, 0)
	wantBytes(t, a.Bytes()[8000:], "from C\x00")
	copy(a.Bytes(), "from Go\x00")
	check(t, sysv.Set(id, uint32(os.Geteuid()), uint32(os.Getegid()), 0o640))
	c.Send("look")
	c.Expect("from Go, 2 attached, last by " + itoa(os.Getpid()) + ", mode 640")
	c.Wait()
	if s := stat(t, id); !s.Removed() || s.NAttach != 1 {
		t.Errorf("after the program: %+v", s)
	}
	detach(t, a)
	wantGone(t, id)
}
