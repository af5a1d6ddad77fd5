package mapping_test

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestConformanceKinds(t *testing.T) {
	t.Run("MM-071", func(t *testing.T) {
		m := mapped(t)(mapping.PrivateAnonymous(3*page, rw, at(far(t, 3*page))))
		if !bytes.Equal(m.Bytes(), make([]byte, 3*page)) {
			t.Error("not zero")
		}
		l := maps(t, m.Addr(), 3*page)
		want := line{m.Addr(), m.Addr() + uintptr(3*page), "rw-p", "00000000", "00:00", 0, ""}
		if len(l) != 1 || l[0] != want {
			t.Errorf("maps shows %+v, want %+v", l, want)
		}
	})
	t.Run("MM-073", func(t *testing.T) {
		shmtest.NeedRoot(t)
		m := mapped(t)(mapping.SharedAnonymous(3*page, rw, at(far(t, 3*page))))
		copy(m.Bytes(), "before")
		p := shmtest.Start(t, "map file", fmt.Sprintf("/proc/%d/map_files/%x-%x", os.Getpid(), m.Addr(), m.Addr()+uintptr(3*page)))
		p.Expect(fmt.Sprintf("size %d seals 1", 3*page))
		p.Expect(`"before"`)
		p.Send("go")
		p.Wait()
		if string(m.Bytes()[:6]) != "after " {
			t.Errorf("after the other process' store: %q", m.Bytes()[:6])
		}
	})
	t.Run("MM-074", func(t *testing.T) {
		f := tempFile(t, pages(2))
		m := mapped(t)(mapping.PrivateFile(fd(f), 0, 2*page, rw, nil))
		if !bytes.Equal(m.Bytes(), pages(2)) {
			t.Error("the mapped bytes are not the file's")
		}
		m.Bytes()[0] = 10 // copies the first page
		b := make([]byte, 2*page)
		_, err := f.ReadAt(b, 0)
		must(t, err)
		if !bytes.Equal(b, pages(2)) {
			t.Error("the file changed")
		}
		_, err = f.WriteAt(bytes.Repeat([]byte{20}, 2*page), 0)
		must(t, err)
		if b := m.Bytes(); b[0] != 10 || b[1] != 1 || b[page] != 20 {
			t.Errorf("bytes %d, %d, %d: want 10 and 1 in the copied page and 20 in the other", b[0], b[1], b[page])
		}
	})
}

func init() {
	shmtest.Handle("map file", func(c *shmtest.Child) {
		fd, err := sys.Open(c.Args[0], os.O_RDWR|sys.O_CLOEXEC, 0)
		c.Check(err)
		st, err := sys.Fstat(fd)
		c.Check(err)
		seals, err := sys.Fcntl(fd, sys.F_GET_SEALS, 0)
		c.Check(err)
		c.Send("size %d seals %d", st.Size, seals)
		m, err := mapping.SharedFile(fd, 0, int(st.Size), rw, nil)
		c.Check(err)
		c.Send("%q", m.Bytes()[:6])
		c.Expect("go")
		copy(m.Bytes(), "after ")
	})
}

func TestConformanceProtect(t *testing.T) {
	t.Run("MM-097/unaligned", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(2*page, rw, nil))
		refused(t, m.Protect(1, page, mapping.PROT_READ), syscall.EINVAL)
		m.Bytes()[0] = 1
	})
	t.Run("MM-097/unmapped", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(3*page, rw, at(far(t, 3*page))))
		must(t, m.UnmapRange(page, page))
		refused(t, m.Protect(0, 3*page, mapping.PROT_READ), syscall.ENOMEM)
		refused(t, m.Protect(page, page, mapping.PROT_READ), syscall.ENOMEM)
		refused(t, m.Protect(2*page, 2*page, mapping.PROT_READ), syscall.ENOMEM)
		// Where the kernel would change what comes before the hole, Protect
		// changes nothing.
		if l := maps(t, m.Addr(), page); l[0].perms != "rw-s" {
			t.Errorf("maps shows %+v", l)
		}
		if err := sys.Mprotect(m.Addr(), uintptr(3*page), mapping.PROT_READ); err != syscall.ENOMEM {
			t.Errorf("mprotect gave %v", err)
		}
		skipEmulated(t, "qemu's user mode changes nothing either")
		if l := maps(t, m.Addr(), page); l[0].perms != "r--s" {
			t.Errorf("maps shows %+v", l)
		}
	})
	t.Run("MM-097/shared-read-only-descriptor", func(t *testing.T) {
		f := again(t, tempFile(t, pages(1)), os.O_RDONLY)
		m := mapped(t)(mapping.SharedFile(fd(f), 0, page, mapping.PROT_READ, nil))
		refused(t, m.Protect(0, page, rw), syscall.EACCES)
		if _, faulted := fault(func() { m.Bytes()[0] = 1 }); !faulted {
			t.Error("stored all the same")
		}
	})
	t.Run("MM-097/none-to-read-write", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(page, mapping.PROT_NONE, nil))
		if _, faulted := fault(func() { m.Bytes()[0] = 1 }); !faulted {
			t.Error("stored where PROT_NONE is")
		}
		must(t, m.Protect(0, page, rw))
		m.Bytes()[0] = 1
	})
}

