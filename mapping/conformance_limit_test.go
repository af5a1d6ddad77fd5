package mapping_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// The children here come to limits that the Go runtime cannot live with.

func init() {
	shmtest.Handle("too many mappings", func(c *shmtest.Child) {
		f, err := memfd.CreateSized("one object", int64(page), nil)
		c.Check(err)
		three, err := mapping.PrivateAnonymous(3*page, rw, at(far(c, 3*page)))
		c.Check(err)
		// Most of it without a Mapping each, for which memory would be needed.
		addrs := make([]uintptr, 0, 1<<21)
		quiet()
		for range 5 {
			// What the errors below need is at hand then.
			_, err := mapping.SharedFile(f.FD(), 0, 1<<62, mapping.PROT_READ, nil)
			refused(c, err, syscall.ENOMEM)
			refused(c, three.UnmapRange(1, page), syscall.EINVAL)
		}
		for err == nil && len(addrs) < cap(addrs) {
			var addr uintptr
			if addr, err = sys.Mmap(0, uintptr(page), mapping.PROT_READ, mapping.MAP_SHARED, f.FD(), 0); err == nil {
				addrs = append(addrs, addr)
			}
		}
		count := len(addrs)
		free := func(n int) {
			for _, addr := range addrs[len(addrs)-n:] {
				c.Check(sys.Munmap(addr, uintptr(page)))
			}
			addrs = addrs[:len(addrs)-n]
		}
		free(10)
		var all [20]*mapping.Mapping
		n := 0
		for err = nil; err == nil && n < len(all); n++ {
			all[n], err = mapping.SharedFile(f.FD(), 0, page, mapping.PROT_READ, nil)
		}
		// One page in the middle: two mappings where there was one.
		middle := three.UnmapRange(page, page)
		free(20)
		mappedStill := len(ranges(c, three.Addr(), 3*page)) == 1
		c.Send("%d mappings, then %v", count, errors.Is(err, syscall.ENOMEM))
		c.Send("unmapping the middle: %v", errors.Is(middle, syscall.ENOMEM))
		if !mappedStill {
			c.Fatal("the page in the middle is gone")
		}
		three.Bytes()[page] = 1
		c.Check(three.UnmapRange(page, page))
		if got := ranges(c, three.Addr(), 3*page); !equal(got, [][2]int{{0, 1}, {2, 3}}) {
			c.Fatalf("the pages %v are mapped", got)
		}
		c.Check(three.Unmap())
		for _, m := range all[:n-1] {
			c.Check(m.Unmap())
		}
		free(len(addrs))
		c.Check(f.Close())
	})
	shmtest.Handle("locked memory", func(c *shmtest.Child) {
		quiet()
		const size = 1 << 20
		_, err := mapping.PrivateAnonymous(size, rw, &mapping.Options{Locked: true})
		c.Check(unix.Mlockall(unix.MCL_FUTURE))
		_, future := mapping.PrivateAnonymous(size, rw, nil)
		c.Check(unix.Munlockall())
		refused(c, err, syscall.EAGAIN)
		refused(c, future, syscall.EAGAIN)
		m, err := mapping.PrivateAnonymous(page, rw, &mapping.Options{Locked: true})
		c.Check(err)
		c.Check(m.Unmap())
	})
	shmtest.Handle("address 0", func(c *shmtest.Child) {
		_, err := mapping.Mmap(0, page, rw, mapping.MAP_PRIVATE|mapping.MAP_ANONYMOUS|mapping.MAP_FIXED, -1, 0)
		refused(c, err, syscall.EPERM)
		_, err = sys.Mmap(0, uintptr(page), rw, mapping.MAP_PRIVATE|mapping.MAP_ANONYMOUS|mapping.MAP_FIXED, -1, 0)
		if err != syscall.EPERM {
			c.Fatalf("mmap gave %v", err)
		}
	})
	shmtest.Handle("address space", func(c *shmtest.Child) {
		quiet()
		const more = 64 << 20
		limit(c, unix.RLIMIT_AS, "VmSize:", more, func() {
			for _, kind := range kinds {
				_, err := kind(2*more, rw, nil)
				refused(c, err, syscall.ENOMEM)
			}
		})
	})
	shmtest.Handle("data", func(c *shmtest.Child) {
		quiet()
		const more = 64 << 20
		limit(c, unix.RLIMIT_DATA, "VmData:", more, func() {
			_, err := mapping.PrivateAnonymous(2*more, rw, nil)
			refused(c, err, syscall.ENOMEM)
			m, err := mapping.PrivateAnonymous(2*more, mapping.PROT_READ, nil)
			c.Check(err)
			c.Check(m.Unmap())
			m, err = mapping.SharedAnonymous(2*more, rw, nil)
			c.Check(err)
			c.Check(m.Unmap())
		})
	})
	shmtest.Handle("huge", func(c *shmtest.Child) {
		_, err := mapping.PrivateAnonymous(1<<21, rw, &mapping.Options{Huge: 1})
		refused(c, err, syscall.ENOMEM)
		_, err = mapping.SharedAnonymous(1<<21, rw, &mapping.Options{Huge: 1 << 21})
		refused(c, err, syscall.ENOMEM)
		_, err = mapping.PrivateAnonymous(1<<21, rw, &mapping.Options{Huge: 1 << 13})
		refused(c, err, syscall.EINVAL)
	})
	shmtest.Handle("file size", func(c *shmtest.Child) {
		name := fmt.Sprintf("/%s", c.Args[0])
		o, err := posix.Open(name, posix.O_RDWR, 0, nil)
		c.Check(err)
		tooLarge := func() {
			if err := o.Truncate(int64(5 * page)); !errors.Is(err, syscall.EFBIG) {
				c.Fatalf("got %v", err)
			}
			st, err := o.Stat()
			c.Check(err)
			if st.Size != int64(page) {
				c.Fatalf("the object has %d bytes", st.Size)
			}
		}
		// The Go runtime takes the signal, so it ends no Go program.
		tooLarge()
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGXFSZ)
		tooLarge()
		if s := <-got; s != syscall.SIGXFSZ {
			c.Fatalf("signal %v", s)
		}
		c.Check(o.Truncate(int64(4 * page)))
	})
}

