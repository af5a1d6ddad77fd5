package posix_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("stranger", func(c *shmtest.Child) {
		name := c.Args[0]
		_, err := posix.Open(name, posix.O_RDONLY, 0, nil)
		wantErrno(c, err, syscall.EACCES)
		equal(c, "EACCES is fs.ErrPermission", errors.Is(err, fs.ErrPermission), true)
		refused(c, name, posix.O_RDWR|posix.O_CREAT, 0o666, syscall.EACCES)
		refused(c, name, posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o666, syscall.EEXIST)
		_, err = posix.CreateSized(name, 1, 0o666, nil)
		wantErrno(c, err, syscall.EEXIST)
		c.Send("refused")
	})
	shmtest.Handle("keep open", func(c *shmtest.Child) {
		o, err := posix.Open(c.Args[0], posix.O_RDWR, 0, nil)
		c.Check(err)
		m, err := mapping.SharedFile(o.FD(), 0, 8, rw, nil)
		c.Check(err)
		c.Send("open")
		c.Expect("closed to others")
		refused(c, c.Args[0], posix.O_RDWR, 0, syscall.EACCES)
		refused(c, c.Args[0], posix.O_RDONLY, 0, syscall.EACCES)
		copy(m.Bytes(), "by map")
		_, err = o.WriteAt([]byte("by fd"), 10)
		c.Check(err)
		c.Check(o.Truncate(20))
		c.Send("written")
		c.Expect("given away")
		c.Check(o.Truncate(30))
		c.Check(o.Chmod(0o640)) // its owner now
		c.Send("owned")
	})
	shmtest.Handle("leave an object", func(c *shmtest.Child) {
		syscall.Umask(0)
		o, err := posix.Open(c.Args[0], fresh, 0o666, nil)
		c.Check(err)
		c.Check(o.Close())
		c.Send("made")
	})
}

