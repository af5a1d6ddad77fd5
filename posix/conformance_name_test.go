package posix_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("no mount", func(c *shmtest.Child) {
		c.Check(syscall.Mount("none", "/dev", "tmpfs", 0, ""))
		defer syscall.Unmount("/dev", 0)
		for _, flags := range []int{posix.O_RDONLY, posix.O_RDWR, fresh} {
			o, err := posix.Open("/x", flags, 0o600, nil)
			if err == nil {
				o.Close()
			}
			wantErrno(c, err, syscall.ENOENT)
			if !strings.Contains(err.Error(), "there is no /dev/shm") {
				c.Fatalf("%v does not say what is missing", err)
			}
		}
		_, err := posix.CreateSized("/x", 1, 0o600, nil)
		wantErrno(c, err, syscall.ENOENT)
		wantErrno(c, posix.Unlink("/x", nil), syscall.ENOENT)
		_, err = posix.Stat("/x", nil)
		wantErrno(c, err, syscall.ENOENT)
		for _, err := range posix.List(nil) {
			wantErrno(c, err, syscall.ENOENT)
		}
		c.Send("nothing there")
	})
	shmtest.Handle("read-only mount", func(c *shmtest.Child) {
		o, err := posix.Open("/x", fresh, 0o600, nil)
		c.Check(err)
		c.Check(o.Close())
		remount(c, syscall.MS_RDONLY)
		refused(c, "/x", posix.O_RDWR, 0, syscall.EROFS)
		refused(c, "/new", fresh, 0o600, syscall.EROFS)
		_, err = posix.CreateSized("/new", 1, 0o600, nil)
		wantErrno(c, err, syscall.EROFS)
		wantErrno(c, posix.Unlink("/x", nil), syscall.EROFS)
		o, err = posix.Open("/x", posix.O_RDONLY, 0, nil)
		c.Check(err)
		c.Check(o.Close())
		remount(c, 0)
		c.Check(posix.Unlink("/x", nil))
		c.Send("refused")
	})
	shmtest.Handle("plain directory", func(c *shmtest.Child) {
		c.Check(syscall.Mount(c.Args[0], posix.DefaultDir, "", syscall.MS_BIND, ""))
		o, err := posix.Open("/plain", fresh, 0o600, nil)
		c.Check(err)
		_, err = o.WriteAt([]byte("ordinary file"), 0)
		c.Check(err)
		c.Check(o.Close())
		o, err = posix.CreateSized("/sized", 10000, 0o600, nil)
		c.Check(err)
		equal(c, "size", stat(c, o).Size, 10000)
		c.Check(o.Close())
		c.Send("made")
	})
}

// remount changes the flags of a child's own shared memory mount.
func remount(c *shmtest.Child, flags uintptr) {
	c.Helper()
	c.Check(syscall.Mount("", posix.DefaultDir, "", syscall.MS_REMOUNT|syscall.MS_NOSUID|syscall.MS_NODEV|flags, "mode=1777"))
}

