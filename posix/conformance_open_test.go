package posix_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	// Opens its own object of mode args[1] with flags that need more.
	shmtest.Handle("own object", func(c *shmtest.Child) {
		var mode, flags int
		fmt.Sscan(c.Args[1], &mode)
		fmt.Sscan(c.Args[2], &flags)
		name := c.Args[0]
		o, err := posix.Open(name, fresh, os.FileMode(mode), nil)
		c.Check(err)
		defer posix.Unlink(name, nil)
		defer o.Close()
		equal(c, "owner", int(stat(c, o).UID), os.Getuid())
		_, err = o.WriteAt([]byte("kept"), 0)
		c.Check(err)
		refused(c, name, flags, 0, syscall.EACCES)
		// Nothing was cut, and the descriptor that exists works on.
		equal(c, "size", stat(c, o).Size, 4)
		c.Check(o.Truncate(8))
		c.Send("refused")
	})
	shmtest.Handle("write by mapping", func(c *shmtest.Child) {
		o, err := posix.Open(c.Args[0], posix.O_RDWR, 0, nil)
		c.Check(err)
		_, err = o.WriteAt([]byte(c.Args[1]), 0)
		c.Check(err)
		c.Check(o.Close())
		c.Send("written")
	})
}

func TestConformanceOpen(t *testing.T) {
	t.Run("PX-001", func(t *testing.T) {
		o := newObject(t, 100)
		copy(mapped(t, o, 100, rw).Bytes(), "written through the first")
		again := open(t, o.Name(), posix.O_RDONLY, 0)
		got := mapped(t, again, 100, ro).Bytes()
		equal(t, "bytes", string(got[:25]), "written through the first")
		equal(t, "rest", string(got[25:]), string(make([]byte, 75)))
	})
	t.Run("PX-003", func(t *testing.T) {
		o := newObject(t, 100)
		wantErrno(t, open(t, o.Name(), posix.O_RDONLY, 0).Truncate(10), syscall.EINVAL)
		equal(t, "size", stat(t, o).Size, 100)
	})
	t.Run("PX-004", func(t *testing.T) {
		o := newObject(t, 8)
		_, err := o.WriteAt([]byte("12345678"), 0)
		check(t, err)
		m := mapped(t, open(t, o.Name(), posix.O_RDWR, 0), 8, ro)
		equal(t, "bytes", string(m.Bytes()), "12345678")
	})
	t.Run("PX-006", func(t *testing.T) {
		equal(t, "owner", int(stat(t, newObject(t, 0)).UID), os.Geteuid())
	})
	t.Run("PX-007", func(t *testing.T) {
		equal(t, "group", int(stat(t, newObject(t, 0)).GID), os.Getegid())
	})
	t.Run("PX-009", func(t *testing.T) {
		o := open(t, newName(t), posix.O_RDONLY|posix.O_CREAT, 0o400)
		equal(t, "mode", stat(t, o).Mode, 0o400)
		wantErrno(t, o.Truncate(1), syscall.EINVAL)
		_, err := o.WriteAt([]byte("x"), 0)
		wantErrno(t, err, syscall.EBADF)
		equal(t, "size", stat(t, o).Size, 0)
	})
	t.Run("PX-010", func(t *testing.T) {
		o := open(t, newName(t), posix.O_RDWR|posix.O_CREAT, 0)
		equal(t, "mode", stat(t, o).Mode, 0)
		check(t, o.Truncate(1234))
		equal(t, "size", stat(t, o).Size, 1234)
	})
	t.Run("PX-012", func(t *testing.T) {
		equal(t, "size", stat(t, newObject(t, 0)).Size, 0)
	})
	t.Run("PX-013", func(t *testing.T) {
		o := newObject(t, 7)
		refused(t, o.Name(), posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600, syscall.EEXIST)
		refused(t, o.Name(), posix.O_RDONLY|posix.O_CREAT|posix.O_EXCL, 0o600, syscall.EEXIST)
		equal(t, "size", stat(t, o).Size, 7)
	})
	t.Run("PX-015", func(t *testing.T) {
		o := newObject(t, 5000)
		copy(mapped(t, o, 5000, rw).Bytes(), "gone soon")
		cut := open(t, o.Name(), posix.O_RDWR|posix.O_TRUNC, 0)
		equal(t, "size", stat(t, cut).Size, 0)
		equal(t, "size through the first", stat(t, o).Size, 0)
		equal(t, "used", stat(t, o).Used, 0)
	})
	t.Run("PX-016", func(t *testing.T) {
		o := open(t, newName(t), fresh, 0o640)
		before := stat(t, o)
		open(t, o.Name(), posix.O_RDWR|posix.O_TRUNC, 0o777)
		open(t, o.Name(), posix.O_RDWR|posix.O_TRUNC|posix.O_CREAT, 0o777)
		after := stat(t, o)
		equal(t, "mode", after.Mode, before.Mode)
		equal(t, "owner", after.UID, before.UID)
		equal(t, "group", after.GID, before.GID)
	})
	t.Run("PX-018", func(t *testing.T) {
		o := newObject(t, 64)
		m := mapped(t, o, 64, rw)
		copy(m.Bytes(), "nobody holds me")
		inode := stat(t, o).Inode
		check(t, m.Unmap())
		check(t, o.Close())
		if held := mapsOf(t, os.Getpid(), named(t, o.Name()).Dev, inode); len(held) != 0 {
			t.Fatalf("still mapped: %v", held)
		}
		again := open(t, o.Name(), posix.O_RDONLY, 0)
		equal(t, "inode", stat(t, again).Inode, inode)
		equal(t, "bytes", string(mapped(t, again, 64, ro).Bytes()[:15]), "nobody holds me")
		check(t, posix.Unlink(o.Name(), nil))
		absent(t, o.Name())
	})
	t.Run("PX-019", func(t *testing.T) {
		o := newObject(t, 64)
		m := mapped(t, o, 64, rw)
		copy(m.Bytes(), "mapped still")
		check(t, o.Close())
		check(t, posix.Unlink(o.Name(), nil))
		absent(t, o.Name())
		equal(t, "bytes", string(m.Bytes()[:12]), "mapped still")
		m.Bytes()[63] = 'x'
		equal(t, "last byte", m.Bytes()[63], 'x')
	})
	t.Run("PX-021", func(t *testing.T) {
		ownObject(t, 0, posix.O_RDWR)
	})
	t.Run("PX-022", func(t *testing.T) {
		ownObject(t, 0o400, posix.O_RDWR|posix.O_TRUNC)
	})
	t.Run("PX-028", func(t *testing.T) {
		t.Run("Go", func(t *testing.T) {
			o := newObject(t, 0)
			p := shmtest.Start(t, "write by mapping", o.Name(), "from the other")
			p.Expect("written")
			p.Wait()
			equal(t, "size", stat(t, o).Size, 14)
			equal(t, "bytes", string(mapped(t, o, 14, ro).Bytes()), "from the other")
		})
		t.Run("C writes", func(t *testing.T) {
			name := newName(t)
			shmtest.Exec(t, peer(t), "put", name, "from C").Wait()
			o := open(t, name, posix.O_RDONLY, 0)
			equal(t, "size", stat(t, o).Size, 100)
			equal(t, "bytes", string(mapped(t, o, 100, ro).Bytes()[:7]), "from C\x00")
		})
		t.Run("C reads", func(t *testing.T) {
			o := newObject(t, 100)
			copy(mapped(t, o, 100, rw).Bytes(), "from Go")
			p := shmtest.Exec(t, peer(t), "get", o.Name())
			p.Expect("from Go")
			p.Wait()
		})
	})
	t.Run("PX-029", func(t *testing.T) {
		// Nothing else opens or closes here: no test is parallel, and the
		// runtime has its descriptors since its start.
		name := newObject(t, 0).Name()
		var held [4]*posix.Object
		for i := range held {
			held[i] = open(t, name, posix.O_RDWR, 0)
		}
		for _, i := range []int{1, 3, 0, 2} {
			free := held[i].FD()
			check(t, held[i].Close())
			held[i] = open(t, name, posix.O_RDWR, 0)
			equal(t, "descriptor", held[i].FD(), free)
		}
		low, high := min(held[1].FD(), held[2].FD()), max(held[1].FD(), held[2].FD())
		check(t, held[2].Close())
		check(t, held[1].Close())
		equal(t, "lowest", open(t, name, posix.O_RDWR, 0).FD(), low)
		equal(t, "next", open(t, name, posix.O_RDWR, 0).FD(), high)
	})
}

// ownObject has a user whom no capability helps create an object and then ask
// for more than its mode gives the owner.
func ownObject(t *testing.T, mode, flags int) {
	name := newName(t)
	command := shmtest.Command{
		Handler: "own object",
		Args:    []string{name, fmt.Sprint(mode), fmt.Sprint(flags)},
	}
	if os.Geteuid() == 0 {
		command.User = shmtest.Other(t)
	}
	p := command.Start(t)
	p.Expect("refused")
	p.Wait()
	absent(t, name)
}
