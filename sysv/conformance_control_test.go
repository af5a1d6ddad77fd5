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

// TestConformanceStat is about what the kernel tells of a segment.
func TestConformanceStat(t *testing.T) {
	t.Run("SV-005", func(t *testing.T) {
		const children = 20
		const size = 1234
		start := time.Now()
		id := private(t, size, 0o600)
		both := func(nattch uint64) {
			t.Helper()
			s := stat(t, id)
			byIndex, err := sysv.StatIndex(id.Index())
			check(t, err)
			if s != byIndex {
				t.Errorf("IPC_STAT and SHM_STAT disagree:\n%+v\n%+v", s, byIndex)
			}
			if s.Size != size || s.CPID != os.Getpid() || s.NAttach != nattch {
				t.Errorf("segsz %d, cpid %d, nattch %d; want %d, %d, %d", s.Size, s.CPID, s.NAttach, size, os.Getpid(), nattch)
			}
			wantNow(t, "ctime", s.ChangeTime, start)
		}
		both(0)
		var peers []*peer
		for range children {
			peers = append(peers, startPeer(t, shmtest.Command{}))
		}
		all := func(verb string, args ...int64) {
			t.Helper()
			for _, p := range peers {
				p.must(verb, args...)
			}
		}
		all("attach", int64(id), 0, 0)
		both(children)
		all("detach", 0)
		both(0)
		a := attach(t, id, 0, 0)
		both(1)
		all("attach", int64(id), 0, 0)
		both(children + 1)
		for _, p := range peers {
			p.Wait() // the end of a process is a detach too
		}
		both(1)
		detach(t, a)
		both(0)
	})

	t.Run("SV-122", func(t *testing.T) {
		id := private(t, 77, 0o600)
		for _, index := range []int{id.Index(), int(id), id.Index() + 7*32768} {
			for name, f := range map[string]func(int) (sysv.Segment, error){"SHM_STAT": sysv.StatIndex, "SHM_STAT_ANY": statAny(t)} {
				if s, err := f(index); err != nil || s.ID != id || s.Size != 77 {
					t.Errorf("%s of %d: segment %d of %d bytes, %v; want segment %d", name, index, s.ID, s.Size, err, id)
				}
			}
		}
	})

	t.Run("SV-131", func(t *testing.T) {
		key := newKey(t)
		p := startPeer(t, shmtest.Command{})
		id := p.create(key, int64(page), 0o600)
		t.Cleanup(func() { sysv.Remove(id) })
		n := p.must("attach", int64(id), 0, 0)[0]
		p.must("poke", n, 3, 'z')
		p.Wait()
		if got, err := sysv.Get(key, 0, 0); got != id || err != nil {
			t.Errorf("the key has %d, %v; want %d", got, err, id)
		}
		if s := stat(t, id); s.NAttach != 0 || s.CPID != p.PID() {
			t.Errorf("nattch %d, cpid %d; want 0, %d", s.NAttach, s.CPID, p.PID())
		}
		if err := syscall.Kill(p.PID(), 0); err != syscall.ESRCH {
			t.Errorf("the creator lives: %v", err)
		}
		if c := attach(t, id, 0, 0).Bytes()[3]; c != 'z' {
			t.Errorf("its byte is %q, want 'z'", c)
		}
	})

	t.Run("SV-133", func(t *testing.T) {
		start := time.Now()
		id := private(t, 1, 0o600)
		s := stat(t, id)
		if !s.AttachTime.IsZero() || !s.DetachTime.IsZero() {
			t.Errorf("atime %v, dtime %v before the first attach", s.AttachTime, s.DetachTime)
		}
		var ds sys.ShmidDs
		_, err := sys.ShmctlDs(int(id), sys.IPC_STAT, &ds)
		check(t, err)
		if ds.Atime != 0 || ds.Dtime != 0 {
			t.Errorf("the kernel says atime %d, dtime %d; want 0, 0", ds.Atime, ds.Dtime)
		}
		detach(t, attach(t, id, 0, 0))
		s = stat(t, id)
		wantNow(t, "atime", s.AttachTime, start)
		wantNow(t, "dtime", s.DetachTime, start)
		wantNow(t, "ctime", s.ChangeTime, start)
	})
}