// quiet gets the Go runtime some memory that it need not ask the kernel for,
// and keeps the collector from working.
func quiet() {
	runtime.KeepAlive(make([]byte, 32<<20))
	runtime.GC()
	debug.SetGCPercent(-1)
}

// kinds are the two kinds that need no file.
var kinds = []func(int, int, *mapping.Options) (*mapping.Mapping, error){mapping.PrivateAnonymous, mapping.SharedAnonymous}

// limit runs f while resource is limited to more bytes than the line of
// /proc/self/status says are in use.
func limit(c *shmtest.Child, resource int, field string, more uint64, f func()) {
	text, err := os.ReadFile("/proc/self/status")
	c.Check(err)
	_, rest, _ := strings.Cut(string(text), field)
	var kib uint64
	_, err = fmt.Sscan(rest, &kib)
	c.Check(err)
	var old unix.Rlimit
	c.Check(unix.Getrlimit(resource, &old))
	c.Check(unix.Setrlimit(resource, &unix.Rlimit{Cur: kib<<10 + more, Max: old.Max}))
	f()
	c.Check(unix.Setrlimit(resource, &old))
}

func TestConformanceLimits(t *testing.T) {
	t.Run("MM-089", func(t *testing.T) {
		shmtest.Command{Handler: "address 0", User: shmtest.Other(t)}.Start(t).Wait()
		// Root may, but Go would take it for nil.
		m, err := mapping.Mmap(0, page, rw, mapping.MAP_PRIVATE|mapping.MAP_ANONYMOUS|mapping.MAP_FIXED, -1, 0)
		notMapped(t, m, err, syscall.EPERM)
	})
	t.Run("MM-090/RLIMIT_AS", func(t *testing.T) {
		skipEmulated(t, "limits of the address space are not those of the emulated program under qemu")
		shmtest.Command{Handler: "address space", User: shmtest.Other(t)}.Start(t).Wait()
	})
	t.Run("MM-090/RLIMIT_DATA", func(t *testing.T) {
		skipEmulated(t, "limits of the address space are not those of the emulated program under qemu")
		shmtest.Command{Handler: "data", User: shmtest.Other(t)}.Start(t).Wait()
	})
	t.Run("MM-040", func(t *testing.T) {
		skipEmulated(t, "locking all memory would lock qemu's own")
		shmtest.Command{
			Handler: "locked memory", User: shmtest.Other(t),
			Rlimits: []shmtest.Rlimit{{Resource: unix.RLIMIT_MEMLOCK, Cur: 64 << 10, Max: 64 << 10}},
		}.Start(t).Wait()
	})
	t.Run("MM-092/root", func(t *testing.T) {
		skipEmulated(t, "qemu's user mode does not pass MAP_HUGETLB on")
		shmtest.Sysctl(t, "vm.nr_hugepages", "0")
		shmtest.Start(t, "huge").Wait()
	})
	t.Run("MM-092/another-user", func(t *testing.T) {
		skipEmulated(t, "qemu's user mode does not pass MAP_HUGETLB on")
		shmtest.Sysctl(t, "vm.nr_hugepages", "0")
		shmtest.Command{Handler: "huge", User: shmtest.Other(t)}.Start(t).Wait()
	})
}

