package mapping_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestConformanceFileMapping(t *testing.T) {
	t.Run("MM-002", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, []byte("some bytes"), 0o444))
		f, err := os.Open(path)
		must(t, err)
		defer f.Close()
		m := mapped(t)(mapping.SharedFile(fd(f), 0, 10, mapping.PROT_READ, nil))
		if string(m.Bytes()) != "some bytes" {
			t.Errorf("mapped: %q", m.Bytes())
		}
	})
	t.Run("MM-003", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, pages(1), 0o555))
		f, err := os.Open(path)
		must(t, err)
		defer f.Close()
		m := mapped(t)(mapping.SharedFile(fd(f), 0, page, mapping.PROT_EXEC, nil))
		if l := maps(t, m.Addr(), page); len(l) != 1 || l[0].perms != "--xs" {
			t.Errorf("maps shows %+v", l)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, pages(1)) {
			t.Errorf("read(2) gives %d bytes, %v", len(got), err)
		}
	})
	t.Run("MM-020", func(t *testing.T) {
		// The child writes each page with its number.
		f := tempFile(t, nil)
		must(t, f.Truncate(int64(1000*page)))
		p := shmtest.Command{Handler: "write pages", ExtraFiles: []*os.File{f}}.Start(t)
		p.Wait()
		b := make([]byte, 1000*page)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			for off := i * page; off < (i+1)*page; off += 8 {
				if n := binary.LittleEndian.Uint64(b[off:]); n != uint64(i+1) {
					t.Fatalf("read(2) gives %d at %d, want %d", n, off, i+1)
				}
			}
		}
	})
	t.Run("MM-028", func(t *testing.T) {
		f := tempFile(t, pages(3))
		m := mapped(t)(mapping.SharedFile(fd(f), 0, 3*page, rw, nil))
		if !bytes.Equal(m.Bytes(), pages(3)) {
			t.Error("the mapped bytes are not the file's")
		}
		_, err := f.WriteAt([]byte("changed"), int64(page))
		must(t, err)
		if string(m.Bytes()[page:page+7]) != "changed" {
			t.Error("a later write(2) is not seen")
		}
	})
	t.Run("MM-034", func(t *testing.T) {
		f := tail(t)
		if size := fileSize(t, f); size != int64(page/2) {
			t.Errorf("the file has %d bytes now", size)
		}
		m := mapped(t)(mapping.SharedFile(fd(f), 0, page, rw, nil))
		for i, c := range m.Bytes()[page/2:] {
			if c != 0 {
				t.Fatalf("byte %d behind the end is %#x", i, c)
			}
		}
	})
	t.Run("MM-036", func(t *testing.T) {
		f := tail(t)
		if b, err := io.ReadAll(io.NewSectionReader(f, 0, int64(2*page))); err != nil || len(b) != page/2 {
			t.Errorf("read(2) gives %d bytes, %v", len(b), err)
		}
		must(t, f.Truncate(int64(page)))
		b := make([]byte, page/2)
		_, err := f.ReadAt(b, int64(page/2))
		must(t, err)
		if !bytes.Equal(b, make([]byte, page/2)) {
			t.Error("the bytes that were stored behind the end are in the file")
		}
	})
	t.Run("MM-037", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, pages(1), 0o600))
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		m := mapped(t)(mapping.SharedFile(fd(f), 0, page, rw, nil))
		must(t, os.Remove(path))
		must(t, f.Close())
		if !bytes.Equal(m.Bytes(), pages(1)) {
			t.Error("the bytes are gone")
		}
		m.Bytes()[0] = 7
		if m.Bytes()[0] != 7 {
			t.Error("a store is lost")
		}
		must(t, m.Sync(0, page, mapping.MS_SYNC))
	})
	t.Run("MM-039", func(t *testing.T) {
		var fs syscall.Statfs_t
		f := tempFile(t, pages(1))
		must(t, syscall.Fstatfs(fd(f), &fs))
		if fs.Type == sys.TMPFS_MAGIC {
			t.Skip("needs a temporary directory on a disk: TMPDIR is a tmpfs")
		}
		m := mapped(t)(mapping.SharedFile(fd(f), 0, page, rw, nil))
		times := func() (mtime, ctime time.Time) {
			var st syscall.Stat_t
			must(t, syscall.Fstat(fd(f), &st))
			return time.Unix(st.Mtim.Unix()), time.Unix(st.Ctim.Unix())
		}
		must(t, m.Sync(0, page, mapping.MS_SYNC))
		mtime, ctime := times()
		// The kernel's file times tick every few milliseconds.
		for deadline := time.Now().Add(10 * time.Second); ; {
			m.Bytes()[0]++
			must(t, m.Sync(0, page, mapping.MS_SYNC))
			if m2, c2 := times(); m2.After(mtime) && c2.After(ctime) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("st_mtime and st_ctime do not advance")
			}
		}
	})
	t.Run("MM-057", func(t *testing.T) {
		f := tempFile(t, pages(1))
		m, err := mapping.SharedFile(fd(f), 0, page, rw, nil)
		must(t, err)
		copy(m.Bytes(), "stored")
		must(t, m.Sync(0, page, mapping.MS_SYNC))
		must(t, m.Unmap())
		m = mapped(t)(mapping.SharedFile(fd(f), 0, page, mapping.PROT_READ, nil))
		if string(m.Bytes()[:6]) != "stored" {
			t.Errorf("mapped anew: %q", m.Bytes()[:6])
		}
	})
	t.Run("MM-067", func(t *testing.T) {
		f := tempFile(t, pages(1))
		m, err := mapping.PrivateFile(fd(f), 0, page, rw, nil)
		must(t, err)
		copy(m.Bytes(), "stored")
		must(t, m.Unmap())
		m = mapped(t)(mapping.PrivateFile(fd(f), 0, page, rw, nil))
		if !bytes.Equal(m.Bytes(), pages(1)) {
			t.Error("a store to a private mapping was kept")
		}
	})
	t.Run("MM-076", func(t *testing.T) {
		f := tempFile(t, pages(5))
		m := mapped(t)(mapping.SharedFile(fd(f), int64(3*page), 2*page, rw, nil))
		must(t, f.Close())
		if b := m.Bytes(); b[0] != 4 || b[page] != 5 || b[2*page-1] != 5 {
			t.Errorf("pages %d and %d are mapped, want 4 and 5", b[0], b[page])
		}
		m.Bytes()[0] = 9
	})
	t.Run("MM-094", func(t *testing.T) {
		// The file is open for writing, which MAP_DENYWRITE once refused.
		const denyWrite = 0x800
		f := tempFile(t, pages(1))
		m := mapped(t)(mapping.Mmap(0, page, mapping.PROT_READ|mapping.PROT_EXEC, mapping.MAP_PRIVATE|denyWrite, fd(f), 0))
		if _, err := f.WriteAt([]byte{9}, 0); err != nil || m.Bytes()[0] != 9 {
			t.Errorf("write(2) gave %v", err)
		}
	})
}