// statAny gives StatAny, or SHM_STAT where an emulator does not know it.
func statAny(t testing.TB) func(int) (sysv.Segment, error) {
	if emulated() {
		t.Log("SHM_STAT_ANY is left out: the emulator has no such command")
		return sysv.StatIndex
	}
	return sysv.StatAny
}

// TestConformanceSet is about IPC_SET. Its rows share a wait for the clock's
// next second, without which a change of ctime would not show.
func TestConformanceSet(t *testing.T) {
	id12, id110 := private(t, int64(page), 0o666), private(t, 4097, 0o600)
	before12, before110 := stat(t, id12), stat(t, id110)
	nextSecond(before110.ChangeTime)

	t.Run("SV-012", func(t *testing.T) {
		check(t, sysv.Set(id12, before12.UID, before12.GID, 0o666&^0o066))
		s := stat(t, id12)
		if s.Mode != 0o600 {
			t.Errorf("mode is %#o, want 0600", s.Mode)
		}
		if d := s.ChangeTime.Sub(before12.ChangeTime); d <= 0 || d > 10*time.Second {
			t.Errorf("ctime advanced by %v, want 10 s at most", d)
		}
		check(t, sysv.Set(id12, before12.UID, before12.GID, 0o666))
		if s := stat(t, id12); s.Mode != 0o666 {
			t.Errorf("mode is %#o, want 0666", s.Mode)
		}
	})

	t.Run("SV-110", func(t *testing.T) {
		shmtest.NeedRoot(t)
		// All that a caller might wish to set.
		ds := sys.ShmidDs{
			Perm:  sys.IpcPerm{Key: 99, UID: 65534, GID: 65533, CUID: 1, CGID: 2, Mode: 0o177640, Seq: 9},
			Segsz: 1, Atime: 1, Dtime: 2, Ctime: 3, Cpid: 4, Lpid: 5, Nattch: 6,
		}
		_, err := sys.ShmctlDs(int(id110), sys.IPC_SET, &ds)
		check(t, err)
		got, want := stat(t, id110), before110
		if !got.ChangeTime.After(want.ChangeTime) {
			t.Errorf("ctime is still %v", got.ChangeTime)
		}
		want.UID, want.GID, want.Mode, want.ChangeTime = 65534, 65533, 0o640, got.ChangeTime
		if got != want {
			t.Errorf("the segment is\n%+v, want\n%+v", got, want)
		}
		// The same by the function, and back.
		check(t, sysv.Set(id110, 0, 0, 0o600))
		want.UID, want.GID, want.Mode = 0, 0, 0o600
		got = stat(t, id110)
		if want.ChangeTime = got.ChangeTime; got != want {
			t.Errorf("the segment is\n%+v, want\n%+v", got, want)
		}
	})
	t.Run("SV-110/given away", func(t *testing.T) {
		p := nobody(t)
		id := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		t.Cleanup(func() { sysv.Remove(id) })
		p.must("set", int64(id), 1234, 1234, 0o604)
		if s := stat(t, id); s.UID != 1234 || s.GID != 1234 || s.CUID != 65534 || s.Mode != 0o604 {
			t.Errorf("owner %d:%d, creator %d, mode %#o; want 1234:1234, 65534, 0604", s.UID, s.GID, s.CUID, s.Mode)
		}
		// Both have a say now.
		owner := startPeer(t, shmtest.Command{User: &shmtest.User{UID: 1234, GID: 1234}})
		owner.must("set", int64(id), 1234, 1234, 0o600)
		owner.Wait()
		p.must("remove", int64(id))
		p.Wait()
		wantGone(t, id)
	})
	t.Run("SV-111", func(t *testing.T) {
		p := nobody(t)
		id := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		before := p.stat(id)
		p.fails(syscall.EINVAL, "set", int64(id), none, 65534, 0o640)
		p.fails(syscall.EINVAL, "set", int64(id), 65534, none, 0o640)
		if after := p.stat(id); after != before {
			t.Errorf("the segment is\n%+v, was\n%+v", after, before)
		}
		// Privilege makes no difference.
		wantErrno(t, sysv.Set(id, none, 65534, 0o640), syscall.EINVAL)
		p.must("remove", int64(id))
		p.Wait()
	})
}

