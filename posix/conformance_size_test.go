package posix_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func init() {
	shmtest.Handle("file size limit", func(c *shmtest.Child) {
		const limit = 8192
		if c.Args[1] == "ignore" {
			signal.Ignore(syscall.SIGXFSZ)
		}
		o, err := posix.Open(c.Args[0], fresh, 0o600, nil)
		c.Check(err)
		c.Check(o.Truncate(limit))
		wantErrno(c, o.Truncate(limit+1), syscall.EFBIG)
		wantErrno(c, o.Reserve(0, limit+1), syscall.EFBIG)
		n, err := o.WriteAt(make([]byte, 100), limit-10)
		wantErrno(c, err, syscall.EFBIG)
		equal(c, "written up to the limit", n, 10)
		equal(c, "size", stat(c, o).Size, limit)
		for _, sparse := range []bool{false, true} {
			_, err = posix.CreateSized(c.Args[0]+".sized", limit+1, 0o600, &posix.Options{Sparse: sparse})
			wantErrno(c, err, syscall.EFBIG)
			absent(c, c.Args[0]+".sized")
		}
		id, err := sysv.Get(sysv.IPC_PRIVATE, 10*limit, sysv.IPC_CREAT|0o600)
		c.Check(err)
		c.Check(sysv.Remove(id))
		c.Send("%v", o.Truncate(limit+1))
	})
	shmtest.Handle("small mount", func(c *shmtest.Child) {
		var room int
		fmt.Sscan(c.Args[0], &room)
		o, err := posix.Open("/small", fresh, 0o600, nil)
		c.Check(err)
		// A size is no memory.
		c.Check(o.Truncate(int64(100 * room)))
		m, err := mapping.SharedFile(o.FD(), 0, 100*room, rw, nil)
		c.Check(err)
		stored := 0
		addr, faulted := fault(func() {
			for ; stored < 100*room; stored += page {
				m.Bytes()[stored] = 1
			}
		})
		equal(c, "SIGBUS", faulted, true)
		if !emulated() {
			equal(c, "at", addr, m.Addr()+uintptr(stored))
		}
		// The mount's own inodes may take a page or two.
		if stored > room || stored < room-4*page {
			c.Fatalf("stored %d bytes into a mount of %d", stored, room)
		}
		wantErrno(c, o.Reserve(0, int64(room+page)), syscall.ENOSPC)
		_, err = o.WriteAt(make([]byte, page), int64(stored))
		wantErrno(c, err, syscall.ENOSPC)
		if !errors.Is(err, sys.ErrNoSpace) {
			c.Fatalf("%v is not ErrNoSpace", err)
		}
		wantHint(c, err, "full")
		c.Check(m.Unmap())
		c.Check(o.Truncate(0))
		c.Check(o.Reserve(0, int64(stored)))
		c.Check(o.Close())
		c.Send("full")
	})
	shmtest.Handle("noexec mount", func(c *shmtest.Child) {
		o, err := posix.Open("/code", fresh, 0o600, nil)
		c.Check(err)
		c.Check(o.Truncate(int64(page)))
		m, err := mapping.SharedFile(o.FD(), 0, page, ro|mapping.PROT_EXEC, nil)
		c.Check(err)
		c.Check(m.Unmap())
		remount(c, syscall.MS_NOEXEC)
		_, err = mapping.SharedFile(o.FD(), 0, page, ro|mapping.PROT_EXEC, nil)
		wantErrno(c, err, syscall.EPERM)
		_, err = mapping.PrivateFile(o.FD(), 0, page, ro|mapping.PROT_EXEC, nil)
		wantErrno(c, err, syscall.EPERM)
		m, err = mapping.SharedFile(o.FD(), 0, page, rw, nil)
		c.Check(err)
		wantErrno(c, m.Protect(0, page, ro|mapping.PROT_EXEC), syscall.EACCES)
		m.Bytes()[0] = 1
		c.Check(m.Unmap())
		c.Send("refused")
	})
}