func TestConformanceFlag(t *testing.T) {
	t.Run("PX-054", func(t *testing.T) {
		target, link := newObject(t, 5), newName(t)
		check(t, os.Symlink(file(target.Name()), file(link)))
		refused(t, link, posix.O_RDONLY, 0, syscall.ELOOP)
		refused(t, link, posix.O_RDWR, 0, syscall.ELOOP)
		refused(t, link, posix.O_RDWR|posix.O_CREAT, 0o600, syscall.ELOOP)
		refused(t, link, posix.O_RDWR|posix.O_TRUNC, 0, syscall.ELOOP)
		refused(t, link, posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600, syscall.EEXIST)
		_, err := posix.CreateSized(link, 1, 0o600, nil)
		wantErrno(t, err, syscall.EEXIST)
		check(t, posix.Unlink(link, nil))
		absent(t, link)
		equal(t, "size of the target", stat(t, target).Size, 5)
		equal(t, "links of the target", named(t, target.Name()).Links, 1)

		// One that leads nowhere is the same; nothing appears at its end.
		nowhere := newName(t)
		check(t, os.Symlink(file(nowhere), file(link)))
		refused(t, link, posix.O_RDWR|posix.O_CREAT, 0o600, syscall.ELOOP)
		absent(t, nowhere)
		check(t, posix.Unlink(link, nil))
	})
	t.Run("PX-055", func(t *testing.T) {
		name := shmtest.Name(t)
		check(t, os.Mkdir(file(name), 0o700))
		defer os.Remove(file(name))
		refused(t, name, posix.O_RDWR, 0, syscall.EINVAL)
		refused(t, name, posix.O_RDWR|posix.O_CREAT, 0o600, syscall.EINVAL)
		// glibc opens it for reading. It is no object, so here it is refused.
		refused(t, name, posix.O_RDONLY, 0, syscall.EINVAL)
		fd, err := syscall.Open(file(name), syscall.O_RDONLY|syscall.O_NOFOLLOW, 0)
		check(t, err)
		check(t, syscall.Close(fd))
	})
	t.Run("PX-057", func(t *testing.T) {
		o := newObject(t, 3)
		again := open(t, o.Name(), posix.O_RDWR|posix.O_EXCL, 0)
		equal(t, "inode", stat(t, again).Inode, stat(t, o).Inode)
		refused(t, shmtest.Name(t), posix.O_RDWR|posix.O_EXCL, 0, syscall.ENOENT)
	})
	t.Run("PX-058", func(t *testing.T) {
		o := newObject(t, 8)
		w := open(t, o.Name(), posix.O_WRONLY, 0)
		_, err := w.WriteAt([]byte("written"), 0)
		check(t, err)
		check(t, w.Truncate(9))
		for _, prot := range []int{mapping.PROT_NONE, mapping.PROT_READ, mapping.PROT_WRITE, rw} {
			_, err := mapping.SharedFile(w.FD(), 0, 8, prot, nil)
			wantErrno(t, err, syscall.EACCES)
			_, err = mapping.PrivateFile(w.FD(), 0, 8, prot, nil)
			wantErrno(t, err, syscall.EACCES)
		}
		_, err = w.ReadAt(make([]byte, 1), 0)
		wantErrno(t, err, syscall.EBADF)
		equal(t, "size", stat(t, o).Size, 9)
	})
	t.Run("PX-060", func(t *testing.T) {
		o := newObject(t, 5000)
		cut := open(t, o.Name(), posix.O_RDONLY|posix.O_TRUNC, 0)
		equal(t, "size", stat(t, cut).Size, 0)
		equal(t, "size through the first", stat(t, o).Size, 0)
	})
	t.Run("PX-061", func(t *testing.T) {
		defer syscall.Umask(syscall.Umask(0o027))
		o := open(t, newName(t), fresh, 0o666)
		equal(t, "mode", stat(t, o).Mode, 0o640)
		sized, err := posix.CreateSized(newName(t), 1, 0o666, nil)
		check(t, err)
		defer sized.Close()
		equal(t, "mode of CreateSized", stat(t, sized).Mode, 0o640)
	})
	t.Run("PX-063", func(t *testing.T) {
		user := shmtest.Other(t)
		o := newObject(t, 8)
		check(t, o.Chmod(0o666))
		equal(t, "mode", named(t, o.Name()).Mode, 0o666)
		p := shmtest.Command{Handler: "keep open", Args: []string{o.Name()}, User: user}.Start(t)
		p.Expect("open")
		check(t, o.Chmod(0o600))
		p.Send("closed to others")
		p.Expect("written")
		b := make([]byte, 15)
		_, err := o.ReadAt(b, 0)
		check(t, err)
		equal(t, "bytes", string(b), "by map\x00\x00\x00\x00by fd")
		equal(t, "size", stat(t, o).Size, 20)
		check(t, o.Chown(user.UID, -1))
		equal(t, "owner", int(named(t, o.Name()).UID), user.UID)
		equal(t, "group", int(named(t, o.Name()).GID), os.Getegid())
		p.Send("given away")
		p.Expect("owned")
		p.Wait()
		equal(t, "mode", stat(t, o).Mode, 0o640)
		equal(t, "size", stat(t, o).Size, 30)
	})
	t.Run("PX-064", func(t *testing.T) {
		o := newObject(t, 0)
		one, two := open(t, o.Name(), posix.O_RDWR, 0), open(t, o.Name(), posix.O_RDWR, 0)
		offset := func(o *posix.Object) int64 {
			off, err := syscall.Seek(o.FD(), 0, io.SeekCurrent)
			check(t, err)
			return off
		}
		equal(t, "offset of a new one", offset(one), 0)
		n, err := syscall.Write(one.FD(), []byte("0123456789"))
		check(t, err)
		equal(t, "written", n, 10)
		equal(t, "offset after write", offset(one), 10)
		equal(t, "offset of the other", offset(two), 0)
		b := make([]byte, 4)
		n, err = syscall.Read(two.FD(), b)
		check(t, err)
		equal(t, "read", string(b[:n]), "0123")
		_, err = two.WriteAt([]byte("XY"), 6)
		check(t, err)
		_, err = one.ReadAt(b, 5)
		check(t, err)
		equal(t, "pread", string(b), "5XY8")
		equal(t, "offset after pread and pwrite", offset(two), 4)
		off, err := syscall.Seek(two.FD(), -1, io.SeekEnd)
		check(t, err)
		equal(t, "lseek", off, 9)
		n, err = syscall.Read(two.FD(), b)
		check(t, err)
		equal(t, "read at the end", string(b[:n]), "9")
		n, err = one.ReadAt(b, 8)
		equal(t, "pread past the end", string(b[:n]), "89")
		equal(t, "its error", err, io.EOF)
	})
	t.Run("PX-065", func(t *testing.T) {
		// What protected_regular adds is another row.
		user := shmtest.Other(t)
		o := newObject(t, 12)
		p := shmtest.Command{Handler: "stranger", Args: []string{o.Name()}, User: user}.Start(t)
		p.Expect("refused")
		p.Wait()
		equal(t, "size", stat(t, o).Size, 12)
		equal(t, "owner", int(stat(t, o).UID), os.Getuid())
	})
	t.Run("PX-067", func(t *testing.T) {
		user := shmtest.Other(t)
		name := newName(t)
		p := shmtest.Command{Handler: "leave an object", Args: []string{name}, User: user}.Start(t)
		p.Expect("made")
		p.Wait()
		equal(t, "mode", named(t, name).Mode, 0o666)
		for _, value := range []string{"1", "2"} {
			t.Run(value, func(t *testing.T) {
				shmtest.Sysctl(t, "fs.protected_regular", value)
				_, err := posix.Open(name, posix.O_RDWR|posix.O_CREAT, 0o666, nil)
				wantErrno(t, err, syscall.EACCES)
				wantHint(t, err, "fs.protected_regular")
				refused(t, name, posix.O_RDONLY|posix.O_CREAT, 0o666, syscall.EACCES)
				refused(t, name, posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o666, syscall.EEXIST)
				open(t, name, posix.O_RDWR, 0)
				open(t, name, posix.O_RDWR|posix.O_TRUNC, 0)
			})
		}
		t.Run("0", func(t *testing.T) {
			shmtest.Sysctl(t, "fs.protected_regular", "0")
			open(t, name, posix.O_RDWR|posix.O_CREAT, 0o666)
		})
	})
}

