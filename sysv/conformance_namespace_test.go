//go:build linux

package sysv_test

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestConformanceNamespace is about segments of several IPC namespaces.
func TestConformanceNamespace(t *testing.T) {
	own := shmtest.Command{OwnIPC: true}

	t.Run("SV-042", func(t *testing.T) {
		key := newKey(t)
		id := create(t, key, int64(page), 0o600)
		same := startPeer(t, shmtest.Command{})
		if got := same.must("get", int64(key), int64(page), 0)[0]; got != int64(id) {
			t.Errorf("in the same namespace the key has %d, want %d", got, id)
		}
		same.Wait()
		other := startPeer(t, own)
		other.fails(syscall.ENOENT, "get", int64(key), int64(page), 0)
		// There is no such identifier either.
		other.fails(syscall.EINVAL, "stat", int64(id))
		other.Wait()
	})

	t.Run("SV-044", func(t *testing.T) {
		key := newKey(t)
		first, second := startPeer(t, own), startPeer(t, own)
		for _, p := range []*peer{first, second} {
			id := p.create(key, int64(page), 0o600)
			p.must("attach", int64(id), 0, 0)
		}
		first.must("poke", 0, 10, 'A')
		if c := second.must("peek", 0, 10)[0]; c != 0 {
			t.Errorf("the other namespace's segment has %d", c)
		}
		second.must("poke", 0, 10, 'B')
		if c := first.must("peek", 0, 10)[0]; c != 'A' {
			t.Errorf("the byte became %d, want %d", c, 'A')
		}
		first.Wait()
		second.Wait()
	})

	t.Run("SV-067", func(t *testing.T) {
		p := startPeer(t, own)
		key := newKey(t)
		if id := p.create(key, int64(page), 0o600); id != 0 {
			t.Fatalf("the first segment is %d, want 0", id)
		}
		if got := p.must("get", int64(key), 0, 0)[0]; got != 0 {
			t.Errorf("its key has %d, want 0", got)
		}
		p.must("attach", 0, 0, 0)
		p.must("poke", 0, 0, 'x')
		if s := p.stat(0); s.ID != 0 || s.NAttach != 1 {
			t.Errorf("it is %+v", s)
		}
		for _, verb := range []string{"list", "table"} {
			if got := p.must(verb); !slices.Equal(got, []int64{0}) {
				t.Errorf("%s shows the segments %v, want 0 alone", verb, got)
			}
		}
		p.must("set", 0, 0, 0, 0o640)
		p.must("lock", 0)
		p.must("unlock", 0)
		p.must("detach", 0)
		p.must("remove", 0)
		p.fails(syscall.EINVAL, "stat", 0)
		p.Wait()
	})

	t.Run("SV-139", func(t *testing.T) {
		id := private(t, 1, 0o600)
		p := startPeer(t, own)
		if got := p.must("list"); len(got) != 0 {
			t.Errorf("a new namespace shows %v", got)
		}
		theirs := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		second := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		if got, want := p.must("list"), []int64{int64(theirs), int64(second)}; !slices.Equal(got, want) {
			t.Errorf("the namespace shows %v, want %v", got, want)
		}
		rowOf(t, id)
		if shmtest.Isolated() {
			all, err := sysv.ReadProc("/proc")
			check(t, err)
			if got := ids(all); !slices.Equal(got, []int64{int64(id)}) {
				t.Errorf("ours shows %v, want %d alone", got, id)
			}
		}
		p.Wait()
	})
}

