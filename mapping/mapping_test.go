package mapping_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestUnmap(t *testing.T) {
	shmtest.CheckLeaks(t)
	m, err := mapping.SharedAnonymous(3*page+7, rw, at(far(t, 4*page)))
	must(t, err)
	if m.Len() != 3*page+7 || len(m.Bytes()) != m.Len() || cap(m.Bytes()) != m.Len() {
		t.Errorf("length %d, bytes %d of %d", m.Len(), len(m.Bytes()), cap(m.Bytes()))
	}
	addr := m.Addr()
	must(t, m.Unmap())
	must(t, m.Unmap())
	if m.Bytes() != nil || m.Addr() != addr {
		t.Errorf("%d bytes at %#x after Unmap", len(m.Bytes()), m.Addr())
	}
	if got := ranges(t, addr, 4*page); got != nil {
		t.Errorf("%v still mapped", got)
	}
	_, residentErr := m.Resident(0, page)
	_, duplicateErr := m.Duplicate()
	for name, err := range map[string]error{
		"UnmapRange": m.UnmapRange(0, page), "Protect": m.Protect(0, page, rw), "Sync": m.Sync(0, page, mapping.MS_SYNC),
		"Advise": m.Advise(0, page, mapping.MADV_NORMAL), "Lock": m.Lock(0, page), "Unlock": m.Unlock(0, page),
		"Resident": residentErr, "Remap": m.Remap(page, 0, 0), "Duplicate": duplicateErr,
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Unmap: %v", name, err)
		}
	}
}

// TestUnmapLeavesStrangersAlone maps something else where a Mapping has given
// a part of itself back.
func TestUnmapLeavesStrangersAlone(t *testing.T) {
	m, err := mapping.PrivateAnonymous(4*page, rw, at(far(t, 4*page)))
	must(t, err)
	must(t, m.UnmapRange(page, 2*page))
	other := mapped(t)(mapping.PrivateAnonymous(page, rw, at(m.Addr()+uintptr(2*page))))
	copy(other.Bytes(), "theirs")
	refused(t, m.Advise(0, 4*page, mapping.MADV_DONTNEED), syscall.ENOMEM)
	refused(t, m.Advise(2*page, page, mapping.MADV_DONTNEED), syscall.ENOMEM)
	refused(t, m.Protect(2*page, page, mapping.PROT_NONE), syscall.ENOMEM)
	refused(t, m.Remap(8*page, mapping.MREMAP_MAYMOVE, 0), syscall.ENOMEM)
	must(t, m.UnmapRange(0, 4*page))
	must(t, m.Unmap())
	if string(other.Bytes()[:6]) != "theirs" {
		t.Error("a stranger's memory was touched")
	}
	if got := ranges(t, m.Addr(), 4*page); !equal(got, [][2]int{{2, 3}}) {
		t.Errorf("%v are mapped", got)
	}
}

