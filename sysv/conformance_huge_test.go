//go:build linux

package sysv_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestConformanceHuge is about segments of huge pages.
func TestConformanceHuge(t *testing.T) {
	shmtest.NeedHugePages(t, 5)
	const hugetlb = sysv.SHM_HUGETLB

	t.Run("SV-029", func(t *testing.T) {
		id := private(t, huge, hugetlb|0o600)
		gone := private(t, huge, hugetlb|0o600)
		check(t, sysv.Remove(gone))
		for _, bad := range []sysv.ID{-1, gone} {
			_, err := sysv.Attach(bad, 0, 0)
			wantErrno(t, err, syscall.EINVAL)
		}
		base := (freeRange(t, 4*huge) + huge - 1) &^ (huge - 1)
		for _, addr := range []uintptr{base + 1, base + uintptr(page)} { // a small page does not do
			_, err := sysv.Attach(id, addr, 0)
			wantErrno(t, err, syscall.EINVAL)
			if err != nil && strings.Contains(err.Error(), "is mapped") {
				t.Errorf("nothing is mapped there: %v", err)
			}
		}
		wantNattch(t, id, 0)
		if emulated() {
			return // it cannot attach them
		}
		if a := attach(t, id, base, 0); a.Addr() != base {
			t.Errorf("attached at %#x, want %#x", a.Addr(), base)
		}
	})

	t.Run("SV-030", func(t *testing.T) {
		id := private(t, huge, hugetlb|0o600)
		p := nobody(t)
		p.fails(syscall.EACCES, "attach", int64(id), 0, 0)
		p.fails(syscall.EACCES, "attach", int64(id), 0, sysv.SHM_RDONLY)
		p.Wait()
		wantNattch(t, id, 0)
	})

	t.Run("SV-032", func(t *testing.T) {
		needKernel(t, "the emulator cannot attach huge pages")
		for _, size := range []int64{4*huge - 4096, 4*huge - 4097, huge, huge + 1} {
			id := private(t, size, hugetlb|0o600)
			a := attach(t, id, 0, 0)
			if int64(a.Len()) != size || stat(t, id).Size != size {
				t.Errorf("%d bytes, segsz %d; want %d", a.Len(), stat(t, id).Size, size)
			}
			a.Bytes()[0], a.Bytes()[size-1] = 'a', 'z'
			b := attach(t, id, 0, sysv.SHM_RDONLY).Bytes()
			if b[0] != 'a' || b[size-1] != 'z' {
				t.Errorf("size %d: the ends read %q and %q", size, b[0], b[size-1])
			}
			check(t, sysv.Remove(id))
			detach(t, a)
			detachAll(t, id)
		}
	})

	t.Run("SV-033", func(t *testing.T) {
		needKernel(t, "the emulator cannot attach huge pages")
		id := private(t, huge, hugetlb|0o600)
		var peers []*peer
		for range 4 {
			p := startPeer(t, shmtest.Command{})
			p.must("attach", int64(id), 0, 0)
			peers = append(peers, p)
		}
		wantNattch(t, id, 4)
		a := attach(t, id, 0, 0)
		s := stat(t, id)
		if s.NAttach != 5 || s.CPID != os.Getpid() || s.Size != huge || s.Mode != 0o600 {
			t.Errorf("nattch %d, cpid %d, segsz %d, mode %#o; want 5, %d, %d, 0600", s.NAttach, s.CPID, s.Size, s.Mode, os.Getpid(), huge)
		}
		nextSecond(s.ChangeTime)
		check(t, sysv.Set(id, s.UID, s.GID, 0o666))
		if after := stat(t, id); after.Mode != 0o666 || !after.ChangeTime.After(s.ChangeTime) {
			t.Errorf("mode %#o, ctime %v; want 0666, after %v", after.Mode, after.ChangeTime, s.ChangeTime)
		}
		for _, p := range peers {
			p.Wait()
		}
		detach(t, a)
		check(t, sysv.Remove(id))
		wantGone(t, id)
	})

	t.Run("SV-035", func(t *testing.T) {
		id := private(t, huge, hugetlb|0o600)
		before := stat(t, id)
		p := nobody(t)
		p.fails(syscall.EACCES, "stat", int64(id))
		p.fails(syscall.EPERM, "set", int64(id), 65534, 65534, 0o666)
		p.fails(syscall.EPERM, "remove", int64(id))
		p.Wait()
		if after := stat(t, id); after != before {
			t.Errorf("the segment is\n%+v, was\n%+v", after, before)
		}
	})

	t.Run("SV-036", func(t *testing.T) {
		id := private(t, huge, hugetlb|0o600)
		base := (freeRange(t, 2*huge) + huge - 1) &^ (huge - 1)
		a := attach(t, id, base, 0)
		a.Bytes()[huge-1] = 1
		detach(t, a)
		wantNattch(t, id, 0)
		wantStoreFault(t, a, huge-1)
	})

	t.Run("SV-038", func(t *testing.T) {
		shmtest.NeedIsolation(t) // nobody else uses the key -1
		key := newKey(t)
		_, err := sysv.Get(key, 0, hugetlb|sysv.IPC_CREAT|0o600)
		wantErrno(t, err, syscall.EINVAL)
		id := create(t, key, huge, hugetlb|0o600)
		_, err = sysv.Get(key, 2*huge, hugetlb|0o600)
		wantErrno(t, err, syscall.EINVAL)
		_, err = sysv.Get(key, huge, hugetlb|sysv.IPC_CREAT|sysv.IPC_EXCL|0o600)
		wantErrno(t, err, syscall.EEXIST)
		_, err = sysv.Get(-1, huge, hugetlb|0o600)
		wantErrno(t, err, syscall.ENOENT)
		minus := create(t, -1, huge, hugetlb|0o600)
		if got, err := sysv.Get(-1, 0, 0); got != minus || err != nil {
			t.Errorf("key -1 has %d, %v; want %d", got, err, minus)
		}
		if s := stat(t, id); s.Size != huge {
			t.Errorf("the segment has %d bytes now", s.Size)
		}
	})

	t.Run("SV-039", func(t *testing.T) {
		shmtest.NeedIsolation(t)
		usage, err := sysv.GetUsage()
		check(t, err)
		shmtest.Sysctl(t, "kernel.shmmni", strconv.Itoa(usage.Segments+2))
		for range 2 {
			private(t, huge, hugetlb|0o600)
		}
		_, err = sysv.Get(sysv.IPC_PRIVATE, huge, hugetlb|sysv.IPC_CREAT|0o600)
		wantErrno(t, err, syscall.ENOSPC)
	})

	t.Run("SV-041", func(t *testing.T) {
		needKernel(t, "the emulator cannot attach huge pages")
		id := private(t, 4*huge, hugetlb|0o600)
		fillPattern(attach(t, id, 0, 0).Bytes())
		wantPattern(t, attach(t, id, 0, sysv.SHM_RDONLY).Bytes())
	})

	t.Run("SV-064", func(t *testing.T) {
		needKernel(t, "the emulator cannot attach huge pages")
		key := newKey(t)
		create := []int64{int64(key), huge, hugetlb | sysv.IPC_CREAT | sysv.IPC_EXCL | 0o600}
		p := nobody(t)
		gid := p.must("uid")[1]
		p.fails(syscall.EPERM, "get", create...)
		shmtest.Sysctl(t, "vm.hugetlb_shm_group", strconv.FormatInt(gid, 10))
		id := p.must("get", create...)[0]
		n := p.must("attach", id, 0, 0)[0]
		p.must("poke", n, huge-1, 1)
		p.must("detach", n)
		p.must("remove", id)
		p.Wait()
	})

	t.Run("SV-107/huge", func(t *testing.T) {
		needKernel(t, "the emulator cannot attach huge pages")
		p, err := sys.Mmap(0, huge, sys.PROT_READ, sys.MAP_SHARED|sys.MAP_ANONYMOUS|sys.MAP_HUGETLB, -1, 0)
		check(t, err)
		t.Cleanup(func() { sys.Munmap(p, huge) })
		id := private(t, huge, hugetlb|0o600)
		m := mappingAt(t, attach(t, id, 0, 0).Addr())
		if kernelMount := mappingAt(t, p).Dev; m.Dev != kernelMount || m.Dev.Major != 0 {
			t.Errorf("device %v, want %v", m.Dev, kernelMount)
		}
		if small := mappingAt(t, attach(t, private(t, 1, 0o600), 0, 0).Addr()); small.Dev == m.Dev {
			t.Errorf("device %v is that of small pages too", m.Dev)
		}
		if m.Inode != uint64(id) || string(m.Path) != "/SYSV00000000 (deleted)" {
			t.Errorf("inode %d and name %q, want %d and %q", m.Inode, m.Path, id, "/SYSV00000000 (deleted)")
		}
	})

	t.Run("SV-128", func(t *testing.T) {
		id := private(t, huge, hugetlb|0o600)
		check(t, sysv.Lock(id))
		if s := stat(t, id); s.Mode != 0o600 || s.Locked() {
			t.Errorf("mode is %#o, want 0600", s.Mode)
		}
		check(t, sysv.Unlock(id))
	})

	t.Run("SV-143", func(t *testing.T) {
		needKernel(t, "the emulator cannot attach huge pages")
		before, err := sysv.GetUsage()
		check(t, err)
		id := private(t, huge, hugetlb|0o600)
		attach(t, id, 0, 0).Bytes()[0] = 1
		row := rowOf(t, id)
		after, err := sysv.GetUsage()
		check(t, err)
		const overstated = huge / 4096 // base pages in a huge page
		if row.Size != huge || row.Swapped != 0 {
			t.Errorf("size %d, swapped %d; want %d, 0", row.Size, row.Swapped, huge)
		}
		if row.Resident == huge {
			t.Skip("needs a kernel that overstates the memory of huge segments: this one is right")
		}
		if row.Resident != overstated*huge {
			t.Errorf("2 MiB touched show as %d bytes, want %d", row.Resident, overstated*huge)
		}
		if shmtest.Isolated() {
			if got := (after.Resident - before.Resident) * uint64(page); got != overstated*huge {
				t.Errorf("2 MiB touched show as %d bytes in SHM_INFO, want %d", got, overstated*huge)
			}
		}
	})
}