// tail gives a file of half a page behind whose end a child process has
// stored something, by a mapping.
func tail(t *testing.T) *os.File {
	t.Helper()
	var fs syscall.Statfs_t
	f := tempFile(t, pages(1)[:page/2])
	must(t, syscall.Fstatfs(fd(f), &fs))
	if fs.Type == sys.TMPFS_MAGIC {
		t.Skip("needs a temporary directory on a disk: TMPDIR is a tmpfs, where such bytes stay")
	}
	shmtest.Command{Handler: "store behind the end", ExtraFiles: []*os.File{f}}.Start(t).Wait()
	return f
}

func fileSize(t failer, f *os.File) int64 {
	t.Helper()
	st, err := f.Stat()
	must(t, err)
	return st.Size()
}

func init() {
	shmtest.Handle("write pages", func(c *shmtest.Child) {
		m, err := mapping.SharedFile(fd(c.File(0)), 0, 1000*page, rw, nil)
		c.Check(err)
		for off := 0; off < 1000*page; off += 8 {
			binary.LittleEndian.PutUint64(m.Bytes()[off:], uint64(off/page+1))
		}
		c.Check(m.Sync(0, 1000*page, mapping.MS_SYNC))
		c.Check(m.Unmap())
	})
	shmtest.Handle("store behind the end", func(c *shmtest.Child) {
		m, err := mapping.SharedFile(fd(c.File(0)), 0, page, rw, nil)
		c.Check(err)
		for i, x := range m.Bytes()[page/2:] {
			if x != 0 {
				c.Fatalf("byte %d behind the end is %#x", i, x)
			}
		}
		m.Bytes()[page/2+1] = 'b'
		m.Bytes()[page-1] = 'b'
		c.Check(m.Sync(0, page, mapping.MS_SYNC))
		c.Check(m.Unmap())
	})
	shmtest.Handle("map and show", func(c *shmtest.Child) {
		m, err := mapping.SharedFile(fd(c.File(0)), 0, page, mapping.PROT_READ, nil)
		c.Check(err)
		for {
			if _, ok := c.Recv(); !ok {
				return
			}
			c.Send("%q", m.Bytes()[:6])
		}
	})
}

