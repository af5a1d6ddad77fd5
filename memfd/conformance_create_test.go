package memfd_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestConformanceCreate(t *testing.T) {
	const cloexec, sealing = memfd.MFD_CLOEXEC, memfd.MFD_ALLOW_SEALING
	long := strings.Repeat("x", 4096)

	// No Go string has the address 0; the call itself is asked.
	for _, row := range []string{"MF-002/null", "MF-005/null"} {
		t.Run(row, func(t *testing.T) {
			if _, _, e := unix.Syscall(unix.SYS_MEMFD_CREATE, 0, cloexec, 0); e != syscall.EFAULT {
				t.Errorf("memfd_create gave %v", e)
			}
		})
	}
	t.Run("MF-002/long-name", func(t *testing.T) {
		for _, n := range []int{2048, 4096} {
			f, err := memfd.Create(long[:n], cloexec)
			noFile(t, f, err, syscall.EINVAL)
		}
	})
	for _, flags := range []int{-500, 0x100, ^cloexec, ^sealing, ^0, 0x80000000} {
		t.Run(fmt.Sprintf("MF-002/flags-%#x", uint32(flags)), func(t *testing.T) {
			f, err := memfd.Create("x", flags)
			noFile(t, f, err, syscall.EINVAL)
		})
	}
	for _, flags := range []int{0, cloexec, sealing, cloexec | sealing} {
		for _, name := range []string{"x", ""} {
			t.Run(fmt.Sprintf("MF-002/flags-%d-name-%q", flags, name), func(t *testing.T) {
				f := file(t)(memfd.Create(name, flags))
				if s := seals(t, f); (s == 0) != (flags&sealing != 0) {
					t.Errorf("seals %v", s)
				}
				if n := size(t, f); n != 0 {
					t.Errorf("size %d", n)
				}
			})
		}
	}
	t.Run("MF-004", func(t *testing.T) {
		sizes := hugeSizes(t)
		for log := 1; log < 64; log++ {
			f, err := memfd.Create("x", memfd.MFD_HUGETLB|log<<26)
			if !sizes[log] {
				noFile(t, f, err, syscall.ENODEV)
				continue
			}
			must(t, err)
			fs, err := sys.Fstatfs(f.FD())
			must(t, err)
			if uint64(uint32(fs.Type)) != sys.HUGETLBFS_MAGIC || fs.BlockSize != 1<<log {
				t.Errorf("code %d: file system %#x, pages of %d bytes", log, fs.Type, fs.BlockSize)
			}
			must(t, f.Close())
		}
	})
	t.Run("MF-005/249", func(t *testing.T) {
		f := file(t)(memfd.Create(long[:249], 0))
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.FD()))
		if err != nil || link != "/memfd:"+long[:249]+" (deleted)" {
			t.Errorf("link %q, %v", link, err)
		}
	})
	t.Run("MF-005/250", func(t *testing.T) {
		f, err := memfd.Create(long[:250], 0)
		noFile(t, f, err, syscall.EINVAL)
	})
	for _, name := range []string{"", "a/b", "/", "..", "a b", "a\nb", "\x1b[31m", "\xff", "x (deleted)"} {
		t.Run(fmt.Sprintf("MF-005/%q", name), func(t *testing.T) {
			f := file(t)(memfd.Create(name, sealing))
			g := file(t)(f.Reopen(os.O_RDONLY))
			if f.Name() != name || g.Name() != name {
				t.Errorf("names %q and, opened anew, %q", f.Name(), g.Name())
			}
		})
	}
	t.Run("MF-007", func(t *testing.T) {
		a, b := sized(t, 8, 0), sized(t, 8, 0)
		if a.Name() != b.Name() {
			t.Fatal("different names")
		}
		_, err := a.WriteAt([]byte("a"), 0)
		must(t, err)
		buf := make([]byte, 1)
		_, err = b.ReadAt(buf, 0)
		must(t, err)
		sa, err := a.Stat()
		must(t, err)
		sb, err := b.Stat()
		must(t, err)
		if buf[0] != 0 || sa.Inode == sb.Inode {
			t.Error("one file")
		}
	})
	t.Run("MF-008", func(t *testing.T) {
		f := sized(t, 8, 0)
		probe := func() string {
			p := shmtest.Start(t, "has memfd", fmt.Sprint(f.FD()))
			defer p.Wait()
			return p.Recv()
		}
		if got := probe(); got != "no" {
			t.Errorf("inherited without being told so: %s", got)
		}
		// os/exec passes on what is not close-on-exec; so does shmtest.
		must(t, f.Inherit(true))
		if got := probe(); got != "/memfd:"+f.Name()+" (deleted)" {
			t.Errorf("not inherited: %s", got)
		}
		must(t, f.Inherit(false))
		if got := probe(); got != "no" {
			t.Errorf("inherited again: %s", got)
		}
		// The call itself, without the flag, gives one that is inherited.
		fd, err := sys.MemfdCreate("bare", 0)
		must(t, err)
		defer sys.Close(fd)
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != 0 {
			t.Errorf("flags %d, %v", flags, err)
		}
	})
	for name, flags := range map[string]int{
		"unknown":                 0x20,
		"exec-and-noexec":         memfd.MFD_EXEC | memfd.MFD_NOEXEC_SEAL,
		"huge-size-without-huge":  memfd.MFD_HUGE_2MB,
		"huge-size-without-huge1": memfd.MFD_HUGE_1GB | sealing,
	} {
		t.Run("MF-010/"+name, func(t *testing.T) {
			f, err := memfd.Create("x", flags)
			noFile(t, f, err, syscall.EINVAL)
		})
	}
	t.Run("MF-011", func(t *testing.T) {
		f := file(t)(memfd.Create("x", memfd.MFD_NOEXEC_SEAL))
		st, err := f.Stat()
		must(t, err)
		if st.Mode != 0o666 || st.Seals != memfd.F_SEAL_EXEC || memfd.F_SEAL_EXEC != 0x20 {
			t.Errorf("mode %o, seals %v", st.Mode, st.Seals)
		}
		refused(t, f.Chmod(0o700), syscall.EPERM)
		must(t, f.Chmod(0o600))
		must(t, f.AddSeals(memfd.F_SEAL_GROW))
		st, err = f.Stat()
		must(t, err)
		if st.Mode != 0o600 || st.Seals != memfd.F_SEAL_EXEC|memfd.F_SEAL_GROW {
			t.Errorf("mode %o, seals %v", st.Mode, st.Seals)
		}
	})
	t.Run("MF-012", func(t *testing.T) {
		f := file(t)(memfd.Create("x", memfd.MFD_EXEC))
		if st, err := f.Stat(); err != nil || st.Mode != 0o777 {
			t.Errorf("mode %o, %v", st.Mode, err)
		}
	})
	t.Run("MF-014", func(t *testing.T) {
		shmtest.Command{Handler: "descriptor limit", Rlimits: []shmtest.Rlimit{
			{Resource: unix.RLIMIT_NOFILE, Cur: 64, Max: 64},
		}}.Start(t).Wait()
	})
	t.Run("MF-015/another-user", func(t *testing.T) {
		shmtest.Command{Handler: "huge memfd", User: shmtest.Other(t)}.Start(t).Wait()
	})
	t.Run("MF-015/root", func(t *testing.T) {
		shmtest.Start(t, "huge memfd").Wait()
	})
}