func TestConformanceSize(t *testing.T) {
	t.Run("PX-069", func(t *testing.T) {
		o := newObject(t, 0)
		equal(t, "size", stat(t, o).Size, 0)
		equal(t, "used", stat(t, o).Used, 0)
		m := mapped(t, o, page, rw)
		wantFault(t, m.Bytes(), 0, false)
		wantFault(t, m.Bytes(), 0, true)
		check(t, o.Truncate(1))
		equal(t, "byte once there is one", wantNoFault(t, m.Bytes(), 0), 0)
	})
	t.Run("PX-071", func(t *testing.T) {
		o := newObject(t, int64(3*page))
		equal(t, "used at first", stat(t, o).Used, 0)
		b := make([]byte, 3*page)
		_, err := o.ReadAt(b, 0)
		check(t, err)
		equal(t, "used after read", stat(t, o).Used, 0)
		m := mapped(t, o, 3*page, ro)
		equal(t, "byte", wantNoFault(t, m.Bytes(), page+1), 0)
		equal(t, "used after a load", stat(t, o).Used, int64(page))
	})
	t.Run("PX-072", func(t *testing.T) {
		o := newObject(t, int64(3*page))
		b := mapped(t, o, 3*page, rw).Bytes()
		for i := range b {
			b[i] = 0xee
		}
		check(t, o.Truncate(int64(page+10)))
		wantFault(t, b, 2*page, false)
		wantFault(t, b, 3*page-1, true)
		equal(t, "inside", wantNoFault(t, b, 0), 0xee)
		equal(t, "last byte", wantNoFault(t, b, page+9), 0xee)
		// The rest of the last page exists, and is zero.
		equal(t, "rest of the last page", wantNoFault(t, b, page+10), 0)
		check(t, o.Truncate(int64(3*page)))
		for _, i := range []int{page + 10, 2*page - 1, 2 * page, 3*page - 1} {
			equal(t, fmt.Sprintf("byte %d when grown again", i), wantNoFault(t, b, i), 0)
		}
		equal(t, "inside, after", wantNoFault(t, b, page+9), 0xee)
	})
	t.Run("PX-074", func(t *testing.T) {
		// What a C program sees; what a Go program does is the next row.
		p := shmtest.Exec(t, peer(t), "fsize", newName(t))
		p.Expect("at the limit 0")
		p.Expect(fmt.Sprintf("beyond: signal %d", int(syscall.SIGXFSZ)))
		p.Expect(fmt.Sprintf("beyond, ignored: errno %d", int(syscall.EFBIG)))
		p.Expect("shmget: errno 0")
		p.Wait()
	})
	t.Run("PX-075", func(t *testing.T) {
		for _, how := range []string{"plain", "ignore"} {
			t.Run(how, func(t *testing.T) {
				name := newName(t)
				p := shmtest.Command{
					Handler: "file size limit", Args: []string{name, how}, OwnIPC: os.Geteuid() == 0,
					Rlimits: []shmtest.Rlimit{{Resource: syscall.RLIMIT_FSIZE, Cur: 8192, Max: 8192}},
				}.Start(t)
				p.Expect("shm: ftruncate posix:" + name + ": 8193 bytes are more than RLIMIT_FSIZE (ulimit -f) or the file system allows: file too large")
				p.Wait()
			})
		}
	})
	t.Run("PX-077", func(t *testing.T) {
		const seekData, seekHole = 3, 4
		p := int64(page)
		o := newObject(t, 0)
		check(t, o.Reserve(0, 8*p))
		equal(t, "used", stat(t, o).Used, 8*p)
		equal(t, "size", stat(t, o).Size, 8*p)
		_, err := o.WriteAt([]byte("data"), 3*p)
		check(t, err)
		check(t, o.PunchHole(2*p, 4*p))
		equal(t, "used after the hole", stat(t, o).Used, 4*p)
		equal(t, "size after the hole", stat(t, o).Size, 8*p)
		b := make([]byte, 4)
		_, err = o.ReadAt(b, 3*p)
		check(t, err)
		equal(t, "in the hole", string(b), "\x00\x00\x00\x00")

		sparse := newObject(t, 8*p)
		_, err = sparse.WriteAt([]byte("data"), 3*p)
		check(t, err)
		seek := func(off int64, whence int) int64 {
			at, err := syscall.Seek(sparse.FD(), off, whence)
			check(t, err)
			return at
		}
		equal(t, "data", seek(0, seekData), 3*p)
		equal(t, "hole at once", seek(0, seekHole), 0)
		equal(t, "hole behind the data", seek(3*p, seekHole), 4*p)
		_, err = syscall.Seek(sparse.FD(), 4*p, seekData)
		equal(t, "no data", err, error(syscall.ENXIO))
		_, err = syscall.Seek(sparse.FD(), 0, io.SeekStart)
		check(t, err)
		// ENOSPC is the next row's.
	})
	t.Run("PX-078", func(t *testing.T) {
		room := 256 << 10
		p := shmtest.Command{Handler: "small mount", Args: []string{fmt.Sprint(room)}, ShmSize: int64(room)}.Start(t)
		p.Expect("full")
		p.Wait()
	})
	t.Run("PX-080", func(t *testing.T) {
		if emulated() {
			t.Skip("the emulator asks the kernel for no PROT_EXEC: it translates the code")
		}
		p := shmtest.Command{Handler: "noexec mount", OwnShm: true}.Start(t)
		p.Expect("refused")
		p.Wait()
	})
	t.Run("PX-081", func(t *testing.T) {
		t.Run("meminfo", testMeminfo)
		t.Run("df", testRoom)
	})
}