func TestConformanceObject(t *testing.T) {
	show := func(t *testing.T) (o *posix.Object, see func() string) {
		name := "/" + shmtest.Name(t)
		o, err := posix.CreateSized(name, int64(page), 0o600, nil)
		must(t, err)
		t.Cleanup(func() { o.Close() })
		must(t, posix.Unlink(name, nil))
		_, err = o.WriteAt([]byte("before"), 0)
		must(t, err)
		dup, err := sys.Dup(o.FD())
		must(t, err)
		f := os.NewFile(uintptr(dup), name)
		defer f.Close()
		p := shmtest.Command{Handler: "map and show", ExtraFiles: []*os.File{f}}.Start(t)
		return o, func() string { p.Send("show"); return p.Recv() }
	}
	t.Run("MM-059", func(t *testing.T) {
		o, see := show(t)
		m := mapped(t)(mapping.PrivateFile(o.FD(), 0, page, rw, nil))
		copy(m.Bytes(), "stored")
		if got := see(); got != `"before"` {
			t.Errorf("the child sees %s", got)
		}
	})
	t.Run("MM-060", func(t *testing.T) {
		o, see := show(t)
		m := mapped(t)(mapping.SharedFile(o.FD(), 0, page, rw, nil))
		if got := see(); got != `"before"` {
			t.Errorf("the child sees %s", got)
		}
		copy(m.Bytes(), "stored")
		if got := see(); got != `"stored"` {
			t.Errorf("the child sees %s", got)
		}
	})
}

func TestConformanceProtections(t *testing.T) {
	f := tempFile(t, pages(1))
	names := [...]string{"none", "r", "w", "rw", "x", "rx", "wx", "rwx"}
	for prot, name := range names {
		for _, kind := range []struct {
			name string
			flag int
		}{{"private", mapping.MAP_PRIVATE}, {"shared", mapping.MAP_SHARED}} {
			t.Run("MM-050/"+kind.name+"-"+name, func(t *testing.T) {
				m, err := mapping.Mmap(0, page, prot, kind.flag, fd(f), 0)
				must(t, err)
				defer m.Unmap()
				l := maps(t, m.Addr(), page)
				want := []byte("---" + kind.name[:1])
				for bit, c := range []byte("rwx") {
					if prot>>bit&1 != 0 {
						want[bit] = c
					}
				}
				if len(l) != 1 || l[0].perms != string(want) {
					t.Errorf("maps shows %+v, want %s", l, want)
				}
				if prot&mapping.PROT_READ != 0 && m.Bytes()[0] != 1 {
					t.Errorf("byte %d", m.Bytes()[0])
				}
			})
		}
	}
}