func TestConformanceSync(t *testing.T) {
	f := openPath(t, shmtest.Dir(t), sys.O_TMPFILE|os.O_RDWR)
	must(t, sys.Ftruncate(f, int64(4*page)))
	m := mapped(t)(mapping.SharedFile(f, 0, 4*page, rw, at(far(t, 4*page))))
	m.Bytes()[0] = 1
	t.Run("MM-099/tmpfs", func(t *testing.T) {
		for _, flags := range []int{mapping.MS_SYNC, mapping.MS_ASYNC, mapping.MS_SYNC | mapping.MS_INVALIDATE, 0} {
			must(t, m.Sync(0, 4*page, flags))
		}
		if m.Bytes()[0] != 1 {
			t.Error("the byte changed")
		}
	})
	t.Run("MM-099/unaligned", func(t *testing.T) {
		refused(t, m.Sync(1, page, mapping.MS_SYNC), syscall.EINVAL)
	})
	t.Run("MM-099/sync-and-async", func(t *testing.T) {
		refused(t, m.Sync(0, page, mapping.MS_SYNC|mapping.MS_ASYNC), syscall.EINVAL)
	})
	t.Run("MM-099/unmapped", func(t *testing.T) {
		must(t, m.UnmapRange(2*page, page))
		refused(t, m.Sync(2*page, page, mapping.MS_SYNC), syscall.ENOMEM)
		refused(t, m.Sync(0, 4*page, mapping.MS_SYNC), syscall.ENOMEM)
		if err := sys.Msync(m.Addr()+uintptr(2*page), uintptr(page), mapping.MS_SYNC); err != syscall.ENOMEM {
			t.Errorf("msync gave %v", err)
		}
	})
}

func TestConformanceRemap(t *testing.T) {
	const noDuplicate = "qemu's user mode refuses an old length of 0"
	t.Run("MM-100/shared", func(t *testing.T) {
		skipEmulated(t, noDuplicate)
		m := mapped(t)(mapping.SharedAnonymous(2*page, rw, nil))
		copy(m.Bytes(), "one")
		d := mapped(t)(m.Duplicate())
		if d.Addr() == m.Addr() || d.Len() != 2*page || string(d.Bytes()[:3]) != "one" {
			t.Errorf("%d bytes at %#x: %q", d.Len(), d.Addr(), d.Bytes()[:3])
		}
		d.Bytes()[2*page-1] = 7
		if m.Bytes()[2*page-1] != 7 {
			t.Error("not the same memory")
		}
		must(t, d.Unmap())
		if string(m.Bytes()[:3]) != "one" {
			t.Error("unmapping the duplicate touched the first")
		}
	})
	t.Run("MM-100/private", func(t *testing.T) {
		skipEmulated(t, noDuplicate)
		m := mapped(t)(mapping.PrivateAnonymous(2*page, rw, nil))
		d, err := m.Duplicate()
		notMapped(t, d, err, syscall.EINVAL)
	})
}

func TestConformanceAdvise(t *testing.T) {
	t.Run("MM-102/dontneed", func(t *testing.T) {
		m := mapped(t)(mapping.SharedAnonymous(2*page, rw, nil))
		copy(m.Bytes(), pages(2))
		must(t, m.Advise(0, 2*page, mapping.MADV_DONTNEED))
		if !bytes.Equal(m.Bytes(), pages(2)) {
			t.Error("shared data is gone")
		}
	})
	t.Run("MM-102/remove", func(t *testing.T) {
		skipEmulated(t, "qemu's user mode ignores MADV_REMOVE")
		m := mapped(t)(mapping.SharedAnonymous(3*page, rw, nil))
		copy(m.Bytes(), pages(3))
		other := mapped(t)(m.Duplicate())
		must(t, m.Advise(page, page, mapping.MADV_REMOVE))
		for _, b := range [][]byte{m.Bytes(), other.Bytes()} {
			if b[page-1] != 1 || !bytes.Equal(b[page:2*page], make([]byte, page)) || b[2*page] != 3 {
				t.Errorf("not a hole of one page: %d %d %d", b[page-1], b[page], b[2*page])
			}
		}
	})
	t.Run("MM-102/wipeonfork", func(t *testing.T) {
		skipEmulated(t, "qemu's user mode ignores MADV_WIPEONFORK")
		m := mapped(t)(mapping.SharedAnonymous(page, rw, nil))
		refused(t, m.Advise(0, page, mapping.MADV_WIPEONFORK), syscall.EINVAL)
		p := mapped(t)(mapping.PrivateAnonymous(page, rw, nil))
		must(t, p.Advise(0, page, mapping.MADV_WIPEONFORK))
	})
}
