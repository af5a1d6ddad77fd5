//go:build linux

package sysv_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestConformanceGet is about finding and making segments, in one process.
func TestConformanceGet(t *testing.T) {
	t.Run("SV-045", func(t *testing.T) {
		seen := map[sysv.ID]bool{}
		for _, flags := range []int{0o600, 0o600, 0o600 | sysv.IPC_CREAT, 0o600 | sysv.IPC_EXCL, 0o600 | sysv.IPC_CREAT | sysv.IPC_EXCL} {
			id, err := sysv.Get(sysv.IPC_PRIVATE, 1, flags)
			check(t, err)
			t.Cleanup(func() { sysv.Remove(id) })
			if seen[id] {
				t.Errorf("flags %#o: the segment %d was there already", flags, id)
			}
			seen[id] = true
			if s := stat(t, id); s.Key != sysv.IPC_PRIVATE || s.Size != 1 {
				t.Errorf("flags %#o: key %v and %d bytes", flags, s.Key, s.Size)
			}
		}
	})

	t.Run("SV-046", func(t *testing.T) {
		key := newKey(t)
		id := create(t, key, 100, 0o600)
		for _, size := range []int64{0, 1, 99, 100} {
			if got, err := sysv.Get(key, size, 0); got != id || err != nil {
				t.Errorf("size %d: %d, %v; want %d", size, got, err, id)
			}
			if got, err := sysv.Get(key, size, 0o600|sysv.IPC_CREAT); got != id || err != nil {
				t.Errorf("size %d with IPC_CREAT: %d, %v; want %d", size, got, err, id)
			}
		}
		for _, size := range []int64{101, int64(page), int64(page) + 1, 1 << 40} {
			for _, flags := range []int{0, 0o600 | sysv.IPC_CREAT} {
				_, err := sysv.Get(key, size, flags)
				wantErrno(t, err, syscall.EINVAL)
			}
		}
		if s := stat(t, id); s.Size != 100 {
			t.Errorf("the segment has %d bytes now", s.Size)
		}
	})

	t.Run("SV-048", func(t *testing.T) {
		key := newKey(t)
		_, err := sysv.Get(key, 1, 0o600|sysv.IPC_EXCL)
		wantErrno(t, err, syscall.ENOENT)
		id := create(t, key, 1, 0o600)
		if got, err := sysv.Get(key, 1, 0o600|sysv.IPC_EXCL); got != id || err != nil {
			t.Errorf("existing key: %d, %v; want %d", got, err, id)
		}
	})

	t.Run("SV-049", func(t *testing.T) {
		defer syscall.Umask(syscall.Umask(0o077))
		if mode := stat(t, private(t, 1, 0o666)).Mode; mode != 0o666 {
			t.Errorf("mode is %#o, want 0666", mode)
		}
	})

	t.Run("SV-051", func(t *testing.T) {
		start := time.Now()
		key := newKey(t)
		id := create(t, key, 4097, 0o640)
		got := stat(t, id)
		wantNow(t, "ctime", got.ChangeTime, start)
		got.ChangeTime = time.Time{}
		uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
		want := sysv.Segment{ID: id, Key: key, Size: 4097, Mode: 0o640, UID: uid, CUID: uid, GID: gid, CGID: gid, CPID: os.Getpid(), Resident: -1, Swapped: -1}
		if got != want {
			t.Errorf("a fresh segment is\n%+v, want\n%+v", got, want)
		}
	})

	t.Run("SV-052", func(t *testing.T) {
		const size = 3<<20 + 17
		a := attach(t, private(t, size, 0o600), 0, 0)
		if a.Len() != size {
			t.Fatalf("%d bytes, want %d", a.Len(), size)
		}
		for i, c := range a.Bytes() {
			if c != 0 {
				t.Fatalf("byte %d is %#x", i, c)
			}
		}
	})

	t.Run("SV-061", func(t *testing.T) {
		if mode := sysctl(t, "vm.overcommit_memory"); mode != 0 {
			t.Skipf("needs the sysctl vm.overcommit_memory at 0: it is %d", mode)
		}
		var info syscall.Sysinfo_t
		check(t, syscall.Sysinfo(&info))
		size := max(int64(1<<40), 2*int64(info.Totalram+info.Totalswap)*int64(info.Unit))
		key := newKey(t)
		_, err := sysv.Get(key, size, 0o600|sysv.IPC_CREAT)
		wantErrno(t, err, syscall.ENOMEM)
		_, err = sysv.Get(key, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
		id := create(t, key, size, 0o600|sysv.SHM_NORESERVE)
		if s := stat(t, id); s.Size != size {
			t.Errorf("%d bytes, want %d", s.Size, size)
		}
	})

	t.Run("SV-068", func(t *testing.T) {
		if line, err := os.ReadFile("/proc/cmdline"); err == nil && strings.Contains(string(line), "ipcmni_extend") {
			t.Skip("needs a kernel booted without ipcmni_extend, which makes the index 24 bits")
		}
		used := map[sysv.ID]bool{}
		for range 5 {
			id, err := sysv.Get(sysv.IPC_PRIVATE, 1, 0o600)
			check(t, err)
			t.Cleanup(func() { sysv.Remove(id) })
			if used[id] {
				t.Errorf("identifier %d was handed out again at once", id)
			}
			used[id] = true
			var ds sys.ShmidDs
			_, err = sys.ShmctlDs(int(id), sys.IPC_STAT, &ds)
			check(t, err)
			index := int(id) % 32768
			if want := int(ds.Perm.Seq)*32768 + index; int(id) != want && !emulated() {
				t.Errorf("identifier %d with sequence number %d and index %d, want %d", id, ds.Perm.Seq, index, want)
			}
			if id.Index() != index {
				t.Errorf("Index is %d, want %d", id.Index(), index)
			}
			if s, err := sysv.StatIndex(index); err != nil || s.ID != id {
				t.Errorf("index %d has segment %d, %v; want %d", index, s.ID, err, id)
			}
			check(t, sysv.Remove(id))
			wantGone(t, id)
		}
	})

	t.Run("SV-148", func(t *testing.T) {
		// More than any address space holds: creating it succeeds, attaching
		// it cannot.
		key := newKey(t)
		id, err := sysv.Get(key, 1<<57, 0o600|sysv.IPC_CREAT|sysv.IPC_EXCL|sysv.SHM_NORESERVE)
		if errors.Is(err, syscall.ENOMEM) {
			t.Skip("needs a kernel that accounts nothing for SHM_NORESERVE (the sysctl vm.overcommit_memory is not 2)")
		}
		check(t, err)
		t.Cleanup(func() { sysv.Remove(id) })
		_, err = sysv.Attach(id, 0, 0)
		wantErrno(t, err, syscall.ENOMEM)
		// It is still there, unattached, under its key: who made it has to
		// remove it, and can.
		if got, err := sysv.Get(key, 0, 0); got != id || err != nil {
			t.Errorf("after the failure the key has %d, %v; want %d", got, err, id)
		}
		wantNattch(t, id, 0)
		check(t, sysv.Remove(id))
		_, err = sysv.Get(key, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
	})
}

// TestConformanceGetErrors is SV-015: what shmget refuses, and that it leaves
// nothing behind then.
func TestConformanceGetErrors(t *testing.T) {
	t.Run("SV-015", func(t *testing.T) {
		absent, present := newKey(t), newKey(t)
		id := create(t, present, int64(page), 0o600)
		for _, c := range []struct {
			name  string
			key   sysv.Key
			size  int64
			flags int
			want  syscall.Errno
		}{
			{"exclusive alone, absent key", absent, int64(page), sysv.IPC_EXCL, syscall.ENOENT},
			{"absent key", absent, int64(page), 0, syscall.ENOENT},
			{"exclusive creation of a present key", present, int64(page), sysv.IPC_CREAT | sysv.IPC_EXCL, syscall.EEXIST},
			{"size 0", absent, 0, sysv.IPC_CREAT, syscall.EINVAL},
			{"more than the present segment has", present, int64(page) + 1, 0, syscall.EINVAL},
		} {
			t.Run(c.name, func(t *testing.T) {
				_, err := sysv.Get(c.key, c.size, c.flags|0o600)
				wantErrno(t, err, c.want)
				if _, err := sysv.Get(absent, 0, 0); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the absent key is present: %v", err)
				}
			})
		}
		t.Run("more than shmmax", func(t *testing.T) {
			shmtest.NeedIsolation(t)
			shmtest.Sysctl(t, "kernel.shmmax", "8192")
			_, err := sysv.Get(absent, 8193, sysv.IPC_CREAT|0o600)
			wantErrno(t, err, syscall.EINVAL)
		})
		t.Run("another user's", func(t *testing.T) {
			p := nobody(t)
			p.fails(syscall.EACCES, "get", int64(present), int64(page), 0o600)
			p.Wait()
			if s := stat(t, id); s.UID != uint32(os.Geteuid()) {
				t.Errorf("the owner is %d now", s.UID)
			}
		})
		t.Run("huge pages without privilege", func(t *testing.T) {
			const memlock = 8 // RLIMIT_MEMLOCK
			p := startPeer(t, shmtest.Command{User: shmtest.Other(t), Rlimits: []shmtest.Rlimit{{Resource: memlock}}})
			p.fails(syscall.EPERM, "get", int64(absent), huge, sysv.IPC_CREAT|sysv.SHM_HUGETLB|0o600)
			p.Wait()
		})
		t.Run("huge pages that there are not", func(t *testing.T) {
			shmtest.NeedRoot(t)
			shmtest.NeedHugePages(t, 0) // nobody else changes their number
			pages := 1 + hugePagesAtMost(t)
			_, err := sysv.Get(absent, pages*huge, sysv.IPC_CREAT|sysv.SHM_HUGETLB|0o600)
			wantErrno(t, err, syscall.ENOMEM)
		})
	})
}

// hugePagesAtMost gives how many huge pages of the default size there can be.
func hugePagesAtMost(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	check(t, err)
	var total int64
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "HugePages_Total:"); ok {
			total, err = strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			check(t, err)
		}
	}
	return total + sysctl(t, "vm.nr_overcommit_hugepages")
}

