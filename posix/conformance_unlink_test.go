package posix_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("unlink", func(c *shmtest.Child) {
		err := posix.Unlink(c.Args[0], nil)
		wantErrno(c, err, syscall.EACCES)
		c.Send("refused")
	})
	shmtest.Handle("own mount", func(c *shmtest.Child) {
		// The same path, another file.
		absent(c, c.Args[0])
		o, err := posix.Open(c.Args[0], fresh, 0o600, nil)
		c.Check(err)
		_, err = o.WriteAt([]byte("theirs"), 0)
		c.Check(err)
		st := stat(c, o)
		c.Send("%d %d %s", st.Dev, st.Inode, o.Path())
		c.Expect("unlink")
		c.Check(posix.Unlink(c.Args[0], nil))
		c.Send("gone")
	})
}

func TestConformanceUnlink(t *testing.T) {
	t.Run("PX-035", func(t *testing.T) {
		o := newObject(t, 8)
		check(t, posix.Unlink(o.Name(), nil))
		absent(t, o.Name())
		refused(t, o.Name(), posix.O_RDWR, 0, syscall.ENOENT)
		wantErrno(t, posix.Unlink(o.Name(), nil), syscall.ENOENT)
		equal(t, "size through the descriptor", stat(t, o).Size, 8)
	})
	t.Run("PX-036", func(t *testing.T) {
		o := newObject(t, 8)
		_, err := o.WriteAt([]byte("unlinked"), 0)
		check(t, err)
		check(t, posix.Unlink(o.Name(), nil))
		m := mapped(t, o, 8, rw)
		equal(t, "bytes", string(m.Bytes()), "unlinked")
		m.Bytes()[0] = 'U'
		b := make([]byte, 1)
		_, err = o.ReadAt(b, 0)
		check(t, err)
		equal(t, "byte", b[0], 'U')
	})
	t.Run("PX-038", func(t *testing.T) {
		o := newObject(t, 0)
		if err := posix.Unlink(o.Name(), nil); err != nil {
			t.Fatal(err)
		}
		absent(t, o.Name())
	})
	t.Run("PX-039", func(t *testing.T) {
		// Both kinds of refusal: by the sticky bit (EPERM, turned into
		// EACCES) and by a directory that may not be written.
		user := shmtest.Other(t)
		o := newObject(t, 77)
		check(t, o.Chmod(0o666))
		before := named(t, o.Name())
		p := shmtest.Command{Handler: "unlink", Args: []string{o.Name()}, User: user}.Start(t)
		p.Expect("refused")
		p.Wait()
		after := named(t, o.Name())
		equal(t, "owner", after.UID, before.UID)
		equal(t, "group", after.GID, before.GID)
		equal(t, "size", after.Size, 77)
		equal(t, "mode", after.Mode, 0o666)
		equal(t, "inode", after.Inode, before.Inode)
		equal(t, "links", after.Links, 1)
	})
	t.Run("PX-085", testUnlinked)
	t.Run("PX-087", func(t *testing.T) {
		o := newObject(t, int64(page))
		m := mapped(t, o, page, rw)
		copy(m.Bytes(), "only mapped")
		inode := stat(t, o).Inode
		check(t, o.Close())
		check(t, posix.Unlink(o.Name(), nil))
		path := procfs.Root("").MapFilePath(os.Getpid(), uint64(m.Addr()), uint64(m.Addr())+uint64(page))
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if os.IsPermission(err) {
			t.Skipf("needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN: %v", err)
		}
		check(t, err)
		defer f.Close()
		info, err := f.Stat()
		check(t, err)
		equal(t, "inode", info.Sys().(*syscall.Stat_t).Ino, inode)
		equal(t, "size", info.Size(), int64(page))
		b := make([]byte, 11)
		_, err = f.ReadAt(b, 0)
		check(t, err)
		equal(t, "bytes", string(b), "only mapped")
	})
	t.Run("PX-088", func(t *testing.T) {
		// Whatever privilege one has: its link count is 0, and only a file
		// that never had a name may get one.
		o := newObject(t, 10)
		check(t, posix.Unlink(o.Name(), nil))
		self := fmt.Sprintf("/proc/self/fd/%d", o.FD())
		err := unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, file(o.Name()), unix.AT_SYMLINK_FOLLOW)
		equal(t, "link by /proc", err, error(syscall.ENOENT))
		err = unix.Linkat(o.FD(), "", unix.AT_FDCWD, file(o.Name()), unix.AT_EMPTY_PATH)
		equal(t, "link by descriptor", err, error(syscall.ENOENT))
		absent(t, o.Name())
		equal(t, "links", stat(t, o).Links, 0)
	})
	t.Run("PX-090", func(t *testing.T) {
		o := newObject(t, 0)
		check(t, o.Reserve(0, int64(page)))
		other := newName(t)
		check(t, os.Link(file(o.Name()), file(other)))
		equal(t, "links", stat(t, o).Links, 2)

		// The list has both names, and what identifies the one object.
		type id struct{ dev, inode uint64 }
		names, used := 0, make(map[id]int64)
		for st, err := range posix.List(nil) {
			check(t, err)
			if st.Name == o.Name() || st.Name == other {
				names++
				used[id{st.Dev, st.Inode}] = st.Used
				equal(t, "links of "+st.Name, st.Links, 2)
			}
		}
		equal(t, "names", names, 2)
		equal(t, "objects", len(used), 1)
		equal(t, "used", used[id{stat(t, o).Dev, stat(t, o).Inode}], int64(page))

		check(t, posix.Unlink(o.Name(), nil))
		equal(t, "links", named(t, other).Links, 1)
	})
	t.Run("PX-091", func(t *testing.T) {
		t.Run("name made again", func(t *testing.T) {
			o := newObject(t, 3)
			check(t, posix.Unlink(o.Name(), nil))
			again := open(t, o.Name(), fresh, 0o600)
			equal(t, "device", stat(t, again).Dev, stat(t, o).Dev)
			if stat(t, again).Inode == stat(t, o).Inode {
				t.Fatal("one inode for two objects that exist at once")
			}
			equal(t, "size of the new", stat(t, again).Size, 0)
			equal(t, "size of the old", stat(t, o).Size, 3)
		})
		t.Run("other mount namespace", func(t *testing.T) {
			o := newObject(t, 0)
			_, err := o.WriteAt([]byte("ours"), 0)
			check(t, err)
			p := shmtest.Command{Handler: "own mount", Args: []string{o.Name()}, OwnShm: true}.Start(t)
			var dev, inode uint64
			var path string
			if _, err := fmt.Sscan(p.Recv(), &dev, &inode, &path); err != nil {
				t.Fatal(err)
			}
			equal(t, "path", path, o.Path())
			st := stat(t, o)
			if dev == st.Dev {
				t.Fatalf("two mounts with one device %d; inodes %d and %d", dev, inode, st.Inode)
			}
			p.Send("unlink")
			p.Expect("gone")
			p.Wait()
			equal(t, "size of ours", named(t, o.Name()).Size, 4)
			equal(t, "inode of ours", named(t, o.Name()).Inode, st.Inode)
		})
	})
}

func testUnlinked(t *testing.T) {
	o := newObject(t, int64(page))
	m := mapped(t, o, page, rw)
	copy(m.Bytes(), "old")
	before := stat(t, o)
	equal(t, "links before", before.Links, 1)
	check(t, posix.Unlink(o.Name(), nil))

	equal(t, "links", stat(t, o).Links, 0)
	link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", o.FD()))
	check(t, err)
	equal(t, "descriptor's link", link, file(o.Name())+" (deleted)")
	found := mapsOf(t, os.Getpid(), before.Dev, before.Inode)
	if len(found) != 1 || !bytes.HasSuffix(found[0].Path, []byte(" (deleted)")) || !strings.HasPrefix(found[0].Name(), file(o.Name())) {
		t.Fatalf("mappings: %+v", found)
	}
	refused(t, o.Name(), posix.O_RDWR, 0, syscall.ENOENT)

	again := open(t, o.Name(), posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600)
	if stat(t, again).Inode == before.Inode {
		t.Fatal("the new object has the old inode")
	}
	check(t, again.Truncate(int64(page)))
	copy(mapped(t, again, page, rw).Bytes(), "new")
	equal(t, "old mapping", string(m.Bytes()[:3]), "old")
}