// TestTypes: what is in the mount and is no object is neither opened nor
// waited for.
func TestTypes(t *testing.T) {
	for kind, make := range map[string]func(path string) error{
		"FIFO":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"socket": func(path string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) },
	} {
		t.Run(kind, func(t *testing.T) {
			name := newName(t)
			check(t, make(file(name)))
			for _, flags := range []int{posix.O_RDONLY, posix.O_RDWR, posix.O_WRONLY, posix.O_RDWR | posix.O_CREAT} {
				refused(t, name, flags, 0o600, syscall.EINVAL)
			}
			refused(t, name, fresh, 0o600, syscall.EEXIST)
			st := named(t, name)
			if st.Regular() {
				t.Errorf("%v is regular", st.Mode)
			}
		})
	}
	t.Run("device", func(t *testing.T) {
		shmtest.NeedRoot(t)
		name := newName(t)
		err := syscall.Mknod(file(name), syscall.S_IFCHR|0o600, 1<<8|3)
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("needs CAP_MKNOD: %v", err)
		}
		check(t, err)
		o, err := posix.Open(name, posix.O_RDWR, 0, nil)
		if err == nil {
			o.Close()
			t.Fatal("opened /dev/null as an object")
		}
		// Where the mount is nodev the kernel says EACCES before we look.
		if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EACCES) {
			t.Fatal(err)
		}
	})
}