func init() {
	shmtest.Handle("has memfd", func(c *shmtest.Child) {
		link, err := os.Readlink("/proc/self/fd/" + c.Args[0])
		if err != nil || !strings.HasPrefix(link, "/memfd:") {
			link = "no"
		}
		c.Send("%s", link)
	})
	shmtest.Handle("descriptor limit", func(c *shmtest.Child) {
		var all []*memfd.File
		for range 100 {
			f, err := memfd.Create("one of many", 0)
			if err != nil {
				refused(c, err, syscall.EMFILE)
				if f != nil || len(all) < 40 {
					c.Fatalf("after %d", len(all))
				}
				c.Check(all[0].Close())
				f, err = memfd.Create("one of many", 0)
				c.Check(err)
				c.Check(f.Close())
				return
			}
			all = append(all, f)
		}
		c.Fatal("no limit")
	})
	shmtest.Handle("huge memfd", func(c *shmtest.Child) {
		for log := range hugeSizes(c) {
			f, err := memfd.Create("huge", memfd.MFD_HUGETLB|memfd.MFD_ALLOW_SEALING|log<<26)
			c.Check(err)
			c.Check(f.Truncate(1 << log))
			c.Check(f.AddSeals(memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW))
			refused(c, f.Truncate(2<<log), syscall.EPERM)
			refused(c, f.Truncate(0), syscall.EPERM)
			if s := seals(c, f); s != memfd.F_SEAL_SHRINK|memfd.F_SEAL_GROW {
				c.Fatalf("seals %v", s)
			}
			c.Check(f.Close())
		}
	})
}

func TestConformanceHuge(t *testing.T) {
	t.Run("MF-040", func(t *testing.T) {
		if emulated {
			t.Skip("qemu's user mode has no MAP_HUGETLB: it aligns mappings to small pages")
		}
		shmtest.Sysctl(t, "vm.nr_hugepages", "0")
		f := file(t)(memfd.Create("huge", memfd.MFD_HUGETLB|memfd.MFD_HUGE_2MB))
		refused(t, f.Truncate(4096), syscall.EINVAL)
		refused(t, f.Truncate(1<<21+1), syscall.EINVAL)
		must(t, f.Truncate(2<<21))
		m, err := mapping.SharedFile(f.FD(), 0, 1<<21, rw, nil)
		unmappable(t, m, err, syscall.ENOMEM)
		n, err := f.WriteAt([]byte("x"), 0)
		refused(t, err, syscall.EINVAL)
		if n != 0 || size(t, f) != 2<<21 {
			t.Errorf("wrote %d, size %d", n, size(t, f))
		}
	})
	t.Run("MF-041", func(t *testing.T) {
		const memfdSecret = 447
		fd, _, e := unix.Syscall(memfdSecret, unix.O_CLOEXEC, 0, 0)
		if e != 0 {
			t.Skipf("needs memfd_secret: %v (the kernel is built or started without it, or this is an emulation)", e)
		}
		defer sys.Close(int(fd))
		must(t, sys.Ftruncate(int(fd), int64(page)))
		m := mapped(t)(mapping.SharedFile(int(fd), 0, page, rw, nil))
		copy(m.Bytes(), "secret")
		fields := strings.Fields(mapsLine(t, m.Addr()))
		ordinary := mapped(t)(mapShared(sized(t, int64(page), 0), rw))
		if path := strings.Join(fields[5:], " "); path != "/secretmem (deleted)" || fields[3] == strings.Fields(mapsLine(t, ordinary.Addr()))[3] {
			t.Errorf("maps shows %v", fields)
		}
		// Nobody else can read it, not even through this process' own
		// /proc/PID/mem.
		mem, err := os.Open("/proc/self/mem")
		must(t, err)
		defer mem.Close()
		if n, err := mem.ReadAt(make([]byte, 6), int64(m.Addr())); n != 0 || err == nil {
			t.Errorf("read %d bytes of it", n)
		}
		// It is not taken for a memfd.
		if f, err := memfd.Adopt(int(fd)); f != nil || !errors.Is(err, sys.ErrType) {
			t.Errorf("adopted: %v", err)
		}
	})
}