// testMeminfo: Shmem counts every kind of shared memory. The rest of the
// machine changes it too, so each kind has several tries at an exact growth.
func testMeminfo(t *testing.T) {
	const size = 16 << 20
	shmem := func() int64 {
		info, err := procfs.Root("").Meminfo()
		check(t, err)
		return int64(info["Shmem"])
	}
	for kind, take := range map[string]func() (giveBack func() error){
		"posix": func() func() error {
			o, err := posix.CreateSized(newName(t), size, 0o600, nil)
			check(t, err)
			return func() error { return errors.Join(posix.Unlink(o.Name(), nil), o.Close()) }
		},
		"memfd": func() func() error {
			f, err := memfd.CreateSized("meminfo", size, nil)
			check(t, err)
			return f.Close
		},
		"sysv": func() func() error {
			id, err := sysv.Get(sysv.IPC_PRIVATE, size, sysv.IPC_CREAT|0o600)
			check(t, err)
			a, err := sysv.Attach(id, 0, 0)
			check(t, err)
			check(t, sysv.Remove(id))
			touch(a.Bytes())
			return a.Detach
		},
		"shared anonymous": func() func() error {
			m, err := mapping.SharedAnonymous(size, rw, nil)
			check(t, err)
			touch(m.Bytes())
			return m.Unmap
		},
	} {
		t.Run(kind, func(t *testing.T) {
			const slack = size / 8 // counters of each processor are added up now and then
			var seen []int64
			for range 50 {
				before := shmem()
				giveBack := take()
				with := shmem()
				check(t, giveBack())
				after := shmem()
				seen = append(seen, with-before, with-after)
				if abs(with-before-size) <= slack && abs(with-after-size) <= slack {
					return
				}
			}
			t.Errorf("%d bytes never showed; differences seen: %v", size, seen)
		})
	}
}

// testRoom: what statfs, and so df, shows of the mount.
func testRoom(t *testing.T) {
	shmtest.NeedIsolation(t)
	const size = 4 << 20
	used := func() int64 {
		st, err := sys.StatfsPath(posix.DefaultDir)
		check(t, err)
		return int64(st.Blocks-st.Free) * st.BlockSize
	}
	before := used()
	o, err := posix.CreateSized(newName(t), size, 0o600, nil)
	check(t, err)
	equal(t, "with a named object", used()-before, size)
	check(t, posix.Unlink(o.Name(), nil))
	equal(t, "unlinked and held open", used()-before, size)
	m := mapped(t, o, size, rw)
	check(t, o.Close())
	equal(t, "unlinked and held mapped", used()-before, size)
	check(t, m.Unmap())
	equal(t, "gone", used()-before, 0)

	f, err := memfd.CreateSized("df", size, nil)
	check(t, err)
	defer f.Close()
	anonymous, err := mapping.SharedAnonymous(size, rw, nil)
	check(t, err)
	defer anonymous.Unmap()
	touch(anonymous.Bytes())
	equal(t, "with a memfd and shared anonymous memory", used()-before, 0)
}

func touch(b []byte) {
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
}

func abs(n int64) int64 { return max(n, -n) }