func TestUnmapRange(t *testing.T) {
	m := mapped(t)(mapping.PrivateAnonymous(8*page, rw, at(far(t, 8*page))))
	for _, step := range []struct {
		offset, length int
		left           [][2]int
	}{
		{page, 1, [][2]int{{0, 1}, {2, 8}}},
		{page, page, [][2]int{{0, 1}, {2, 8}}},
		{3 * page, page + 1, [][2]int{{0, 1}, {2, 3}, {5, 8}}},
		{2 * page, 4 * page, [][2]int{{0, 1}, {6, 8}}},
		{7 * page, page, [][2]int{{0, 1}, {6, 7}}},
		{0, 8 * page, nil},
	} {
		must(t, m.UnmapRange(step.offset, step.length))
		if got := ranges(t, m.Addr(), 8*page); !equal(got, step.left) {
			t.Errorf("after %d bytes from %d on %v are mapped, want %v", step.length, step.offset, got, step.left)
		}
	}
	// Nothing is left, as after Unmap.
	if err := m.UnmapRange(0, page); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

func TestOutside(t *testing.T) {
	m := mapped(t)(mapping.SharedAnonymous(page+1, rw, nil))
	for _, r := range [][2]int{{-1, 1}, {0, -1}, {0, 2*page + 1}, {2*page + 1, 0}, {page, page + 1}, {1 << 62, 1 << 62}, {page, 1<<63 - 1}} {
		_, residentErr := m.Resident(r[0], r[1])
		for name, err := range map[string]error{
			"UnmapRange": m.UnmapRange(r[0], r[1]), "Protect": m.Protect(r[0], r[1], rw), "Sync": m.Sync(r[0], r[1], mapping.MS_SYNC),
			"Advise": m.Advise(r[0], r[1], mapping.MADV_DONTNEED), "Lock": m.Lock(r[0], r[1]), "Unlock": m.Unlock(r[0], r[1]),
			"Resident": residentErr,
		} {
			if !errors.Is(err, syscall.ENOMEM) || !strings.Contains(err.Error(), "not inside the") {
				t.Errorf("%s(%d, %d): %v", name, r[0], r[1], err)
			}
		}
	}
	// Whole pages belong to the Mapping.
	must(t, m.Protect(page, page, mapping.PROT_READ))
}

func TestLock(t *testing.T) {
	if emulated {
		t.Skip("qemu's user mode keeps no count of locked pages")
	}
	m := mapped(t)(mapping.SharedAnonymous(4*page, rw, at(far(t, 4*page))))
	locked := func() bool {
		_, flags := smaps(t, m.Addr()+uintptr(page))
		return strings.Contains(flags, " lo")
	}
	must(t, m.Lock(page, 2*page))
	resident, err := m.Resident(0, 4*page)
	must(t, err)
	if want := []bool{false, true, true, false}; len(resident) != 4 || resident[0] || !resident[1] || !resident[2] || resident[3] {
		t.Errorf("resident %v, want %v", resident, want)
	}
	if !locked() {
		t.Error("not locked")
	}
	must(t, m.Unlock(page, 2*page))
	if locked() {
		t.Error("still locked")
	}
}

// smaps gives the line and the VmFlags of the mapping that has addr.
func smaps(t failer, addr uintptr) (header, flags string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	must(t, err)
	in := false
	for s := range strings.Lines(string(text)) {
		from, rest, dash := strings.Cut(s, "-")
		if to, _, blank := strings.Cut(rest, " "); dash && blank && !strings.Contains(from, ":") {
			in = number(t, from, 16) <= addr && addr < number(t, to, 16)
			header = s
		}
		if f, ok := strings.CutPrefix(s, "VmFlags:"); ok && in {
			return header, strings.TrimSuffix(f, "\n")
		}
	}
	t.Fatalf("nothing in smaps at %#x", addr)
	return
}

// TestDontFork looks at the kernel's note: a Go program has no fork to see
// what a child gets.
func TestDontFork(t *testing.T) {
	if emulated {
		t.Skip("qemu's user mode keeps advice to itself")
	}
	m := mapped(t)(mapping.SharedAnonymous(page, rw, at(far(t, page))))
	has := func(flag string) bool {
		_, flags := smaps(t, m.Addr())
		return strings.Contains(flags+" ", " "+flag+" ")
	}
	must(t, m.Advise(0, page, mapping.MADV_DONTFORK))
	if !has("dc") {
		t.Error("MADV_DONTFORK is not noted")
	}
	must(t, m.Advise(0, page, mapping.MADV_DOFORK))
	if has("dc") {
		t.Error("MADV_DOFORK is not noted")
	}
	must(t, m.Advise(0, page, mapping.MADV_DONTDUMP))
	if !has("dd") {
		t.Error("MADV_DONTDUMP is not noted")
	}
}

func TestRemap(t *testing.T) {
	if emulated {
		t.Skip("qemu's user mode has another mremap")
	}
	text := func(m *mapping.Mapping, want string) {
		t.Helper()
		if got := string(m.Bytes()[:len(want)]); got != want {
			t.Errorf("bytes %q, want %q", got, want)
		}
	}
	t.Run("grow-and-move", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		m := mapped(t)(mapping.PrivateAnonymous(page, rw, at(far(t, 2*page))))
		copy(m.Bytes(), "text")
		wall := mapped(t)(mapping.PrivateAnonymous(page, rw, at(m.Addr()+uintptr(page))))
		old := m.Addr()
		refused(t, m.Remap(2*page, 0, 0), syscall.ENOMEM)
		text(m, "text")
		must(t, m.Remap(64*page, mapping.MREMAP_MAYMOVE, 0))
		text(m, "text")
		if m.Addr() == old || m.Len() != 64*page {
			t.Errorf("%d bytes at %#x", m.Len(), m.Addr())
		}
		m.Bytes()[64*page-1] = 1
		if isMapped(old) {
			t.Error("the old place is still mapped")
		}
		wall.Bytes()[0] = 1
		must(t, m.Remap(5, 0, 0))
		if m.Len() != 5 || len(m.Bytes()) != 5 {
			t.Errorf("length %d", m.Len())
		}
		text(m, "text")
	})
	t.Run("fixed", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		m := mapped(t)(mapping.PrivateAnonymous(4*page, rw, at(far(t, 4*page))))
		copy(m.Bytes(), "text")
		old, to := m.Addr(), far(t, 4*page)
		must(t, m.Remap(2*page, mapping.MREMAP_MAYMOVE|mapping.MREMAP_FIXED, to))
		text(m, "text")
		if m.Addr() != to || m.Len() != 2*page {
			t.Errorf("%d bytes at %#x", m.Len(), m.Addr())
		}
		if got := ranges(t, old, 4*page); got != nil {
			t.Errorf("%v of the old place are still mapped", got)
		}
	})
	t.Run("a-shrinking-move-that-fails", func(t *testing.T) {
		// The new place overlaps the old one. What is not the Mapping's any
		// more is not touched by Unmap.
		m := mapped(t)(mapping.PrivateAnonymous(4*page, rw, at(far(t, 4*page))))
		copy(m.Bytes(), "text")
		refused(t, m.Remap(2*page, mapping.MREMAP_MAYMOVE|mapping.MREMAP_FIXED, m.Addr()+uintptr(page)), syscall.EINVAL)
		text(m, "text")
		if got := ranges(t, m.Addr(), 4*page); !equal(got, [][2]int{{0, m.Len() / page}}) {
			t.Errorf("%v are mapped, the Mapping has %d bytes", got, m.Len())
		}
	})
	t.Run("refused", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(2*page, rw, nil))
		refused(t, m.Remap(0, 0, 0), syscall.EINVAL)
		refused(t, m.Remap(-page, mapping.MREMAP_MAYMOVE, 0), syscall.EINVAL)
		refused(t, m.Remap(page, mapping.MREMAP_MAYMOVE|mapping.MREMAP_DONTUNMAP, 0), syscall.EINVAL)
		refused(t, m.Remap(page, mapping.MREMAP_MAYMOVE|mapping.MREMAP_FIXED, 0), syscall.EPERM)
		refused(t, m.Remap(page, mapping.MREMAP_MAYMOVE|mapping.MREMAP_FIXED, 1), syscall.EINVAL)
		if err := m.Remap(1<<62, mapping.MREMAP_MAYMOVE, 0); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOMEM) {
			t.Error(err)
		}
		if got := ranges(t, m.Addr(), 2*page); !equal(got, [][2]int{{0, m.Len() / page}}) {
			t.Errorf("%v are mapped, the Mapping has %d bytes", got, m.Len())
		}
	})
	t.Run("shared-memory-does-not-grow", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(page, rw, nil))
		must(t, m.Remap(2*page, mapping.MREMAP_MAYMOVE, 0))
		if _, faulted := fault(func() { m.Bytes()[page] = 1 }); !faulted {
			t.Error("the documentation is wrong: it grows")
		}
	})
}