// detachAll detaches what is attached of a removed segment and sees it go.
func detachAll(t *testing.T, id sysv.ID) {
	t.Helper()
	for {
		s, err := sysv.Stat(id)
		if err != nil {
			wantErrno(t, err, syscall.EINVAL)
			return
		}
		addr, ok := attachedAt(t, id)
		if !ok {
			t.Fatalf("%d attachments, and none is ours", s.NAttach)
		}
		check(t, sysv.Detach(addr))
	}
}

// TestConformanceHugePrivilege is SV-063: no limit on locked memory makes up
// for the privilege.
func TestConformanceHugePrivilege(t *testing.T) {
	t.Run("SV-063", func(t *testing.T) {
		const memlock = 8 // RLIMIT_MEMLOCK
		var limit syscall.Rlimit
		check(t, syscall.Getrlimit(memlock, &limit))
		if limit.Max < huge {
			t.Skipf("needs a hard RLIMIT_MEMLOCK of a huge page at least: it is %d", limit.Max)
		}
		key := newKey(t)
		p := startPeer(t, shmtest.Command{User: shmtest.Other(t), Rlimits: []shmtest.Rlimit{{Resource: memlock, Cur: limit.Max, Max: limit.Max}}})
		p.fails(syscall.EPERM, "get", int64(key), huge, sysv.SHM_HUGETLB|sysv.IPC_CREAT|0o600)
		p.fails(syscall.ENOENT, "get", int64(key), 0, 0)
		p.Wait()
	})
}
