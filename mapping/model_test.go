package mapping_test

import (
	"errors"
	"io/fs"
	"math/bits"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

// The model of a Mapping is a row of units (pages, or huge pages) of address
// space, far from everybody else. A unit is free, or the Mapping's, or a
// stranger's: somebody who mapped something where the Mapping had given a
// part of itself back. The test checks after every step that what is mapped
// is what the model says, that each unit has the bytes that were stored in
// it, and, at the end, that Unmap leaves the strangers alone.

const window = 24 // units

type owner uint8

const (
	free owner = iota
	ours
	stranger
)

type model struct {
	unit      int
	start     uintptr // of the window
	flags     int     // for mmap, of the Mapping
	strangers int     // flags for theirs
	fd        int     // and what it maps: with MAP_SHARED a memfd as long as the window
	units     [window]owner
	prot      [window]int
	mark      [window]byte // what is stored at the start of a unit
	file      [window]byte // the same for the units of the memfd
	next      byte
	m         *mapping.Mapping
	first     int // unit where the Mapping starts
	length    int // in bytes, as asked for
}

func (s *model) pages(n int) int         { return (n + s.unit - 1) / s.unit }
func (s *model) addr(unit int) uintptr   { return s.start + uintptr(unit*s.unit) }
func (s *model) bytes(unit int) []byte   { return mem.At(s.addr(unit), s.unit).Bytes() }
func (s *model) isLive() bool            { return slices.Contains(s.units[:], ours) }
func (s *model) readable(unit int) bool  { return s.prot[unit]&mapping.PROT_READ != 0 }
func (s *model) writable(unit int) bool  { return s.prot[unit]&mapping.PROT_WRITE != 0 }
func (s *model) whole() int              { return s.pages(s.length) * s.unit }
func (s *model) set(unit int, o owner)   { s.units[unit], s.prot[unit], s.mark[unit] = o, rw, 0 }
func (s *model) inside(unit, n int) bool { return unit >= 0 && unit+n <= window }

// content is where the model keeps what is stored in a unit.
func (s *model) content(unit int) *byte {
	if s.fd >= 0 && s.units[unit] == ours {
		return &s.file[unit-s.first]
	}
	return &s.mark[unit]
}

func (s *model) store(unit int) {
	s.next++
	s.bytes(unit)[0], *s.content(unit) = s.next, s.next
}

// owned says what the methods that work on a range must answer: success, or
// an error before the kernel is asked.
func (s *model) owned(offset, length int) error {
	if !s.isLive() {
		return fs.ErrClosed
	}
	if offset < 0 || length < 0 || offset > s.whole() || length > s.whole()-offset {
		return syscall.ENOMEM
	}
	for u := offset / s.unit; u < s.pages(offset+length); u++ {
		if s.units[s.first+u] != ours {
			return syscall.ENOMEM
		}
	}
	return nil
}

func (s *model) map_(t *rapid.T) {
	s.first = rapid.IntRange(0, window-8).Draw(t, "first")
	s.length = rapid.IntRange(1, 8*s.unit).Draw(t, "length")
	m, err := mapping.Mmap(s.addr(s.first), s.length, rw, s.flags|mapping.MAP_FIXED_NOREPLACE, s.fd, 0)
	must(t, err)
	s.m = m
	for u := range s.pages(s.length) {
		s.set(s.first+u, ours)
		s.store(s.first + u)
	}
}

// span draws a range; most of them start at a unit and lie inside.
func (s *model) span(t *rapid.T) (offset, length int) {
	n := s.whole() / s.unit
	switch rapid.IntRange(0, 9).Draw(t, "range") {
	case 0:
		return rapid.IntRange(-s.unit, s.whole()+s.unit).Draw(t, "offset"), rapid.IntRange(-1, s.whole()+s.unit).Draw(t, "length")
	case 1:
		offset = rapid.IntRange(0, n).Draw(t, "unit") * s.unit
		return offset, rapid.IntRange(0, s.whole()-offset).Draw(t, "length")
	}
	unit := rapid.IntRange(0, n-1).Draw(t, "unit")
	return unit * s.unit, rapid.IntRange(1, n-unit).Draw(t, "units") * s.unit
}

func (s *model) unmapRange(t *rapid.T) {
	offset, length := s.span(t)
	err := s.m.UnmapRange(offset, length)
	var want error
	switch {
	case !s.isLive():
		want = fs.ErrClosed
	case offset < 0 || length < 0 || offset > s.whole() || length > s.whole()-offset:
		want = syscall.ENOMEM
	case length == 0 || offset%s.unit != 0:
		want = syscall.EINVAL
	}
	if !errors.Is(err, want) {
		t.Fatalf("UnmapRange(%d, %d) of %d: %v, want %v", offset, length, s.length, err, want)
	}
	if want == nil {
		for u := offset / s.unit; u < s.pages(offset+length); u++ {
			if s.units[s.first+u] == ours {
				s.set(s.first+u, free)
			}
		}
	}
}

// squat lets a stranger have a free unit.
func (s *model) squat(t *rapid.T) {
	unit := rapid.IntRange(0, window-1).Draw(t, "unit")
	if s.units[unit] != free {
		t.Skip("taken")
	}
	_, err := sys.Mmap(s.addr(unit), uintptr(s.unit), rw, s.strangers|mapping.MAP_FIXED_NOREPLACE, -1, 0)
	must(t, err)
	s.set(unit, stranger)
	s.store(unit)
}

func (s *model) protect(t *rapid.T) {
	offset, length := s.span(t)
	if s.unit != page && (offset%s.unit != 0 || length%s.unit != 0) {
		t.Skip("it depends on the protection before what the kernel does with a part of a huge page")
	}
	prot := rapid.SampledFrom([]int{mapping.PROT_NONE, mapping.PROT_READ, rw}).Draw(t, "prot")
	err := s.m.Protect(offset, length, prot)
	want := s.owned(offset, length)
	if want == nil && offset%page != 0 {
		want = syscall.EINVAL
	}
	if !errors.Is(err, want) {
		t.Fatalf("Protect(%d, %d): %v, want %v", offset, length, err, want)
	}
	if want == nil {
		for u := offset / s.unit; u < s.pages(offset+length) && length > 0; u++ {
			s.prot[s.first+u] = prot
		}
	}
}

// look calls what changes nothing, which must be refused where a part of the
// range is not the Mapping's.
func (s *model) look(t *rapid.T) {
	offset, length := s.span(t)
	want := s.owned(offset, length)
	resident, residentErr := s.m.Resident(offset, length)
	for name, err := range map[string]error{
		"Resident": residentErr,
		"Sync":     s.m.Sync(offset, length, mapping.MS_ASYNC),
		"Advise":   s.m.Advise(offset, length, mapping.MADV_NORMAL),
	} {
		switch {
		case want != nil && !errors.Is(err, want):
			t.Fatalf("%s(%d, %d): %v, want %v", name, offset, length, err, want)
		case want == nil && offset%page != 0 && length > 0 && !errors.Is(err, syscall.EINVAL):
			t.Fatalf("%s(%d, %d): %v, want EINVAL", name, offset, length, err)
		case want == nil && offset%page == 0 && err != nil:
			t.Fatalf("%s(%d, %d): %v", name, offset, length, err)
		}
	}
	if residentErr == nil && len(resident) != (length+page-1)/page {
		t.Fatalf("%d pages in %d bytes", len(resident), length)
	}
}

// remap changes the length in place, or moves to another place of the window.
func (s *model) remap(t *rapid.T) {
	length := rapid.OneOf(rapid.IntRange(1, 10*s.unit), rapid.IntRange(-1, 0)).Draw(t, "length")
	n := s.pages(length)
	flags, to := 0, s.first
	if rapid.Bool().Draw(t, "move") {
		to = rapid.IntRange(0, window-1).Draw(t, "to")
		if !s.inside(to, n) {
			t.Skip("outside of the window")
		}
		for u := to; u < to+n; u++ {
			if s.units[u] != free {
				t.Skip("something would be replaced")
			}
		}
		flags = mapping.MREMAP_MAYMOVE | mapping.MREMAP_FIXED
	}
	want := s.owned(0, s.whole())
	old := s.whole() / s.unit
	varied := false
	for u := range old {
		varied = varied || s.prot[s.first+u] != s.prot[s.first]
	}
	newAddr := uintptr(0)
	if flags != 0 {
		newAddr = s.addr(to)
	}
	err := s.m.Remap(length, flags, newAddr)
	if want == nil {
		roomAfter := s.inside(s.first, n)
		for u := s.first + old; roomAfter && u < s.first+n; u++ {
			roomAfter = s.units[u] == free
		}
		switch {
		case length <= 0:
			want = syscall.EINVAL
		case s.unit != page && n > old:
			want = syscall.EINVAL
		case varied && (n > old || flags != 0):
			// Several mappings to the kernel, which moves and grows but one
			// (or, from 6.17 on, moves several of unchanged length).
			if err != nil {
				if !errors.Is(err, syscall.EFAULT) {
					t.Fatalf("Remap(%d, %#x) of varied protection: %v", length, flags, err)
				}
				if flags == 0 || n >= old {
					return
				}
				// It was shortened before it was to be moved.
				s.shrunk(n, length)
				return
			}
		case flags == 0 && n > old && !roomAfter:
			want = syscall.ENOMEM
		}
	}
	if !errors.Is(err, want) {
		t.Fatalf("Remap(%d, %#x) of %d: %v, want %v", length, flags, s.length, err, want)
	}
	if want != nil {
		return
	}
	s.moved(to, n, length)
}

func (s *model) shrunk(n, length int) {
	for u := s.first + n; u < s.first+s.whole()/s.unit; u++ {
		s.set(u, free)
	}
	s.length = length
}

func (s *model) moved(to, n, length int) {
	old := s.whole() / s.unit
	var before model = *s
	for u := range old {
		s.set(s.first+u, free)
	}
	for u := range n {
		s.set(to+u, ours)
		from := before.first + min(u, old-1)
		s.prot[to+u] = before.prot[from]
		if u < old {
			s.mark[to+u] = before.mark[from]
		}
	}
	s.first, s.length = to, length
}

func (s *model) duplicate(t *rapid.T) {
	want := s.owned(0, s.whole())
	if want == nil && (s.unit != page || s.fd < 0) {
		want = syscall.EINVAL
	}
	d, err := s.m.Duplicate()
	if !errors.Is(err, want) {
		t.Fatalf("Duplicate: %v, want %v", err, want)
	}
	if err != nil {
		return
	}
	defer d.Unmap()
	if d.Len() != s.length {
		t.Fatalf("the duplicate has %d bytes, want %d", d.Len(), s.length)
	}
	if s.readable(s.first) {
		for u := range s.whole() / s.unit {
			if b := d.Bytes()[u*s.unit]; b != *s.content(s.first + u) {
				t.Fatalf("unit %d of the duplicate has %d, want %d", u, b, *s.content(s.first + u))
			}
		}
	}
}

// rewrite stores something else in a unit.
func (s *model) rewrite(t *rapid.T) {
	unit := rapid.IntRange(0, window-1).Draw(t, "unit")
	if s.units[unit] == free || !s.writable(unit) {
		t.Skip("cannot be written")
	}
	s.store(unit)
}

func (s *model) unmap(t *rapid.T) {
	must(t, s.m.Unmap())
	must(t, s.m.Unmap())
	for u := range s.units {
		if s.units[u] == ours {
			s.set(u, free)
		}
	}
	s.check(t)
	if s.m.Bytes() != nil {
		t.Fatal("Bytes gives unmapped memory")
	}
	if rapid.Bool().Draw(t, "stays") {
		return
	}
	// Strangers go, and a new Mapping comes.
	s.evict(t)
	s.map_(t)
}

func (s *model) evict(t failer) {
	for u, o := range s.units {
		if o == stranger {
			must(t, sys.Munmap(s.addr(u), uintptr(s.unit)))
			s.set(u, free)
		}
	}
}

func (s *model) check(t failer) {
	t.Helper()
	var perms [window]string
	for _, l := range maps(t, s.start, window*s.unit) {
		for a := max(l.start, s.start); a < min(l.end, s.addr(window)); a += uintptr(s.unit) {
			perms[int(a-s.start)/s.unit] = l.perms[:2]
		}
	}
	for u, o := range s.units {
		want := ""
		if o != free {
			want = map[int]string{mapping.PROT_NONE: "--", mapping.PROT_READ: "r-", rw: "rw"}[s.prot[u]]
		}
		if perms[u] != want {
			t.Fatalf("unit %d is %q, want %q: %v", u, perms[u], want, s.units)
		}
		if o == free || !s.readable(u) {
			continue
		}
		if b := s.bytes(u)[0]; b != *s.content(u) {
			t.Fatalf("unit %d has %d, want %d", u, b, *s.content(u))
		}
	}
	if s.isLive() {
		if s.m.Addr() != s.addr(s.first) || s.m.Len() != s.length || len(s.m.Bytes()) != s.length {
			t.Fatalf("%d bytes at %#x, want %d at %#x", s.m.Len(), s.m.Addr(), s.length, s.addr(s.first))
		}
	}
}

func testModel(t *testing.T, unit int, shared bool) {
	start := far(t, (window+1)*unit)
	// Nothing grows out of the window.
	mapped(t)(mapping.PrivateAnonymous(page, mapping.PROT_NONE, at(start+uintptr(window*unit))))
	rapid.Check(t, func(rt *rapid.T) {
		s := &model{unit: unit, start: start, fd: -1, strangers: mapping.MAP_PRIVATE | mapping.MAP_ANONYMOUS}
		huge := int64(0)
		if unit != page {
			huge = int64(unit)
			s.strangers |= mapping.MAP_HUGETLB | bits.TrailingZeros(uint(unit))<<sys.HUGE_SHIFT
		}
		s.flags = s.strangers
		if shared {
			f, err := memfd.CreateSized("model", int64(window*unit), &memfd.Options{Huge: huge, Sparse: true})
			must(rt, err)
			defer f.Close()
			s.flags, s.fd = mapping.MAP_SHARED, f.FD()
		}
		s.map_(rt)
		defer func() {
			must(t, s.m.Unmap())
			s.evict(t)
			if left := maps(t, start, window*unit); len(left) != 0 {
				t.Fatalf("left: %+v", left)
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"":           func(rt *rapid.T) { s.check(rt) },
			"UnmapRange": s.unmapRange,
			"Squat":      s.squat,
			"Protect":    s.protect,
			"Look":       s.look,
			"Remap":      s.remap,
			"Duplicate":  s.duplicate,
			"Rewrite":    s.rewrite,
			"Unmap":      s.unmap,
		})
	})
}

func TestModel(t *testing.T) {
	if emulated {
		t.Skip("the answers are those of the kernel, not of qemu's user mode")
	}
	for name, shared := range map[string]bool{"private": false, "shared": true} {
		t.Run(name, func(t *testing.T) { testModel(t, page, shared) })
		t.Run(name+"-huge", func(t *testing.T) {
			shmtest.NeedHugePages(t, 2*window)
			testModel(t, 2<<20, shared)
		})
	}
}