func TestConformanceName(t *testing.T) {
	t.Run("PX-023", func(t *testing.T) {
		mark := shmtest.Name(t)
		for _, name := range []string{
			"$#\n@\r\x01 \t~*?[" + mark, "\xff\xfe\xc3" + mark, "/\xff" + mark, "-" + mark,
			"..", "/", "//", "/abc" + mark, "..." + mark, ".", "/.", "/..", "",
		} {
			o, err := posix.Open(name, fresh, 0o600, nil)
			if err != nil {
				wantErrno(t, err, syscall.EINVAL)
				continue
			}
			unlinkLater(t, name)
			check(t, o.Close())
			check(t, posix.Unlink(name, nil))
		}
	})
	t.Run("PX-025", func(t *testing.T) {
		name := long(t, posix.NameMax+1)
		refused(t, name, fresh, 0o600, syscall.ENAMETOOLONG)
		refused(t, "/"+name, fresh, 0o600, syscall.ENAMETOOLONG)
		refused(t, name, posix.O_RDONLY, 0, syscall.ENAMETOOLONG)
	})
	t.Run("PX-026", func(t *testing.T) {
		const pathMax = 4096
		name := strings.Repeat("/"+strings.Repeat("a", 15), pathMax/16)
		refused(t, name, fresh, 0o600, syscall.EINVAL)
		refused(t, name[:pathMax-1], posix.O_RDONLY, 0, syscall.EINVAL)
	})
	t.Run("PX-042", func(t *testing.T) {
		name := shmtest.Name(t)
		o := open(t, name, fresh, 0o600)
		unlinkLater(t, name)
		for _, alias := range []string{name, "/" + name, "///" + name} {
			again := open(t, alias, posix.O_RDWR, 0)
			equal(t, "inode of "+alias, stat(t, again).Inode, stat(t, o).Inode)
			equal(t, "name of "+alias, again.Name(), "/"+name)
			equal(t, "path of "+alias, again.Path(), "/dev/shm/"+name)
		}
		info, err := os.Stat("/dev/shm/" + name)
		check(t, err)
		equal(t, "inode of the file", info.Sys().(*syscall.Stat_t).Ino, stat(t, o).Inode)
		check(t, posix.Unlink("///"+name, nil))
		absent(t, name)
	})
	t.Run("PX-043", func(t *testing.T) {
		for _, name := range []string{"", "/", "///", "/a/", "a/", "/a/b", "a/b", "//a//b", "./a", "../a"} {
			for _, flags := range []int{posix.O_RDONLY, posix.O_RDWR, posix.O_RDWR | posix.O_CREAT, fresh} {
				refused(t, name, flags, 0o600, syscall.EINVAL)
			}
			_, err := posix.CreateSized(name, 1, 0o600, nil)
			wantErrno(t, err, syscall.EINVAL)
		}
	})
	t.Run("PX-045", func(t *testing.T) {
		// glibc gives descriptors of directories here; there is no object
		// behind them, so this is refused, as in musl.
		for _, name := range []string{".", "..", "/.", "/..", "//."} {
			refused(t, name, posix.O_RDONLY, 0, syscall.EINVAL)
			refused(t, name, posix.O_RDWR, 0, syscall.EINVAL)
			_, err := posix.CleanName(name)
			wantErrno(t, err, syscall.EINVAL)
		}
	})
	t.Run("PX-046", func(t *testing.T) {
		name := long(t, 255)
		for _, slashes := range []string{"", "/", "/////"} {
			o := open(t, slashes+name, fresh, 0o600)
			equal(t, "path", o.Path(), "/dev/shm/"+name)
			check(t, posix.Unlink(slashes+name, nil))
			refused(t, slashes+name+"x", fresh, 0o600, syscall.ENAMETOOLONG)
		}
	})
	t.Run("PX-051", func(t *testing.T) {
		equal(t, "directory", posix.DefaultDir, "/dev/shm")
		t.Run("other directory", func(t *testing.T) {
			opts := &posix.Options{Dir: t.TempDir()}
			o, err := posix.Open("/x", fresh, 0o600, opts)
			check(t, err)
			check(t, o.Close())
			if got := dirNames(t, opts.Dir); len(got) != 1 || got[0] != "x" {
				t.Fatalf("in the directory: %q", got)
			}
			check(t, posix.Unlink("/x", opts))
		})
		t.Run("no tmpfs", func(t *testing.T) {
			dir := t.TempDir()
			p := shmtest.Command{Handler: "plain directory", Args: []string{dir}, OwnShm: true}.Start(t)
			p.Expect("made")
			p.Wait()
			b, err := os.ReadFile(dir + "/plain")
			check(t, err)
			equal(t, "contents", string(b), "ordinary file")
			equal(t, "files", strings.Join(dirNames(t, dir), " "), "plain sized")
		})
	})
	t.Run("PX-052", func(t *testing.T) {
		for handler, answer := range map[string]string{"no mount": "nothing there", "read-only mount": "refused"} {
			t.Run(handler, func(t *testing.T) {
				p := shmtest.Command{Handler: handler, OwnShm: true}.Start(t)
				p.Expect(answer)
				p.Wait()
			})
		}
	})
}

func TestConformanceUnlinkName(t *testing.T) {
	t.Run("PX-032", func(t *testing.T) {
		wantErrno(t, posix.Unlink("/"+long(t, posix.NameMax+1), nil), syscall.ENAMETOOLONG)
	})
	t.Run("PX-033", func(t *testing.T) {
		name := strings.Repeat("/"+strings.Repeat("a", 15), 4096/16)
		wantErrno(t, posix.Unlink(name, nil), syscall.ENOENT)
	})
	t.Run("PX-048", func(t *testing.T) {
		for _, name := range []string{"", "/", "//", "/a/b", "a/", "/x\x00y"} {
			err := posix.Unlink(name, nil)
			wantErrno(t, err, syscall.ENOENT)
			if errors.Is(err, syscall.EINVAL) {
				t.Fatalf("%v is EINVAL too", err)
			}
		}
		// Documented: too long is ENAMETOOLONG, whatever the length.
		for _, n := range []int{256, 259, 260, 299, 5000} {
			wantErrno(t, posix.Unlink("/"+strings.Repeat("n", n), nil), syscall.ENAMETOOLONG)
		}
	})
	t.Run("PX-049", func(t *testing.T) {
		for _, name := range []string{"/.", ".", "/.."} {
			wantErrno(t, posix.Unlink(name, nil), syscall.EISDIR)
		}
		name := shmtest.Name(t)
		check(t, os.Mkdir(file(name), 0o700))
		defer os.Remove(file(name))
		wantErrno(t, posix.Unlink(name, nil), syscall.EISDIR)
		if st := named(t, name); !st.Mode.IsDir() {
			t.Fatalf("the directory is a %v now", st.Mode)
		}
	})
}

// long gives a name of n bytes that nobody else has.
func long(t testing.TB, n int) string {
	name := shmtest.Name(t)
	name += strings.Repeat("x", n-len(name))
	unlinkLater(t, name[:min(n, posix.NameMax)])
	return name
}