func TestHuge(t *testing.T) {
	if emulated {
		t.Skip("qemu's user mode has no huge pages")
	}
	const huge = 2 << 20
	shmtest.NeedHugePages(t, 4)
	for _, size := range []int{1, huge} {
		m, err := mapping.PrivateAnonymous(huge+1, rw, &mapping.Options{Huge: size, Addr: far(t, 2*huge)})
		must(t, err)
		m.Bytes()[huge] = 1
		if m.Len() != huge+1 {
			t.Errorf("length %d", m.Len())
		}
		refused(t, m.UnmapRange(page, huge), syscall.EINVAL)
		// A part of a huge page goes with the whole.
		must(t, m.UnmapRange(0, page))
		if got := ranges(t, m.Addr(), 2*huge); !equal(got, [][2]int{{huge / page, 2 * huge / page}}) {
			t.Errorf("%v are mapped", got)
		}
		must(t, m.Unmap())
		if got := ranges(t, m.Addr(), 2*huge); got != nil {
			t.Errorf("%v are still mapped", got)
		}
	}
	t.Run("memfd", func(t *testing.T) {
		f, err := memfd.CreateSized("huge", 2*huge, &memfd.Options{Huge: huge})
		must(t, err)
		defer f.Close()
		m := mapped(t)(mapping.SharedFile(f.FD(), huge, 5, rw, at(far(t, huge))))
		if got := ranges(t, m.Addr(), 2*huge); !equal(got, [][2]int{{0, huge / page}}) {
			t.Errorf("%v are mapped", got)
		}
		must(t, m.Unmap())
		if got := ranges(t, m.Addr(), 2*huge); got != nil {
			t.Errorf("%v are still mapped", got)
		}
		n, err := mapping.SharedFile(f.FD(), int64(page), huge, rw, nil)
		notMapped(t, n, err, syscall.EINVAL)
		if !strings.Contains(err.Error(), "huge page size, 2097152") {
			t.Error(err)
		}
		d, err := m.Duplicate()
		if !errors.Is(err, fs.ErrClosed) {
			t.Error(d, err)
		}
	})
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]mapping.Options{
		"both":                {Addr: 1 << 20, Fixed: true, NoReplace: true},
		"fixed without place": {Fixed: true},
		"noreplace, no place": {NoReplace: true},
		"huge, no power of 2": {Huge: 3 << 20},
		"huge, negative":      {Huge: -1},
		"huge, smallest int":  {Huge: -1 << 63},
		"fixed, unaligned":    {Addr: far(t, page) + 1, Fixed: true},
		"huge, unknown size":  {Huge: 1 << 13},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "huge, unknown size" && emulated {
				t.Skip("qemu's user mode does not pass MAP_HUGETLB on")
			}
			m, err := mapping.PrivateAnonymous(page, rw, &o)
			notMapped(t, m, err, syscall.EINVAL)
		})
	}
	t.Run("a hint is aligned or not", func(t *testing.T) {
		mapped(t)(mapping.SharedAnonymous(page, rw, &mapping.Options{Addr: 12345}))
	})
}