func TestConformancePlace(t *testing.T) {
	t.Run("MM-030", func(t *testing.T) {
		for range 100_000 {
			m, err := mapping.PrivateAnonymous(1, rw, nil)
			must(t, err)
			if m.Addr() == 0 {
				t.Fatal("mapped at address 0")
			}
			must(t, m.Unmap())
		}
	})
	t.Run("MM-014", func(t *testing.T) {
		m, err := mapping.PrivateAnonymous(page, rw, &mapping.Options{Addr: -uintptr(page), Fixed: true})
		notMapped(t, m, err, syscall.ENOMEM)
	})
	t.Run("MM-016", func(t *testing.T) {
		needNoReplace(t)
		first := mapped(t)(mapping.PrivateAnonymous(page, rw, at(far(t, page))))
		copy(first.Bytes(), "mine")
		m, err := mapping.PrivateAnonymous(page, rw, &mapping.Options{Addr: first.Addr(), NoReplace: true})
		notMapped(t, m, err, syscall.EEXIST)
		if string(first.Bytes()[:4]) != "mine" {
			t.Error("the mapping was replaced")
		}
	})
	t.Run("MM-046", func(t *testing.T) {
		f := tempFile(t, pages(2))
		addr := far(t, 2*page)
		m := mapped(t)(mapping.PrivateFile(fd(f), 0, 2*page, rw, &mapping.Options{Addr: addr, Fixed: true}))
		if m.Addr() != addr || !bytes.Equal(m.Bytes(), pages(2)) {
			t.Errorf("mapped at %#x, want %#x", m.Addr(), addr)
		}
	})
	t.Run("MM-047", func(t *testing.T) {
		// The length of the new one is not that of whole pages.
		f := tempFile(t, pages(2))
		old := mapped(t)(mapping.PrivateAnonymous(3*page, rw, at(far(t, 3*page))))
		for i := range old.Bytes() {
			old.Bytes()[i] = 0xee
		}
		_, err := mapping.SharedFile(fd(f), 0, page+1, rw, &mapping.Options{Addr: old.Addr(), Fixed: true})
		must(t, err)
		// The first Mapping unmaps all of it.
		if b := old.Bytes(); !bytes.Equal(b[:2*page], pages(2)) {
			t.Error("two whole pages were not replaced")
		}
		if b := old.Bytes(); b[2*page] != 0xee {
			t.Error("the third page was replaced")
		}
	})
	t.Run("MM-087/noreplace-taken", func(t *testing.T) {
		needNoReplace(t)
		taken := mapped(t)(mapping.SharedAnonymous(4*page, rw, at(far(t, 4*page))))
		for i := range 4 {
			m, err := mapping.PrivateAnonymous(2*page, rw, &mapping.Options{Addr: taken.Addr() + uintptr((i-1)*page) + uintptr(page), NoReplace: true})
			notMapped(t, m, err, syscall.EEXIST)
		}
	})
	t.Run("MM-087/noreplace-free", func(t *testing.T) {
		needNoReplace(t)
		addr := far(t, page)
		m := mapped(t)(mapping.PrivateAnonymous(page, rw, &mapping.Options{Addr: addr, NoReplace: true}))
		if m.Addr() != addr {
			t.Errorf("mapped at %#x, want %#x", m.Addr(), addr)
		}
	})
	t.Run("MM-087/hint-taken", func(t *testing.T) {
		taken := mapped(t)(mapping.PrivateAnonymous(page, rw, at(far(t, page))))
		copy(taken.Bytes(), "mine")
		m := mapped(t)(mapping.SharedAnonymous(page, rw, &mapping.Options{Addr: taken.Addr()}))
		if m.Addr() == taken.Addr() || m.Addr() == 0 || string(taken.Bytes()[:4]) != "mine" {
			t.Errorf("mapped at %#x, which was taken", m.Addr())
		}
	})
	t.Run("MM-087/hint-unaligned", func(t *testing.T) {
		addr := far(t, page)
		m := mapped(t)(mapping.PrivateAnonymous(page, rw, &mapping.Options{Addr: addr + 123}))
		if m.Addr()%uintptr(page) != 0 || m.Addr() != addr && m.Addr() != addr+uintptr(page) {
			t.Errorf("mapped at %#x, wished for %#x", m.Addr(), addr+123)
		}
	})
}

func needNoReplace(t *testing.T) {
	t.Helper()
	if emulated {
		t.Skip("qemu's user mode does not pass MAP_FIXED_NOREPLACE on before version 8.1")
	}
}