// TestConformanceGetPermission is about who may find a segment by its key.
func TestConformanceGetPermission(t *testing.T) {
	p := nobody(t)
	key := newKey(t)
	id := create(t, key, int64(page), 0o600)

	t.Run("SV-054", func(t *testing.T) {
		p := p.in(t)
		if got := p.must("get", int64(key), 0, 0); got[0] != int64(id) {
			t.Errorf("a stranger gets %d, want %d", got[0], id)
		}
		// Having found it is all that the stranger can do.
		p.fails(syscall.EACCES, "attach", int64(id), 0, sysv.SHM_RDONLY)
	})
	t.Run("SV-055", func(t *testing.T) {
		p := p.in(t)
		p.fails(syscall.EACCES, "get", int64(key), 0, 0o400)
		p.fails(syscall.EACCES, "get", int64(key), int64(page), 0o400)
		// Which of the three classes is asked for does not matter.
		p.fails(syscall.EACCES, "get", int64(key), 0, 0o004)
	})
	p.Wait()
}

// TestConformanceGetLimits is about the limits of the IPC namespace.
func TestConformanceGetLimits(t *testing.T) {
	shmtest.NeedIsolation(t)

	t.Run("SV-016", func(t *testing.T) {
		limits, err := sysv.GetLimits()
		check(t, err)
		exhaust(t, int(limits.Segments))
	})
	t.Run("SV-060", func(t *testing.T) {
		usage, err := sysv.GetUsage()
		check(t, err)
		n := usage.Segments + 3
		shmtest.Sysctl(t, "kernel.shmmni", strconv.Itoa(n))
		exhaust(t, n)
	})
	t.Run("SV-057", func(t *testing.T) {
		shmtest.Sysctl(t, "kernel.shmmax", "1048576")
		key := newKey(t)
		_, err := sysv.Get(key, 1048577, 0o600|sysv.IPC_CREAT)
		wantErrno(t, err, syscall.EINVAL)
		_, err = sysv.Get(key, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
		create(t, key, 1048576, 0o600)
	})
	t.Run("SV-058", func(t *testing.T) {
		key := newKey(t)
		_, err := sysv.Get(key, -1, 0o600|sysv.IPC_CREAT)
		wantErrno(t, err, syscall.EINVAL)
		shmtest.Sysctl(t, "kernel.shmmax", "18446744073709551615")
		_, err = sysv.Get(key, -1, 0o600|sysv.IPC_CREAT)
		wantErrno(t, err, syscall.ENOSPC)
		_, err = sysv.Get(key, 0, 0)
		wantErrno(t, err, syscall.ENOENT)
	})
}

// exhaust makes segments until there are n, and one more.
func exhaust(t *testing.T, n int) {
	t.Helper()
	usage, err := sysv.GetUsage()
	check(t, err)
	for range n - usage.Segments {
		private(t, 1, 0o600)
	}
	key := newKey(t)
	_, err = sysv.Get(key, 1, 0o600|sysv.IPC_CREAT|sysv.IPC_EXCL)
	wantErrno(t, err, syscall.ENOSPC)
	_, err = sysv.Get(key, 0, 0)
	wantErrno(t, err, syscall.ENOENT)
	if usage, err := sysv.GetUsage(); err != nil || usage.Segments != n {
		t.Errorf("%d segments, %v; want %d", usage.Segments, err, n)
	}
}

// TestConformanceNextID is about choosing an identifier beforehand, as those
// who restore processes do.
func TestConformanceNextID(t *testing.T) {
	shmtest.NeedIsolation(t)
	const param = "/proc/sys/kernel/shm_next_id"
	if _, err := os.Stat(param); err != nil {
		t.Skipf("needs a kernel with CONFIG_CHECKPOINT_RESTORE: %v", err)
	}
	set := func(t *testing.T, id sysv.ID) {
		t.Helper()
		check(t, os.WriteFile(param, fmt.Appendf(nil, "%d", int(id)), 0))
	}
	wantUnset := func(t *testing.T) {
		t.Helper()
		if n := sysctl(t, "kernel.shm_next_id"); n != -1 {
			t.Errorf("kernel.shm_next_id is %d, want -1", n)
		}
	}
	for row, want := range map[string]sysv.ID{"SV-018": 5*32768 + 77, "SV-137": 1234} {
		t.Run(row, func(t *testing.T) {
			set(t, want)
			id := private(t, 1, 0o600)
			if id != want {
				t.Errorf("the new segment is %d, want %d", id, want)
			}
			wantUnset(t)
			if s := stat(t, id); s.ID != want {
				t.Errorf("the new segment says %d, want %d", s.ID, want)
			}
			if next := private(t, 1, 0o600); next == want {
				t.Errorf("the segment after it is %d too", next)
			}
		})
	}
	t.Run("SV-019", func(t *testing.T) {
		used := private(t, 1, 0o600)
		set(t, used)
		id := private(t, 2, 0o600)
		if id == used {
			t.Errorf("both segments are %d", id)
		}
		wantUnset(t)
		if s := stat(t, used); s.Size != 1 {
			t.Errorf("the first segment has %d bytes now", s.Size)
		}
	})
}