func TestErrorText(t *testing.T) {
	readOnly := again(t, tempFile(t, pages(1)), os.O_RDONLY)
	for _, c := range []struct {
		err        func() error
		text, hint string
	}{
		{func() error { _, err := mapping.PrivateAnonymous(0, rw, nil); return err },
			"shm: mmap 0 bytes: the length must be at least 1: invalid argument", ""},
		{func() error { _, err := mapping.PrivateAnonymous(-5, rw, nil); return err },
			"shm: mmap -5 bytes: the length must be at least 1: cannot allocate memory", ""},
		{func() error { _, err := mapping.SharedFile(fd(readOnly), 5, 8, mapping.PROT_READ, nil); return err },
			"from 5 on: the offset is not a multiple of the page size: invalid argument", "map from a multiple of"},
		{func() error { _, err := mapping.SharedFile(fd(readOnly), 0, 8, rw, nil); return err },
			"the descriptor's access mode does not allow it: permission denied", "O_RDWR"},
		{func() error { _, err := mapping.SharedFile(-1, 0, 8, rw, nil); return err },
			"8 bytes of descriptor -1 from 0 on: the descriptor is not open, or was opened with O_PATH: bad file descriptor", ""},
		{func() error { _, err := mapping.PrivateAnonymous(1<<62, rw, nil); return err },
			"not enough address space", "vm.max_map_count"},
		{func() error {
			_, err := mapping.SharedFile(fd(readOnly), 1<<63-1<<20, 1<<20, mapping.PROT_READ, nil)
			return err
		},
			"no file reaches so far: value too large", ""},
		{func() error { _, err := mapping.Mmap(0, 8, rw, mapping.MAP_ANONYMOUS, -1, 0); return err },
			"one of MAP_SHARED and MAP_PRIVATE is needed", ""},
	} {
		err := c.err()
		var e *sys.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.text) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("error: %v, want %q with the hint %q", err, c.text, c.hint)
		}
	}
	m := mapped(t)(mapping.SharedFile(fd(readOnly), 0, 8, mapping.PROT_READ, nil))
	if err := m.Protect(0, page, rw); err == nil || !strings.Contains(err.Error(), "the descriptor it was mapped by does not allow this protection") {
		t.Error(err)
	}
}

// TestConcurrent calls methods from several goroutines while parts go.
func TestConcurrent(t *testing.T) {
	const n = 64
	m := mapped(t)(mapping.SharedAnonymous(n*page, rw, at(far(t, n*page))))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < n; i += 4 {
				m.Resident(0, n*page)
				m.Protect(i*page, page, mapping.PROT_READ)
				m.Len()
				if err := m.UnmapRange(i*page, page); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := ranges(t, m.Addr(), n*page); got != nil {
		t.Errorf("%v are still mapped", got)
	}
}