func TestConformanceMaxMapCount(t *testing.T) {
	skipEmulated(t, "qemu itself does not survive vm.max_map_count")
	if raceDetector {
		t.Skip("the race detector itself does not survive vm.max_map_count")
	}
	p := shmtest.Start(t, "too many mappings")
	t.Run("MM-044", func(t *testing.T) {
		var count, most int
		if _, err := fmt.Sscanf(p.Recv(), "%d mappings, then true", &count); err != nil {
			t.Fatal("it did not end with ENOMEM")
		}
		text, err := os.ReadFile("/proc/sys/vm/max_map_count")
		must(t, err)
		_, err = fmt.Sscan(string(text), &most)
		must(t, err)
		if count > most || count < most-200 {
			t.Errorf("%d mappings, vm.max_map_count is %d", count, most)
		}
	})
	t.Run("MM-024", func(t *testing.T) {
		p.Expect("unmapping the middle: true")
		// What the child looks at is mapped or not as it should be.
		p.Wait()
	})
}

// raceDetector tells whether the test was built with it.
var raceDetector bool

func skipEmulated(t *testing.T, reason string) {
	t.Helper()
	if emulated {
		t.Skip(reason)
	}
}

func TestConformanceTruncate(t *testing.T) {
	newObject := func(t *testing.T, size int64) (name string, o *posix.Object) {
		name = shmtest.Name(t)
		o, err := posix.CreateSized(name, size, 0o600, nil)
		must(t, err)
		t.Cleanup(func() {
			o.Close()
			must(t, posix.Unlink(name, nil))
		})
		return name, o
	}
	t.Run("MM-008", func(t *testing.T) {
		_, o := newObject(t, int64(4*page))
		m := mapped(t)(mapping.SharedFile(o.FD(), 0, 4*page, rw, nil))
		copy(m.Bytes(), pages(4))
		for _, size := range []int64{int64(2 * page), int64(8 * page), 0, int64(page)} {
			must(t, o.Truncate(size))
			st, err := o.Stat()
			must(t, err)
			if st.Size != size {
				t.Errorf("size %d, want %d", st.Size, size)
			}
		}
		if m.Bytes()[0] != 0 {
			t.Error("a byte survived size 0")
		}
	})
	t.Run("MM-026/socket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		must(t, err)
		defer l.Close()
		f, err := l.(*net.UnixListener).File()
		must(t, err)
		defer f.Close()
		// No Object is a socket.
		if err := sys.Ftruncate(fd(f), 4); err != syscall.EINVAL {
			t.Errorf("ftruncate gave %v", err)
		}
	})
	t.Run("MM-026/read-only", func(t *testing.T) {
		name, _ := newObject(t, int64(page))
		o, err := posix.Open(name, posix.O_RDONLY, 0, nil)
		must(t, err)
		defer o.Close()
		if err := o.Truncate(4); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("got %v", err)
		}
		if st, _ := o.Stat(); st.Size != int64(page) {
			t.Errorf("size %d", st.Size)
		}
	})
	t.Run("MM-026/negative", func(t *testing.T) {
		_, o := newObject(t, int64(page))
		if err := o.Truncate(-1); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("got %v", err)
		}
		if st, _ := o.Stat(); st.Size != int64(page) {
			t.Errorf("size %d", st.Size)
		}
	})
	t.Run("MM-026/bad-descriptor", func(t *testing.T) {
		_, o := newObject(t, int64(page))
		must(t, o.Close())
		// A closed Object does not ask the kernel, for which the number may
		// be somebody else's by now.
		if err := o.Truncate(4); !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v", err)
		}
		if err := sys.Ftruncate(-1, 4); err != syscall.EBADF {
			t.Errorf("ftruncate gave %v", err)
		}
	})
	t.Run("MM-112", func(t *testing.T) {
		const size = 1 << 16
		for _, c := range []struct {
			seals        memfd.Seals
			shrink, grow bool
		}{
			{memfd.F_SEAL_SHRINK, false, true},
			{memfd.F_SEAL_GROW, true, false},
			{memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW, false, false},
			{0, true, true},
		} {
			f, err := memfd.CreateSized("sealed", size, &memfd.Options{Seals: c.seals})
			must(t, err)
			defer f.Close()
			for _, try := range []struct {
				size int64
				may  bool
			}{{size, true}, {size - 1, c.shrink}, {size + 1, c.grow}} {
				err := f.Truncate(try.size)
				st, e := f.Stat()
				must(t, e)
				switch {
				case try.may && (err != nil || st.Size != try.size):
					t.Errorf("%v: to %d: %v, size %d", c.seals, try.size, err, st.Size)
				case !try.may && !errors.Is(err, syscall.EPERM):
					t.Errorf("%v: to %d: %v, want EPERM", c.seals, try.size, err)
				}
				if try.may && try.size != size && c.shrink && c.grow {
					must(t, f.Truncate(size))
				}
			}
		}
	})
	t.Run("MM-113", func(t *testing.T) {
		name, _ := newObject(t, int64(page))
		limits := []shmtest.Rlimit{{Resource: unix.RLIMIT_FSIZE, Cur: uint64(4 * page), Max: uint64(4 * page)}}
		shmtest.Command{Handler: "file size", Args: []string{name}, Rlimits: limits}.Start(t).Wait()
	})
}