// TestConformanceControlErrors is about what shmctl refuses.
func TestConformanceControlErrors(t *testing.T) {
	const badAddress = 8
	buffered := map[string]int{"IPC_STAT": sys.IPC_STAT, "IPC_SET": sys.IPC_SET, "SHM_STAT": sys.SHM_STAT, "SHM_STAT_ANY": sys.SHM_STAT_ANY, "IPC_INFO": sys.IPC_INFO, "SHM_INFO": sys.SHM_INFO}

	t.Run("SV-006", func(t *testing.T) {
		t.Run("own segment without permissions", func(t *testing.T) {
			p := nobody(t)
			id := p.create(sysv.IPC_PRIVATE, 1, 0)
			p.fails(syscall.EACCES, "stat", int64(id))
			p.must("remove", int64(id)) // the owner may still
			p.Wait()
			wantGone(t, id)
		})
		t.Run("buffers", func(t *testing.T) {
			id := private(t, 1, 0o600)
			for _, name := range []string{"IPC_STAT", "IPC_SET"} {
				for _, addr := range []uintptr{badAddress, ^uintptr(0)} {
					if _, err := sys.Shmctl(int(id), buffered[name], addr); err != syscall.EFAULT {
						t.Errorf("%s into %#x: %v, want EFAULT", name, addr, err)
					}
				}
			}
			if s := stat(t, id); s.Mode != 0o600 {
				t.Errorf("mode is %#o now", s.Mode)
			}
		})
		t.Run("command", func(t *testing.T) {
			id := private(t, 1, 0o600)
			wantErrno(t, sysv.Ctl(id, -1), syscall.EINVAL)
			stat(t, id)
		})
		t.Run("identifier", func(t *testing.T) {
			removed := private(t, 1, 0o600)
			check(t, sysv.Remove(removed))
			for _, id := range []sysv.ID{-1, removed} {
				_, err := sysv.Stat(id)
				wantErrno(t, err, syscall.EINVAL)
				wantErrno(t, sysv.Set(id, 0, 0, 0o600), syscall.EINVAL)
				wantErrno(t, sysv.Remove(id), syscall.EINVAL)
				wantErrno(t, sysv.Lock(id), syscall.EINVAL)
				wantErrno(t, sysv.Unlock(id), syscall.EINVAL)
			}
		})
		t.Run("another user", func(t *testing.T) { strangerIsRefused(t) })
	})

	t.Run("SV-113", func(t *testing.T) { strangerIsRefused(t) })

	t.Run("SV-114", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		before := stat(t, id)
		p := startPeer(t, shmtest.Command{User: shmtest.Other(t), KeepCaps: []shmtest.Cap{shmtest.CapIPCOwner}})
		for _, flags := range []int64{0, sysv.SHM_RDONLY, sysv.SHM_EXEC} {
			n := p.must("attach", int64(id), 0, flags)[0]
			p.must("detach", n)
		}
		if s := p.stat(id); s.Size != int64(page) {
			t.Errorf("IPC_STAT says %d bytes", s.Size)
		}
		p.must("statindex", int64(id.Index()))
		p.fails(syscall.EPERM, "set", int64(id), 65534, 65534, 0o666)
		p.fails(syscall.EPERM, "remove", int64(id))
		p.Wait()
		after := stat(t, id)
		if after.Mode != before.Mode || after.UID != before.UID || after.NAttach != 0 {
			t.Errorf("the segment is\n%+v, was\n%+v", after, before)
		}
	})

	t.Run("SV-125", func(t *testing.T) {
		id := private(t, 1, 0o600)
		for name, cmd := range buffered {
			if emulated() && cmd == sys.SHM_STAT_ANY {
				continue // the emulator has no such command
			}
			arg := int(id)
			if cmd == sys.SHM_STAT || cmd == sys.SHM_STAT_ANY {
				arg = id.Index()
			}
			if _, err := sys.Shmctl(arg, cmd, badAddress); err != syscall.EFAULT {
				t.Errorf("%s into address %d: %v, want EFAULT", name, badAddress, err)
			}
		}
		// Between the commands, and past them.
		for _, cmd := range []int{4, 10, 16, 99, -1} {
			wantErrno(t, sysv.Ctl(id, cmd), syscall.EINVAL)
		}
		gone := private(t, 1, 0o600)
		check(t, sysv.Remove(gone))
		_, err := sysv.Stat(gone)
		wantErrno(t, err, syscall.EINVAL)
		if s := stat(t, id); s.Mode != 0o600 || s.Removed() {
			t.Errorf("the segment is %+v now", s)
		}
	})
}