func TestConformancePopulate(t *testing.T) {
	const noPopulate = "qemu's user mode does not pass MAP_POPULATE on before version 8.1"
	t.Run("MM-011", func(t *testing.T) {
		skipEmulated(t, noPopulate)
		const size = 1 << 20
		m := mapped(t)(mapping.PrivateAnonymous(size, rw, &mapping.Options{Populate: true}))
		pagemap, err := os.Open("/proc/self/pagemap")
		must(t, err)
		defer pagemap.Close()
		entries := make([]byte, 8*size/page)
		_, err = pagemap.ReadAt(entries, int64(m.Addr())/int64(page)*8)
		must(t, err)
		for i := range size / page {
			if binary.LittleEndian.Uint64(entries[8*i:])>>63 != 1 {
				t.Fatalf("page %d is not present", i)
			}
		}
		if !bytes.Equal(m.Bytes(), make([]byte, size)) {
			t.Error("not all bytes are 0")
		}
	})
	t.Run("MM-104", func(t *testing.T) {
		skipEmulated(t, noPopulate)
		const n = 64
		for _, populate := range []bool{false, true} {
			m := mapped(t)(mapping.SharedAnonymous(n*page, rw, &mapping.Options{Populate: populate}))
			resident, err := m.Resident(0, n*page)
			must(t, err)
			if len(resident) != n {
				t.Fatalf("%d pages", len(resident))
			}
			for i, in := range resident {
				if in != populate {
					t.Fatalf("populate %v, but page %d resident: %v", populate, i, in)
				}
			}
		}
	})
	t.Run("MM-093", func(t *testing.T) {
		skipEmulated(t, "qemu's user mode keeps a note of each page: that takes too long")
		const size = 1 << 40
		m := mapped(t)(mapping.PrivateAnonymous(size, rw, &mapping.Options{NoReserve: true}))
		m.Bytes()[size-1] = 1
		if m.Bytes()[0] != 0 || m.Len() != size {
			t.Error("not 1 TiB of zeros")
		}
	})
}

