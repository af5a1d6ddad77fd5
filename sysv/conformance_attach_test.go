//go:build linux

package sysv_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestConformanceAttach is about where and how segments are attached.
func TestConformanceAttach(t *testing.T) {
	t.Run("SV-001", func(t *testing.T) {
		const size = 2*4096 - 100
		for _, c := range []struct {
			name   string
			offset uintptr // from the start of a free range, 0: anywhere
			fixed  bool
			flags  int
			want   uintptr // from there
		}{
			{"anywhere", 0, false, 0, 0},
			{"aligned", 0, true, 0, 0},
			{"rounded", uintptr(page) - 1, true, sysv.SHM_RND, 0},
			{"read-only", 0, false, sysv.SHM_RDONLY, 0},
		} {
			t.Run(c.name, func(t *testing.T) {
				id := private(t, size, 0o600)
				var base, addr uintptr
				if c.fixed {
					base = freeRange(t, 4*page)
					addr = base + c.offset
				}
				a := attach(t, id, addr, c.flags)
				if c.fixed && a.Addr() != base+c.want {
					t.Errorf("attached at %#x, want %#x", a.Addr(), base+c.want)
				}
				if s := stat(t, id); s.NAttach != 1 || s.Size != size {
					t.Errorf("nattch %d and segsz %d, want 1 and %d", s.NAttach, s.Size, size)
				}
				if a.Len() != size {
					t.Errorf("%d bytes, want %d", a.Len(), size)
				}
				if c.flags&sysv.SHM_RDONLY != 0 {
					wantStoreFault(t, a, 0)
				} else {
					a.Bytes()[size-1] = 'x'
				}
				detach(t, a)
				wantNattch(t, id, 0)
			})
		}
		t.Run("another process writes", func(t *testing.T) {
			id := private(t, size, 0o600)
			a := attach(t, id, 0, 0)
			p := startPeer(t, shmtest.Command{})
			n := p.must("attach", int64(id), 0, 0)[0]
			wantNattch(t, id, 2)
			p.must("poke", n, size-1, 'y')
			if c := a.Bytes()[size-1]; c != 'y' {
				t.Errorf("the last byte is %q, want 'y'", c)
			}
			p.Wait()
			wantNattch(t, id, 1)
		})
	})

	t.Run("SV-002", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		gone := private(t, 1, 0o600)
		check(t, sysv.Remove(gone))
		_, err := sysv.Attach(gone, 0, 0)
		wantErrno(t, err, syscall.EINVAL)
		_, err = sysv.Attach(id, freeRange(t, 2*page)+1, 0)
		wantErrno(t, err, syscall.EINVAL)
		wantNattch(t, id, 0)
	})
	t.Run("SV-002/another user", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		p := nobody(t)
		p.fails(syscall.EACCES, "attach", int64(id), 0, 0)
		p.Wait()
		wantNattch(t, id, 0)
	})

	t.Run("SV-003", func(t *testing.T) {
		needKernel(t, "the emulator lets SHM_REMAP without an address pass")
		id := private(t, int64(page), 0o600)
		_, err := sysv.Attach(id, 1, sysv.SHM_RND|sysv.SHM_REMAP)
		wantErrno(t, err, syscall.EINVAL)
		wantNattch(t, id, 0)
	})

	t.Run("SV-013", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		a := attach(t, id, freeRange(t, page), 0)
		a.Bytes()[5] = 1
		detach(t, a)
		wantNattch(t, id, 0)
		wantStoreFault(t, a, 5)
	})

	t.Run("SV-021", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		first := attach(t, id, 0, 0)
		copy(first.Bytes(), "written by the first view")
		second := attach(t, id, 0, 0)
		if first.Addr() == second.Addr() {
			t.Fatal("both views are one")
		}
		wantBytes(t, second.Bytes(), "written by the first view")
		wantNattch(t, id, 2)
	})

	t.Run("SV-022", func(t *testing.T) {
		key := newKey(t)
		id := create(t, key, int64(page), 0o600)
		attach(t, id, 0, 0).Bytes()[7] = 'd'
		p := startPeer(t, shmtest.Command{})
		found := p.must("get", int64(key), 0, 0)[0]
		for range 2 {
			n := p.must("attach", found, 0, 0)[0]
			if c := p.must("peek", n, 7)[0]; c != 'd' {
				t.Errorf("the other process sees %d, want %d", c, 'd')
			}
		}
		wantNattch(t, id, 3)
		p.Wait()
	})

	t.Run("SV-025", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		first, second := attach(t, id, 0, 0), attach(t, id, 0, 0)
		check(t, first.Detach())
		check(t, second.Detach())
		check(t, sysv.Remove(id))
		wantGone(t, id)
	})

	t.Run("SV-027", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		p := startPeer(t, shmtest.Command{})
		p.Send("churn " + itoa(id) + " 500")
		check(t, churn(id, 500))
		if answer := p.Recv(); answer != "0" {
			t.Errorf("the other process: %v", answer)
		}
		p.Wait()
		wantNattch(t, id, 0)
	})

	t.Run("SV-077", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		if s := stat(t, id); s.NAttach != 0 || s.LPID != 0 || !s.AttachTime.IsZero() {
			t.Fatalf("before: %+v", s)
		}
		start := time.Now()
		attach(t, id, 0, 0)
		s := stat(t, id)
		if s.NAttach != 1 || s.LPID != os.Getpid() {
			t.Errorf("nattch %d, lpid %d; want 1, %d", s.NAttach, s.LPID, os.Getpid())
		}
		wantNow(t, "atime", s.AttachTime, start)
		attach(t, id, 0, sysv.SHM_RDONLY)
		wantNattch(t, id, 2)
	})

	t.Run("SV-079", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		rw, ro := attach(t, id, 0, 0), attach(t, id, 0, sysv.SHM_RDONLY)
		copy(rw.Bytes(), "one")
		wantBytes(t, ro.Bytes(), "one")
		copy(rw.Bytes(), "two")
		wantBytes(t, ro.Bytes(), "two")
		wantStoreFault(t, ro, 0)
	})

	t.Run("SV-080", func(t *testing.T) {
		id := private(t, int64(3*page), 0o600)
		base := freeRange(t, 3*page)
		for name, at := range map[string]uintptr{"start": base, "middle": base + uintptr(page), "tail": base + uintptr(2*page)} {
			t.Run(name, func(t *testing.T) {
				other := private(t, int64(page), 0o600)
				a := attach(t, other, at, 0)
				copy(a.Bytes(), "precious")
				_, err := sysv.Attach(id, base, 0)
				wantErrno(t, err, syscall.EINVAL)
				wantBytes(t, a.Bytes(), "precious")
				wantNattch(t, id, 0)
				wantNattch(t, other, 1)
			})
		}
		t.Run("onto other memory", func(t *testing.T) {
			p := mapPage(t, base, sys.MAP_PRIVATE)
			_, err := sysv.Attach(id, p, 0)
			wantErrno(t, err, syscall.EINVAL)
			if m := mappingAt(t, p); m.Shared() || m.Size() != uint64(page) {
				t.Errorf("the mapping is %+v now", m)
			}
			wantNattch(t, id, 0)
		})
		t.Run("SHM_REMAP replaces", func(t *testing.T) {
			p := mapPage(t, base, sys.MAP_PRIVATE)
			a := attach(t, id, p, sysv.SHM_REMAP)
			if a.Addr() != base {
				t.Errorf("attached at %#x, want %#x", a.Addr(), base)
			}
			if m := mappingAt(t, p); m.Inode != uint64(id) || m.Size() != uint64(3*page) {
				t.Errorf("the mapping is %+v, want segment %d", m, id)
			}
			detach(t, a)
		})
	})

	t.Run("SV-082", func(t *testing.T) {
		needKernel(t, "the emulator lets SHM_REMAP without an address pass")
		id := private(t, int64(page), 0o600)
		for _, c := range []struct {
			addr  uintptr
			flags int
		}{{0, sysv.SHM_REMAP}, {0, sysv.SHM_REMAP | sysv.SHM_RND}, {1, sysv.SHM_REMAP | sysv.SHM_RND}, {uintptr(page) - 1, sysv.SHM_REMAP | sysv.SHM_RND}} {
			_, err := sysv.Attach(id, c.addr, c.flags)
			wantErrno(t, err, syscall.EINVAL)
			_, err = sys.Shmat(int(id), c.addr, c.flags) // the kernel's own answer
			if err != syscall.EINVAL {
				t.Errorf("shmat(%#x, %#o): %v, want EINVAL", c.addr, c.flags, err)
			}
		}
		wantNattch(t, id, 0)
	})

	t.Run("SV-083", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		base := freeRange(t, 3*page)
		p := uintptr(page)
		for offset, want := range map[uintptr]uintptr{1: 0, p / 2: 0, p - 1: 0, p: p, p + 1: p, 2*p - 1: p} {
			a := attach(t, id, base+offset, sysv.SHM_RND)
			if a.Addr() != base+want {
				t.Errorf("offset %d: attached at offset %d, want %d", offset, a.Addr()-base, want)
			}
			detach(t, a)
		}
	})

	t.Run("SV-085", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		for _, addr := range []uintptr{1 << 63, 1<<63 - uintptr(page), ^uintptr(0) &^ (4*uintptr(page) - 1)} {
			_, err := sysv.Attach(id, addr, 0)
			wantErrno(t, err, syscall.ENOMEM)
		}
		wantNattch(t, id, 0)
	})

	t.Run("SV-086", func(t *testing.T) {
		p := nobody(t)
		id := p.create(sysv.IPC_PRIVATE, int64(page), 0o600)
		t.Cleanup(func() { sysv.Remove(id) })
		// The lowest address that the policy lets pass is the limit itself.
		if limit := sysctl(t, "vm.mmap_min_addr"); limit <= 0x1000 {
			shmtest.Sysctl(t, "vm.mmap_min_addr", "65536")
		}
		p.fails(syscall.EPERM, "attach", int64(id), 0x1000, 0)
		if s := p.stat(id); s.NAttach != 0 {
			t.Errorf("nattch is %d", s.NAttach)
		}
		limit := sysctl(t, "vm.mmap_min_addr")
		p.fails(syscall.EPERM, "attach", int64(id), limit-int64(page), 0)
		if !emulated() { // which keeps low addresses for itself
			p.must("attach", int64(id), limit, 0)
		}
		p.Wait()
	})

	t.Run("SV-087", func(t *testing.T) {
		gone := private(t, 1, 0o600)
		check(t, sysv.Remove(gone))
		for _, id := range []sysv.ID{-1, gone, 1<<31 - 1} {
			_, err := sysv.Attach(id, 0, 0)
			wantErrno(t, err, syscall.EINVAL)
		}
	})

	t.Run("SV-092", func(t *testing.T) {
		needKernel(t, "the emulator leaves SHM_EXEC out")
		id := private(t, int64(page), 0o700)
		a := attach(t, id, 0, sysv.SHM_EXEC|sysv.SHM_RDONLY)
		if m := mappingAt(t, a.Addr()); m.Perms.String() != "r-xs" {
			t.Errorf("SHM_EXEC|SHM_RDONLY gives %v, want r-xs", m.Perms)
		}
	})
	t.Run("SV-092/root", func(t *testing.T) {
		needKernel(t, "the emulator leaves SHM_EXEC out")
		shmtest.NeedCap(t, shmtest.CapIPCOwner)
		id := private(t, int64(page), 0o600)
		a := attach(t, id, 0, sysv.SHM_EXEC|sysv.SHM_RDONLY)
		if m := mappingAt(t, a.Addr()); m.Perms.String() != "r-xs" {
			t.Errorf("SHM_EXEC|SHM_RDONLY gives %v, want r-xs", m.Perms)
		}
		a = attach(t, id, 0, sysv.SHM_EXEC)
		if m := mappingAt(t, a.Addr()); m.Perms.String() != "rwxs" {
			t.Errorf("SHM_EXEC gives %v, want rwxs", m.Perms)
		}
		// Anybody else needs the mode's x.
		p := nobody(t)
		own := p.create(sysv.IPC_PRIVATE, int64(page), 0o600)
		p.fails(syscall.EACCES, "attach", int64(own), 0, sysv.SHM_EXEC|sysv.SHM_RDONLY)
		p.must("remove", int64(own))
		p.Wait()
	})

	t.Run("SV-130", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		before := stat(t, id)
		_, err := sysv.Attach(id, 1<<63, 0)
		wantErrno(t, err, syscall.ENOMEM)
		_, err = sysv.Attach(id, 1, 0)
		wantErrno(t, err, syscall.EINVAL)
		_, err = sysv.Attach(id, mapPage(t, 0, sys.MAP_PRIVATE), 0)
		wantErrno(t, err, syscall.EINVAL)
		if after := stat(t, id); after != before {
			t.Errorf("the segment is\n%+v, was\n%+v", after, before)
		}
		if os.Geteuid() == 0 {
			p := nobody(t)
			p.fails(syscall.EACCES, "attach", int64(id), 0, 0)
			p.fails(syscall.EPERM, "set", int64(id), 65534, 65534, 0o666)
			p.fails(syscall.EPERM, "remove", int64(id))
			p.fails(syscall.EPERM, "lock", int64(id))
			p.Wait()
		}
		if after := stat(t, id); after != before {
			t.Errorf("the segment is\n%+v, was\n%+v", after, before)
		}
	})
}