// strangerIsRefused has another user try everything on a segment of ours.
func strangerIsRefused(t *testing.T) {
	t.Helper()
	id := private(t, int64(page), 0o600)
	before := stat(t, id)
	p := nobody(t)
	p.fails(syscall.EACCES, "stat", int64(id))
	p.fails(syscall.EPERM, "set", int64(id), 65534, 65534, 0o666)
	p.fails(syscall.EPERM, "remove", int64(id))
	p.fails(syscall.EPERM, "lock", int64(id))
	p.fails(syscall.EPERM, "unlock", int64(id))
	if after := stat(t, id); after != before {
		t.Errorf("the segment is\n%+v, was\n%+v", after, before)
	}
	// What others may do with its bytes does not matter.
	check(t, sysv.Set(id, before.UID, before.GID, 0o666))
	p.must("stat", int64(id))
	p.fails(syscall.EPERM, "set", int64(id), 65534, 65534, 0o600)
	p.fails(syscall.EPERM, "remove", int64(id))
	p.fails(syscall.EPERM, "lock", int64(id))
	p.Wait()
	wantNattch(t, id, 0)
}

// TestConformanceRemove is about the time between IPC_RMID and the last
// detach.
func TestConformanceRemove(t *testing.T) {
	t.Run("SV-116", func(t *testing.T) {
		key := newKey(t)
		id := create(t, key, int64(page), 0o640)
		a := attach(t, id, 0, 0)
		copy(a.Bytes(), "still here")
		check(t, sysv.Remove(id))
		s := stat(t, id)
		if s.Mode != 0o640|0o1000 || s.Key != 0 || !s.Removed() || s.Perm() != 0o640 {
			t.Errorf("mode %#o, key %v; want 01640, 0", s.Mode, s.Key)
		}
		_, err := sysv.Get(key, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
		again := create(t, key, int64(page), 0o600)
		if again == id {
			t.Errorf("the key has the removed segment %d again", id)
		}
		wantBytes(t, a.Bytes(), "still here")
		if c := attach(t, again, 0, 0).Bytes()[0]; c != 0 {
			t.Errorf("the new segment starts with %q", c)
		}
		detach(t, a)
		wantGone(t, id)
	})

	t.Run("SV-117", func(t *testing.T) {
		id := create(t, newKey(t), int64(page), 0o600)
		a := attach(t, id, 0, 0)
		copy(a.Bytes(), "shared")
		check(t, sysv.Remove(id))
		b := attach(t, id, 0, 0)
		wantBytes(t, b.Bytes(), "shared")
		wantNattch(t, id, 2)
		check(t, sysv.Remove(id))
		s := stat(t, id)
		check(t, sysv.Set(id, s.UID, s.GID, 0o666))
		if s := stat(t, id); s.Mode != 0o1666 {
			t.Errorf("mode is %#o, want 01666", s.Mode)
		}
		detach(t, a)
		wantNattch(t, id, 1)
		detach(t, b)
		wantGone(t, id)
		wantErrno(t, sysv.Remove(id), syscall.EINVAL)
	})
}

// TestConformanceLock is about SHM_LOCK within a limit.
func TestConformanceLock(t *testing.T) {
	t.Run("SV-126", func(t *testing.T) {
		p := nobody(t)
		id := p.create(sysv.IPC_PRIVATE, int64(page), 0o600)
		p.must("unlock", int64(id)) // is not locked
		for range 2 {
			p.must("lock", int64(id))
			s := p.stat(id)
			if s.Mode != 0o2600 || !s.Locked() {
				t.Errorf("mode is %#o, want 02600", s.Mode)
			}
		}
		for range 2 {
			p.must("unlock", int64(id))
			if s := p.stat(id); s.Mode != 0o600 || s.Locked() {
				t.Errorf("mode is %#o, want 0600", s.Mode)
			}
		}
		p.must("remove", int64(id))
		p.Wait()
	})
}