func TestConformanceErrors(t *testing.T) {
	f := tempFile(t, pages(2))
	readOnly := again(t, f, os.O_RDONLY)
	writeOnly := again(t, f, os.O_WRONLY)

	for _, kind := range []struct {
		name string
		flag int
	}{{"private", mapping.MAP_PRIVATE}, {"shared", mapping.MAP_SHARED}} {
		for _, prot := range []int{mapping.PROT_NONE, mapping.PROT_READ, mapping.PROT_WRITE, rw} {
			t.Run(fmt.Sprintf("MM-006/write-only-%s-prot-%d", kind.name, prot), func(t *testing.T) {
				m, err := mapping.Mmap(0, page, prot, kind.flag, fd(writeOnly), 0)
				notMapped(t, m, err, syscall.EACCES)
			})
		}
	}

	type call struct {
		rows   []string
		length int
		prot   int
		flags  int
		fd     int
		offset int64
		want   syscall.Errno
	}
	const r, w = mapping.PROT_READ, mapping.PROT_WRITE
	const shared, private, anon = mapping.MAP_SHARED, mapping.MAP_PRIVATE, mapping.MAP_ANONYMOUS
	for _, c := range []call{
		{[]string{"MM-006/length-0-shared"}, 0, r, shared, fd(f), 0, syscall.EINVAL},
		{[]string{"MM-006/length-0-private"}, 0, r, private, fd(f), 0, syscall.EINVAL},
		{[]string{"MM-006/no-type"}, page, r, 0, fd(f), 0, syscall.EINVAL},
		{[]string{"MM-019/unknown"}, page, r, mapping.MAP_SHARED_VALIDATE | 1<<22, fd(f), 0, syscall.EOPNOTSUPP},
		{[]string{"MM-019/sync-without-dax"}, page, r, mapping.MAP_SHARED_VALIDATE | mapping.MAP_SYNC, fd(f), 0, syscall.EOPNOTSUPP},
		{[]string{"MM-031"}, page, r, shared, fd(f), int64(page + 1), syscall.EINVAL},
		{[]string{"MM-041"}, page, r, shared, -1, 0, syscall.EBADF},
		{[]string{"MM-054", "MM-080/read-only-shared-write"}, page, w, shared, fd(readOnly), 0, syscall.EACCES},
		{[]string{"MM-080/read-only-shared-read-write"}, page, rw, shared, fd(readOnly), 0, syscall.EACCES},
		{[]string{"MM-056", "MM-080/write-only"}, page, r, shared, fd(writeOnly), 0, syscall.EACCES},
		{[]string{"MM-080/write-only-private"}, page, r, private, fd(writeOnly), 0, syscall.EACCES},
		{[]string{"MM-080/write-only-none"}, page, mapping.PROT_NONE, shared, fd(writeOnly), 0, syscall.EACCES},
		{[]string{"MM-079/bad-descriptor"}, page, r, private, 1 << 20, 0, syscall.EBADF},
		{[]string{"MM-079/o-path"}, page, r, shared, openPath(t, "/proc/self/exe", sys.O_PATH), 0, syscall.EBADF},
		{[]string{"MM-082/directory"}, page, r, shared, openPath(t, "/", os.O_RDONLY), 0, syscall.ENODEV},
		{[]string{"MM-043", "MM-082/pipe"}, page, r, private, pipe(t), 0, syscall.ENODEV},
		{[]string{"MM-082/proc-file"}, page, r, private, openPath(t, "/proc/self/status", os.O_RDONLY), 0, syscall.ENODEV},
		{[]string{"MM-083/2^62"}, 1 << 62, r, private | anon, -1, 0, syscall.ENOMEM},
		{[]string{"MM-083/SIZE_MAX"}, -1, r, private | anon, -1, 0, syscall.ENOMEM},
		{[]string{"MM-084"}, 2 * page, r, shared, fd(f), math.MaxInt64 &^ int64(page-1), syscall.EOVERFLOW},
		{[]string{"MM-077/anonymous"}, page, r, shared | private | anon, -1, 0, syscall.EINVAL},
	} {
		for _, row := range c.rows {
			t.Run(row, func(t *testing.T) {
				if c.want == syscall.EOPNOTSUPP {
					skipEmulated(t, noValidate)
				}
				m, err := mapping.Mmap(0, c.length, c.prot, c.flags, c.fd, c.offset)
				notMapped(t, m, err, c.want)
			})
		}
	}

	t.Run("MM-077/file", func(t *testing.T) {
		skipEmulated(t, noValidate)
		m := mapped(t)(mapping.Mmap(0, page, rw, shared|private, fd(f), 0))
		if l := maps(t, m.Addr(), page); len(l) != 1 || l[0].perms != "rw-s" {
			t.Errorf("maps shows %+v", l)
		}
		m.Bytes()[0] = 8
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, 0); err != nil || b[0] != 8 {
			t.Errorf("the file has %v, %v", b, err)
		}
	})
	t.Run("MM-077/the-four-kinds-cannot-mean-both", func(t *testing.T) {
		for _, want := range []string{"rw-s", "rw-p"} {
			kind := mapping.SharedFile
			if want == "rw-p" {
				kind = mapping.PrivateFile
			}
			m := mapped(t)(kind(fd(f), 0, page, rw, nil))
			if l := maps(t, m.Addr(), page); len(l) != 1 || l[0].perms != want {
				t.Errorf("maps shows %+v, want %s", l, want)
			}
		}
	})
	t.Run("MM-079/anonymous-ignores-the-descriptor", func(t *testing.T) {
		for _, fd := range []int{-1, 1 << 20, fd(f)} {
			m := mapped(t)(mapping.Mmap(0, page, rw, private|anon, fd, 0))
			if m.Bytes()[0] != 0 {
				t.Error("not zero")
			}
		}
	})
	t.Run("MM-080/read-only-private-write", func(t *testing.T) {
		m := mapped(t)(mapping.PrivateFile(fd(readOnly), int64(page), page, rw, nil))
		m.Bytes()[0] = 99
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, int64(page)); err != nil || b[0] != 2 {
			t.Errorf("the file has %v, %v", b, err)
		}
	})
}

const noValidate = "qemu's user mode does not know MAP_SHARED_VALIDATE before version 8.1"

func openPath(t *testing.T, path string, flags int) int {
	t.Helper()
	fd, err := sys.Open(path, flags|sys.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { sys.Close(fd) })
	return fd
}

func pipe(t *testing.T) int {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	return fd(r)
}