// TestConformanceForced is about kernel.shm_rmid_forced, which makes segments
// go with their last user.
func TestConformanceForced(t *testing.T) {
	shmtest.NeedIsolation(t) // nobody else's segments shall go

	t.Run("SV-134", func(t *testing.T) {
		key := newKey(t)
		p := startPeer(t, shmtest.Command{})
		orphan := p.create(key, 1, 0o600)
		used := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		p.Wait()
		t.Cleanup(func() { sysv.Remove(orphan); sysv.Remove(used) })
		a := attach(t, used, 0, 0)
		own := private(t, 1, 0o600)
		wantNattch(t, orphan, 0)
		shmtest.Sysctl(t, "kernel.shm_rmid_forced", "1")
		wantGone(t, orphan)
		_, err := sysv.Get(key, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
		wantNattch(t, used, 1) // it has a user
		wantNattch(t, own, 0)  // its creator lives
		detach(t, a)
		wantGone(t, used)
	})

	t.Run("SV-136", func(t *testing.T) {
		shmtest.Sysctl(t, "kernel.shm_rmid_forced", "1")
		id := create(t, newKey(t), int64(page), 0o600)
		a, b := attach(t, id, 0, 0), attach(t, id, 0, 0)
		detach(t, a)
		if s := stat(t, id); s.NAttach != 1 || s.Removed() {
			t.Errorf("nattch %d, mode %#o after the first detach", s.NAttach, s.Mode)
		}
		detach(t, b)
		wantGone(t, id)
	})
}

// sums counts the namespace's segments in the three ways that there are: what
// SHM_INFO says of segments, pages, resident and swapped pages, each followed
// by what SHM_STAT_ANY and /proc/sysvipc/shm add up to.
func sums() ([]int64, error) {
	u, err := sysv.GetUsage()
	if err != nil {
		return nil, err
	}
	var valid int64
	last := int64(-1)
	for i := range u.Highest + 1 {
		if s, err := sysv.StatAny(i); err == nil {
			valid++
			last = int64(s.ID.Index())
		}
	}
	all, err := sysv.ReadProc("/proc")
	if err != nil {
		return nil, err
	}
	bytes := int64(os.Getpagesize())
	var total, resident, swapped int64
	for _, s := range all {
		total += (s.Size + bytes - 1) / bytes
		resident += s.Resident / bytes
		swapped += s.Swapped / bytes
	}
	return []int64{int64(u.Segments), valid, int64(u.Pages), total, int64(u.Resident), resident, int64(u.Swapped), swapped, int64(u.Highest), last}, nil
}

// TestConformanceUsage is about IPC_INFO and SHM_INFO.
func TestConformanceUsage(t *testing.T) {
	shmtest.NeedIsolation(t)

	t.Run("SV-008", func(t *testing.T) {
		needKernel(t, "the emulator does not know SHM_STAT_ANY")
		for i, size := range []int64{1, int64(page), int64(page) + 1, 10 * int64(page)} {
			id := private(t, size, 0o600)
			a := attach(t, id, 0, 0)
			a.Bytes()[0] = 1
			if i == 1 {
				check(t, sysv.Remove(id)) // a hole in the table, once detached
				detach(t, a)
			}
		}
		ours, err := sums()
		check(t, err)
		p := nobody(t)
		theirs := p.must("sums")
		p.Wait()
		if !slices.Equal(ours, theirs) {
			t.Errorf("root sees %v, nobody %v", ours, theirs)
		}
		for i, what := range []string{"segments", "pages", "resident pages", "swapped pages", "the highest index"} {
			if ours[2*i] != ours[2*i+1] {
				t.Errorf("%s: SHM_INFO says %d, the single segments give %d", what, ours[2*i], ours[2*i+1])
			}
		}
		if want := []int64{3, 3, 13, 13, 3, 3, 0, 0}; !slices.Equal(ours[:8], want) {
			t.Errorf("counts are %v, want %v", ours[:8], want)
		}
	})

	t.Run("SV-119", func(t *testing.T) {
		l, err := sysv.GetLimits()
		check(t, err)
		if l.Min != 1 || l.PerProcess != l.Segments {
			t.Errorf("shmmin %d, shmseg %d, shmmni %d; want 1 and the last two equal", l.Min, l.PerProcess, l.Segments)
		}
		for name, got := range map[string]uint64{"kernel.shmmax": l.Max, "kernel.shmmni": l.Segments, "kernel.shmall": l.Pages} {
			if want := uint64(sysctl(t, name)); got != want {
				t.Errorf("%s is %d, IPC_INFO says %d", name, want, got)
			}
		}
		p := startPeer(t, shmtest.Command{OwnIPC: true})
		highest := func(want int64) {
			t.Helper()
			if got := p.must("limits"); got[0] != 1 || got[1] != want {
				t.Errorf("shmmin %d, highest index %d; want 1, %d", got[0], got[1], want)
			}
		}
		highest(0) // none
		first := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		highest(0) // one, with index 0
		second := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		third := p.create(sysv.IPC_PRIVATE, 1, 0o600)
		highest(2)
		p.must("remove", int64(second))
		highest(2)
		p.must("remove", int64(third))
		highest(0)
		p.must("remove", int64(first))
		p.Wait()
	})

	t.Run("SV-120", func(t *testing.T) {
		before, err := sysv.GetUsage()
		check(t, err)
		a := attach(t, private(t, 1, 0o600), 0, 0)
		b := attach(t, private(t, int64(3*page)+1, 0o600), 0, 0)
		want := sysv.Usage{Segments: before.Segments + 2, Pages: before.Pages + 1 + 4, Resident: before.Resident, Swapped: before.Swapped}
		compare := func() {
			t.Helper()
			got, err := sysv.GetUsage()
			check(t, err)
			l, err := sysv.GetLimits()
			check(t, err)
			if want.Highest = l.Highest; got != want {
				t.Errorf("usage is %+v, want %+v", got, want)
			}
		}
		compare()
		a.Bytes()[0] = 1
		want.Resident++
		compare()
		b.Bytes()[0] = 1
		b.Bytes()[3*page] = 1
		want.Resident += 2
		compare()
	})

	t.Run("SV-123", func(t *testing.T) {
		needKernel(t, "the emulator does not know SHM_STAT_ANY")
		id := private(t, 55, 0)
		p := nobody(t)
		p.fails(syscall.EACCES, "statindex", int64(id.Index()))
		p.fails(syscall.EACCES, "stat", int64(id))
		if s := decode(p.must("statany", int64(id.Index()))); s.ID != id || s.Size != 55 || s.Mode != 0 || s.UID != uint32(os.Geteuid()) {
			t.Errorf("SHM_STAT_ANY says %+v", s)
		}
		// The listing by shmctl rests on it.
		if got := p.must("table"); !slices.Contains(got, int64(id)) {
			t.Errorf("a stranger's table has %v, want %d in it", got, id)
		}
		p.Wait()
	})
}
