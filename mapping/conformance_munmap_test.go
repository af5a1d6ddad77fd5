package mapping_test

import (
	"bytes"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/shmtest"
)

// ranges gives what of the n bytes from addr on is mapped, as numbers of
// pages: {0, 2} are the first two.
func ranges(t failer, addr uintptr, n int) (got [][2]int) {
	t.Helper()
	for _, l := range maps(t, addr, n) {
		from, to := int(max(l.start, addr)-addr)/page, int(min(l.end, addr+uintptr(n))-addr)/page
		if i := len(got) - 1; i >= 0 && got[i][1] == from {
			got[i][1] = to
			continue
		}
		got = append(got, [2]int{from, to})
	}
	return got
}

func equal(a, b [][2]int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// partial is one of the ways to unmap a part of four pages, and what is left.
type partial struct {
	name          string
	offset, pages int
	left          [][2]int
}

var partials = []partial{
	{"front", 0, 2, [][2]int{{2, 4}}},
	{"back", 2, 2, [][2]int{{0, 2}}},
	{"middle", 1, 2, [][2]int{{0, 1}, {3, 4}}},
}

// fourPages maps four pages, each filled with 1, of what kind says: anonymous
// or /dev/zero, to be merged or not.
func fourPages(t failer, kind string) *mapping.Mapping {
	t.Helper()
	addr := far(t, 4*page)
	var m *mapping.Mapping
	var err error
	if kind == "zero" || kind == "mergeable-zero" {
		f, e := os.OpenFile("/dev/zero", os.O_RDWR, 0)
		must(t, e)
		defer f.Close()
		m, err = mapping.PrivateFile(fd(f), 0, 4*page, rw, at(addr))
	} else {
		m, err = mapping.PrivateAnonymous(4*page, rw, at(addr))
	}
	must(t, err)
	for i := range m.Bytes() {
		m.Bytes()[i] = 1
	}
	if kind == "mergeable-zero" || kind == "mergeable-anonymous" {
		must(t, m.Advise(0, 4*page, mapping.MADV_MERGEABLE))
	}
	return m
}

func init() {
	shmtest.Handle("unmap parts", func(c *shmtest.Child) {
		for _, p := range partials {
			m := fourPages(c, c.Args[0])
			c.Check(m.UnmapRange(p.offset*page, p.pages*page))
			if got := ranges(c, m.Addr(), 4*page); !equal(got, p.left) {
				c.Fatalf("%s: the pages %v are mapped, want %v", p.name, got, p.left)
			}
			for _, r := range p.left {
				if b := m.Bytes()[r[0]*page : r[1]*page]; bytes.Count(b, []byte{1}) != len(b) {
					c.Fatalf("%s: bytes of %v changed", p.name, r)
				}
			}
			c.Check(m.Unmap())
			if got := ranges(c, m.Addr(), 4*page); got != nil {
				c.Fatalf("%s: %v are still mapped", p.name, got)
			}
		}
	})
}

func TestConformanceMunmap(t *testing.T) {
	for _, kind := range []string{"anonymous", "zero", "mergeable-anonymous", "mergeable-zero"} {
		t.Run("MM-009/"+kind, func(t *testing.T) {
			if _, err := os.Stat("/sys/kernel/mm/ksm"); err != nil && kind[0] == 'm' {
				t.Skip("needs a kernel with KSM")
			}
			m := fourPages(t, kind)
			shmtest.Start(t, "unmap parts", kind).Wait()
			must(t, m.Unmap())
			if got := ranges(t, m.Addr(), 4*page); got != nil {
				t.Errorf("%v are still mapped", got)
			}
		})
	}
	t.Run("MM-023", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(4*page, rw, nil))
		for _, c := range []struct{ offset, length int }{{1, page}, {page / 2, page}, {page, 0}} {
			refused(t, m.UnmapRange(c.offset, c.length), syscall.EINVAL)
			// The kernel, asked directly, answers the same.
			if err := sys.Munmap(m.Addr()+uintptr(c.offset), uintptr(c.length)); err != syscall.EINVAL {
				t.Errorf("munmap(%d, %d) gave %v", c.offset, c.length, err)
			}
		}
		if got := ranges(t, m.Addr(), 4*page); !equal(got, [][2]int{{0, 4}}) {
			t.Errorf("%v are mapped", got)
		}
	})
	t.Run("MM-066", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(2*page, rw, nil))
		refused(t, m.UnmapRange(page+1, page-1), syscall.EINVAL)
		if err := sys.Munmap(m.Addr()+1, uintptr(page)); err != syscall.EINVAL {
			t.Errorf("munmap gave %v", err)
		}
		m.Bytes()[0], m.Bytes()[2*page-1] = 1, 1
	})
	t.Run("MM-069", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(page, rw, nil))
		refused(t, m.UnmapRange(0, 0), syscall.EINVAL)
		if err := sys.Munmap(m.Addr(), 0); err != syscall.EINVAL {
			t.Errorf("munmap gave %v", err)
		}
		m.Bytes()[0] = 1
	})
	t.Run("MM-096", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(3*page, rw, at(far(t, 3*page))))
		m.Bytes()[page-1], m.Bytes()[2*page] = 1, 3
		must(t, m.UnmapRange(page, page))
		if got := ranges(t, m.Addr(), 3*page); !equal(got, [][2]int{{0, 1}, {2, 3}}) {
			t.Errorf("the pages %v are mapped", got)
		}
		if b := m.Bytes(); b[page-1] != 1 || b[2*page] != 3 {
			t.Error("bytes beside the hole changed")
		}
	})
	t.Run("MM-109/the-collector-leaves-it-alone", func(t *testing.T) {
		// Nothing in Go refers to the memory while the collector runs.
		addr, length := func() (uintptr, int) {
			m, err := mapping.PrivateAnonymous(4*page, rw, nil)
			must(t, err)
			copy(m.Bytes(), pages(4))
			return m.Addr(), m.Len()
		}()
		collect()
		b := mem.At(addr, length).Bytes()
		if !bytes.Equal(b, pages(4)) {
			t.Error("the bytes changed")
		}
		must(t, sys.Munmap(addr, uintptr(length)))
	})
	t.Run("MM-109/a-slice-is-not-the-mapping", func(t *testing.T) {
		// What is made of Bytes does not matter to Unmap.
		m := mapped(t)(mapping.PrivateAnonymous(2*page, rw, at(far(t, 2*page))))
		b := m.Bytes()[page:]
		b = append(b, 1)
		b[0] = 1
		must(t, m.Unmap())
		if got := ranges(t, m.Addr(), 2*page); got != nil {
			t.Errorf("%v are still mapped", got)
		}
		// shmdt, which takes the address alone, needs the first one.
		id, err := sys.Shmget(sys.IPC_PRIVATE, uintptr(2*page), 0o600)
		must(t, err)
		addr, err := sys.Shmat(id, 0, 0)
		must(t, err)
		_, err = sys.Shmctl(id, sys.IPC_RMID, 0)
		must(t, err)
		if err := sys.Shmdt(addr + uintptr(page)); err != syscall.EINVAL {
			t.Errorf("shmdt inside of the segment gave %v", err)
		}
		must(t, sys.Shmdt(addr))
	})
	t.Run("MM-110", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(page, rw, nil))
		r := mem.Of(m.Bytes())
		for off := range int64(16) {
			if _, err := mem.Atomic[atomic.Uint32](r, off); (err == nil) != (off%4 == 0) {
				t.Errorf("4 bytes at %d: %v", off, err)
			}
			if _, err := mem.Atomic[atomic.Uint64](r, off); (err == nil) != (off%8 == 0) {
				t.Errorf("8 bytes at %d: %v", off, err)
			}
		}
		word, err := mem.Atomic[atomic.Uint64](r, 8)
		must(t, err)
		word.Store(0x0102030405060708)
		if b := m.Bytes(); b[8] != 8 || b[15] != 1 {
			t.Errorf("bytes %v", b[8:16])
		}
	})
}