// TestConformanceAttachPermission is about whom a mode lets attach.
func TestConformanceAttachPermission(t *testing.T) {
	p := nobody(t)
	who := p.must("uid")
	uid, gid := who[0], who[1]

	t.Run("SV-089", func(t *testing.T) {
		p := p.in(t)
		for _, c := range []struct {
			mode     int
			ro, rw   bool
			describe string
		}{{0o400, true, false, "read alone"}, {0o600, true, true, "read and write"}, {0o200, false, false, "write alone"}, {0, false, false, "nothing"}} {
			id := p.create(sysv.IPC_PRIVATE, int64(page), c.mode)
			for flags, ok := range map[int64]bool{sysv.SHM_RDONLY: c.ro, 0: c.rw} {
				if ok {
					n := p.must("attach", int64(id), 0, flags)[0]
					p.must("detach", n)
				} else {
					p.fails(syscall.EACCES, "attach", int64(id), 0, flags)
				}
			}
			p.must("remove", int64(id))
		}
	})

	t.Run("SV-090", func(t *testing.T) {
		p := p.in(t)
		id := private(t, int64(page), 0o604)
		n := p.must("attach", int64(id), 0, sysv.SHM_RDONLY)[0]
		if p.must("faults", n, 0)[0] != 1 {
			t.Error("a store succeeded")
		}
		p.fails(syscall.EACCES, "protect", n, sys.PROT_READ|sys.PROT_WRITE)
		if p.must("faults", n, 0)[0] != 1 {
			t.Error("a store succeeded after mprotect")
		}
		p.must("detach", n)

		// It does not depend on who it is.
		a := attach(t, id, 0, sysv.SHM_RDONLY)
		wantStoreFault(t, a, page-1)
		if err := sys.Mprotect(a.Addr(), uintptr(page), sys.PROT_READ|sys.PROT_WRITE); err != syscall.EACCES {
			t.Errorf("mprotect: %v, want EACCES", err)
		}
		wantStoreFault(t, a, page-1)
	})

	t.Run("SV-093", func(t *testing.T) {
		root := uint32(os.Geteuid())
		for _, c := range []struct {
			name     string
			uid, gid int64
			mode     uint32
			ro, rw   bool
		}{
			{"others may read", int64(root), 0, 0o604, true, false},
			{"others may do all", int64(root), 0, 0o606, true, true},
			{"the group may read", int64(root), gid, 0o640, true, false},
			{"the group may do all", int64(root), gid, 0o660, true, true},
			{"others may, the group may not", int64(root), gid, 0o606, false, false},
			{"the owner may", uid, 0, 0o600, true, true},
			{"others and the group may, the owner may not", uid, gid, 0o066, false, false},
		} {
			t.Run(c.name, func(t *testing.T) {
				p := p.in(t)
				id := private(t, int64(page), 0o600)
				check(t, sysv.Set(id, uint32(c.uid), uint32(c.gid), c.mode))
				for flags, ok := range map[int64]bool{sysv.SHM_RDONLY: c.ro, 0: c.rw} {
					if ok {
						n := p.must("attach", int64(id), 0, flags)[0]
						p.must("detach", n)
					} else {
						p.fails(syscall.EACCES, "attach", int64(id), 0, flags)
					}
				}
				if c.ro {
					if s := p.stat(id); s.Mode != c.mode {
						t.Errorf("IPC_STAT says mode %#o, want %#o", s.Mode, c.mode)
					}
				} else {
					p.fails(syscall.EACCES, "stat", int64(id))
				}
			})
		}
	})
	p.Wait()
}
