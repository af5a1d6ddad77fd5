package posix_test

import (
	"encoding/binary"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("lock", func(c *shmtest.Child) {
		o, err := posix.Open(c.Args[0], posix.O_RDWR, 0, nil)
		c.Check(err)
		for _, cmd := range []int{unix.F_SETLK, unix.F_OFD_SETLK} {
			equal(c, "lock", syscall.FcntlFlock(uintptr(o.FD()), cmd, record(syscall.F_WRLCK, 0, 10)), error(syscall.EAGAIN))
			c.Check(syscall.FcntlFlock(uintptr(o.FD()), cmd, record(syscall.F_WRLCK, 10, 10)))
			c.Check(syscall.FcntlFlock(uintptr(o.FD()), cmd, record(syscall.F_UNLCK, 10, 10)))
		}
		held := record(syscall.F_WRLCK, 0, 10)
		c.Check(syscall.FcntlFlock(uintptr(o.FD()), unix.F_GETLK, held))
		equal(c, "holder", int(held.Pid), os.Getppid())
		c.Send("locked out")
	})
	shmtest.Handle("open by ACL", func(c *shmtest.Child) {
		refused(c, c.Args[0], posix.O_RDWR, 0, syscall.EACCES)
		c.Send("refused")
		c.Expect("try again")
		o, err := posix.Open(c.Args[0], posix.O_RDWR, 0, nil)
		c.Check(err)
		_, err = o.WriteAt([]byte("let in"), 0)
		c.Check(err)
		c.Send("opened")
	})
}

func record(typ int16, start, length int64) *syscall.Flock_t {
	return &syscall.Flock_t{Type: typ, Whence: io.SeekStart, Start: start, Len: length}
}

func TestConformanceLock(t *testing.T) {
	t.Run("PX-083/flock", func(t *testing.T) {
		one := newObject(t, 0)
		two := open(t, one.Name(), posix.O_RDWR, 0)
		check(t, syscall.Flock(one.FD(), syscall.LOCK_EX))
		equal(t, "second", syscall.Flock(two.FD(), syscall.LOCK_EX|syscall.LOCK_NB), error(syscall.EWOULDBLOCK))
		check(t, syscall.Flock(one.FD(), syscall.LOCK_UN))
		check(t, syscall.Flock(two.FD(), syscall.LOCK_SH|syscall.LOCK_NB))
		check(t, syscall.Flock(one.FD(), syscall.LOCK_SH|syscall.LOCK_NB))
	})
	t.Run("PX-083/records", func(t *testing.T) {
		one := newObject(t, 100)
		check(t, syscall.FcntlFlock(uintptr(one.FD()), unix.F_SETLK, record(syscall.F_WRLCK, 0, 10)))
		p := shmtest.Start(t, "lock", one.Name())
		p.Expect("locked out")
		p.Wait()
	})
	t.Run("PX-083/open file description", func(t *testing.T) {
		one := newObject(t, 100)
		two := open(t, one.Name(), posix.O_RDWR, 0)
		reader := open(t, one.Name(), posix.O_RDONLY, 0)
		check(t, syscall.FcntlFlock(uintptr(one.FD()), unix.F_OFD_SETLK, record(syscall.F_WRLCK, 0, 10)))
		equal(t, "second", syscall.FcntlFlock(uintptr(two.FD()), unix.F_OFD_SETLK, record(syscall.F_WRLCK, 5, 1)), error(syscall.EAGAIN))
		check(t, syscall.FcntlFlock(uintptr(two.FD()), unix.F_OFD_SETLK, record(syscall.F_WRLCK, 10, 1)))
		held := record(syscall.F_RDLCK, 0, 10)
		check(t, syscall.FcntlFlock(uintptr(reader.FD()), unix.F_OFD_GETLK, held))
		equal(t, "type seen read-only", held.Type, syscall.F_WRLCK)
		equal(t, "holder of a description", held.Pid, -1)
		// It goes with the description, not with any close of the file.
		check(t, two.Close())
		equal(t, "while the first is open", syscall.FcntlFlock(uintptr(reader.FD()), unix.F_OFD_SETLK, record(syscall.F_RDLCK, 0, 1)), error(syscall.EAGAIN))
		check(t, one.Close())
		check(t, syscall.FcntlFlock(uintptr(reader.FD()), unix.F_OFD_SETLK, record(syscall.F_RDLCK, 0, 1)))
	})
	t.Run("PX-083/inotify", func(t *testing.T) {
		fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
		check(t, err)
		defer syscall.Close(fd)
		_, err = syscall.InotifyAddWatch(fd, posix.DefaultDir, syscall.IN_CREATE|syscall.IN_DELETE)
		check(t, err)
		plain, sized := newName(t), newName(t)
		check(t, open(t, plain, fresh, 0o600).Close())
		o, err := posix.CreateSized(sized, 1, 0o600, nil)
		check(t, err)
		check(t, o.Close())
		check(t, posix.Unlink(plain, nil))
		check(t, posix.Unlink(sized, nil))

		// Events are queued before the call returns that causes them.
		want := []string{"create " + plain, "create " + sized, "delete " + plain, "delete " + sized}
		got := events(t, fd, plain, sized)
		equal(t, "events", len(got), len(want))
		for i := range want {
			equal(t, "event", got[i], want[i])
		}
	})
	t.Run("PX-083/ACL", func(t *testing.T) {
		user := shmtest.Other(t)
		o := newObject(t, 0)
		p := shmtest.Command{Handler: "open by ACL", Args: []string{o.Name()}, User: user}.Start(t)
		p.Expect("refused")
		check(t, syscall.Setxattr(file(o.Name()), "system.posix_acl_access", acl(uint32(user.UID)), 0))
		equal(t, "group bits are the mask", stat(t, o).Mode, 0o660)
		p.Send("try again")
		p.Expect("opened")
		p.Wait()
		equal(t, "size", stat(t, o).Size, 6)
	})
}

// acl encodes u::rw, u:UID:rw, g::-, m::rw, o::- as acl(5) is stored.
func acl(uid uint32) []byte {
	const nobody = 0xffffffff
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, nobody}, {0x02, 6, uid}, {0x04, 0, nobody}, {0x10, 6, nobody}, {0x20, 0, nobody}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// events reads what has been queued about the names.
func events(t *testing.T, fd int, names ...string) (list []string) {
	t.Helper()
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(fd, buf)
		if err == syscall.EAGAIN {
			return list
		}
		check(t, err)
		for b := buf[:n]; len(b) > 0; {
			mask, length := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
			name := "/" + string(trimNUL(b[16:16+length]))
			b = b[16+length:]
			for _, ours := range names {
				switch {
				case name != ours:
				case mask&syscall.IN_CREATE != 0:
					list = append(list, "create "+name)
				case mask&syscall.IN_DELETE != 0:
					list = append(list, "delete "+name)
				}
			}
		}
	}
}

func trimNUL(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
