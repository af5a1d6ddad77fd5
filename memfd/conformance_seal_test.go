package memfd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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

// may is what a memfd of one page allows.
type may struct{ write, mapWritable, punch, shrink, grow, growByWrite bool }

// allowed tries everything. The memfd must have one page, and has it
// afterwards if that is possible.
func allowed(t failer, f *memfd.File) (got may) {
	t.Helper()
	one := int64(page)
	try := func(err error) bool {
		t.Helper()
		if err != nil && !errors.Is(err, syscall.EPERM) {
			t.Fatalf("got %v, want EPERM or success", err)
		}
		return err == nil
	}
	_, err := f.WriteAt([]byte("text"), 0)
	got.write = try(err)
	m, err := mapShared(f, rw)
	if got.mapWritable = try(err); got.mapWritable {
		must(t, m.Unmap())
	}
	got.punch = try(f.PunchHole(0, one))
	if got.shrink = try(f.Truncate(one / 2)); got.shrink {
		if size(t, f) != one/2 {
			t.Fatal("not shrunk")
		}
		f.Truncate(one)
	} else if size(t, f) != one {
		t.Fatal("shrunk all the same")
	}
	if got.grow = try(f.Truncate(2 * one)); got.grow != (size(t, f) == 2*one) {
		t.Fatalf("growing: %v, size %d", got.grow, size(t, f))
	}
	f.Truncate(one)
	if n := size(t, f); n == one {
		_, err = f.WriteAt([]byte("text"), one)
		got.growByWrite = try(err)
		if got.growByWrite != (size(t, f) > one) {
			t.Fatalf("growing by write: %v, size %d", got.growByWrite, size(t, f))
		}
		f.Truncate(one)
	} else {
		got.growByWrite = got.grow && got.write
	}
	return got
}

func TestConformanceSeals(t *testing.T) {
	const (
		seal, shrink, grow, write = memfd.F_SEAL_SEAL, memfd.F_SEAL_SHRINK, memfd.F_SEAL_GROW, memfd.F_SEAL_WRITE
		future                    = memfd.F_SEAL_FUTURE_WRITE
	)
	sealable := func(t *testing.T) *memfd.File {
		f := file(t)(memfd.Create(t.Name(), memfd.MFD_ALLOW_SEALING))
		must(t, f.Truncate(int64(page)))
		return f
	}
	all := may{true, true, true, true, true, true}

	t.Run("MF-001/basic", func(t *testing.T) {
		f := sealable(t)
		if got := allowed(t, f); got != all || seals(t, f) != 0 {
			t.Errorf("without seals: %+v, %v", got, seals(t, f))
		}
		must(t, f.AddSeals(shrink|write))
		must(t, f.AddSeals(shrink|write))
		must(t, f.AddSeals(grow|seal))
		if s := seals(t, f); s != seal|shrink|grow|write {
			t.Errorf("seals %v", s)
		}
		refused(t, f.AddSeals(grow), syscall.EPERM)
		refused(t, f.AddSeals(0), syscall.EPERM)
	})
	t.Run("MF-001/not-allowed", func(t *testing.T) {
		f := file(t)(memfd.Create("x", 0))
		must(t, f.Truncate(int64(page)))
		if s := seals(t, f); s != seal {
			t.Errorf("seals %v", s)
		}
		for s := seal; s <= future; s <<= 1 {
			refused(t, f.AddSeals(s), syscall.EPERM)
		}
		if got := allowed(t, f); got != all {
			t.Errorf("allowed %+v", got)
		}
	})
	for _, c := range []struct {
		name string
		seal memfd.Seals
		want may
	}{
		{"write", write, may{shrink: true, grow: true}},
		{"shrink", shrink, may{write: true, mapWritable: true, punch: true, grow: true, growByWrite: true}},
		{"grow", grow, may{write: true, mapWritable: true, punch: true, shrink: true}},
		{"shrink-and-grow", shrink | grow, may{write: true, mapWritable: true, punch: true}},
		{"all", shrink | grow | write | seal, may{}},
	} {
		t.Run("MF-001/"+c.name, func(t *testing.T) {
			f := sealable(t)
			must(t, f.AddSeals(c.seal))
			if got := allowed(t, f); got != c.want {
				t.Errorf("allowed %+v, want %+v", got, c.want)
			}
			if s := seals(t, f); s != c.seal {
				t.Errorf("seals %v", s)
			}
		})
	}
	for _, row := range []string{"MF-001/dup", "MF-030/dup"} {
		t.Run(row, func(t *testing.T) {
			f := sealable(t)
			fd, err := sys.Dup(f.FD())
			must(t, err)
			g := file(t)(memfd.Adopt(fd))
			must(t, g.AddSeals(shrink))
			must(t, f.AddSeals(grow))
			if a, b := seals(t, f), seals(t, g); a != shrink|grow || b != a {
				t.Errorf("seals %v and %v", a, b)
			}
			must(t, f.AddSeals(seal))
			refused(t, g.AddSeals(write), syscall.EPERM)
		})
	}
	t.Run("MF-001/busy", func(t *testing.T) {
		f := sealable(t)
		m, err := mapShared(f, rw)
		must(t, err)
		refused(t, f.AddSeals(write), syscall.EBUSY)
		if s := seals(t, f); s != 0 {
			t.Errorf("seals %v", s)
		}
		must(t, m.Unmap())
		must(t, f.AddSeals(write))
	})
	for _, row := range []string{"MF-001/private-mapping", "MF-024"} {
		t.Run(row, func(t *testing.T) {
			f := sealable(t)
			m := mapped(t)(mapping.PrivateFile(f.FD(), 0, page, rw, nil))
			m.Bytes()[0] = 1
			must(t, f.AddSeals(write))
			m.Bytes()[0] = 2
			b := make([]byte, 1)
			if _, err := f.ReadAt(b, 0); err != nil || b[0] != 0 || seals(t, f) != write {
				t.Errorf("byte %d, %v, seals %v", b[0], err, seals(t, f))
			}
		})
	}
	t.Run("MF-001/reopen", func(t *testing.T) {
		f := sealable(t)
		g := file(t)(f.Reopen(os.O_RDWR))
		must(t, g.AddSeals(shrink))
		r := file(t)(f.Reopen(os.O_RDONLY))
		refused(t, r.AddSeals(grow), syscall.EPERM)
		for _, f := range []*memfd.File{f, g, r} {
			if s := seals(t, f); s != shrink {
				t.Errorf("seals %v", s)
			}
		}
		// A sealed memfd can still be opened for writing.
		must(t, f.AddSeals(write))
		file(t)(f.Reopen(os.O_RDWR))
	})
	t.Run("MF-018", func(t *testing.T) {
		f := file(t)(memfd.Create("x", 0))
		if s := seals(t, f); s != seal || seal != 1 {
			t.Errorf("seals %v", s)
		}
		refused(t, f.AddSeals(shrink), syscall.EPERM)
	})
	t.Run("MF-019", func(t *testing.T) {
		f := sealable(t)
		want := memfd.Seals(0)
		for _, s := range []memfd.Seals{shrink, shrink, 0, grow, write, shrink | write} {
			must(t, f.AddSeals(s))
			want |= s
			if got := seals(t, f); got != want {
				t.Errorf("seals %v, want %v", got, want)
			}
		}
		for _, s := range []memfd.Seals{0x40, 0x80000000, 0x40 | seal} {
			refused(t, f.AddSeals(s), syscall.EINVAL)
		}
		if got := seals(t, f); got != want {
			t.Errorf("seals %v, want %v", got, want)
		}
	})
	t.Run("MF-021", func(t *testing.T) {
		f := sized(t, int64(2*page), shrink)
		_, err := f.WriteAt(bytes.Repeat([]byte{1}, 2*page), 0)
		must(t, err)
		refused(t, f.Truncate(int64(2*page-1)), syscall.EPERM)
		refused(t, f.Truncate(0), syscall.EPERM)
		if fd, err := again(f, os.O_RDWR|os.O_TRUNC); err != syscall.EPERM {
			sys.Close(fd)
			t.Errorf("open with O_TRUNC gave %v", err)
		}
		if n := size(t, f); n != int64(2*page) {
			t.Errorf("size %d", n)
		}
		must(t, f.Truncate(int64(2*page)))
		must(t, f.PunchHole(0, int64(page)))
		b := make([]byte, 2*page)
		_, err = f.ReadAt(b, 0)
		must(t, err)
		if b[0] != 0 || b[page-1] != 0 || b[page] != 1 {
			t.Error("not a hole of one page")
		}
		must(t, f.Truncate(int64(3*page)))
		if n := size(t, f); n != int64(3*page) {
			t.Errorf("size %d", n)
		}
	})
	t.Run("MF-022", func(t *testing.T) {
		f := sized(t, 8192, grow)
		refused(t, f.Truncate(8193), syscall.EPERM)
		refused(t, f.Reserve(8192, 1), syscall.EPERM)
		refused(t, f.Reserve(0, 1<<20), syscall.EPERM)
		n, err := f.WriteAt([]byte("x"), 8192)
		refused(t, err, syscall.EPERM)
		if n != 0 {
			t.Errorf("%d bytes written past the end", n)
		}
		// The kernel cuts the write short; WriteAt tries the rest too.
		if n, err := sys.Pwrite(f.FD(), make([]byte, 4096), 8192-100); n != 100 || err != nil {
			t.Errorf("pwrite gave %d, %v", n, err)
		}
		n, err = f.WriteAt(bytes.Repeat([]byte{1}, 4096), 8192-100)
		refused(t, err, syscall.EPERM)
		if n != 100 || size(t, f) != 8192 {
			t.Errorf("%d bytes written, size %d", n, size(t, f))
		}
		must(t, f.Truncate(100))
	})
	t.Run("MF-025", func(t *testing.T) {
		f := sized(t, int64(page), write)
		_, err := f.WriteAt([]byte("x"), 0)
		refused(t, err, syscall.EPERM)
		refused(t, f.PunchHole(0, int64(page)), syscall.EPERM)
		for _, prot := range []int{rw, wo} {
			m, err := mapShared(f, prot)
			unmappable(t, m, err, syscall.EPERM)
		}
		mapped(t)(mapShared(f, ro))
		m := mapped(t)(mapping.PrivateFile(f.FD(), 0, page, rw, nil))
		m.Bytes()[0] = 1
	})
	t.Run("MF-027", func(t *testing.T) {
		f := sealable(t)
		old := mapped(t)(mapShared(f, rw))
		must(t, f.AddSeals(future))
		old.Bytes()[0] = 7
		_, err := f.WriteAt([]byte("x"), 0)
		refused(t, err, syscall.EPERM)
		m, err := mapShared(f, rw)
		unmappable(t, m, err, syscall.EPERM)
		r := mapped(t)(mapShared(f, ro))
		if r.Bytes()[0] != 7 {
			t.Errorf("the new mapping shows %d", r.Bytes()[0])
		}
		old.Bytes()[0] = 8
		if r.Bytes()[0] != 8 {
			t.Errorf("the new mapping shows %d", r.Bytes()[0])
		}
		if err := r.Protect(0, page, rw); !errors.Is(err, syscall.EACCES) {
			t.Errorf("mprotect gave %v", err)
		}
	})
	t.Run("MF-028", func(t *testing.T) {
		f := sealable(t)
		must(t, f.AddSeals(seal|grow))
		for _, s := range []memfd.Seals{0, grow, shrink, seal} {
			refused(t, f.AddSeals(s), syscall.EPERM)
		}
		if s := seals(t, f); s != seal|grow {
			t.Errorf("seals %v", s)
		}
	})
	t.Run("MF-030/reopen", func(t *testing.T) {
		f := sealable(t)
		g := file(t)(f.Reopen(os.O_RDONLY))
		must(t, f.AddSeals(grow))
		if s := seals(t, g); s != grow {
			t.Errorf("seals %v", s)
		}
	})
	t.Run("MF-030/scm-rights", func(t *testing.T) {
		f := sealable(t)
		a, b := connected(t, "unix")
		other := end(t, b)
		p := shmtest.Command{Handler: "seal what comes", ExtraFiles: []*os.File{other}}.Start(t)
		must(t, other.Close())
		must(t, memfd.Send(context.Background(), a, f))
		p.Expect("sealed")
		if s := seals(t, f); s != shrink|grow {
			t.Errorf("seals %v", s)
		}
		refused(t, f.Truncate(0), syscall.EPERM)
		must(t, f.AddSeals(write))
		p.Send("see")
		p.Expect("shrink|grow|write")
		p.Wait()
	})
	t.Run("MF-031/disk", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, nil, 0o600))
		fs, err := sys.StatfsPath(path)
		must(t, err)
		if fs.Type == sys.TMPFS_MAGIC {
			t.Skip("needs a temporary directory on a disk: TMPDIR is a tmpfs")
		}
		fd, err := sys.Open(path, os.O_RDWR|sys.O_CLOEXEC, 0)
		must(t, err)
		defer sys.Close(fd)
		if _, err := sys.Fcntl(fd, sys.F_GET_SEALS, 0); err != syscall.EINVAL {
			t.Errorf("F_GET_SEALS gave %v", err)
		}
		if _, err := sys.Fcntl(fd, sys.F_ADD_SEALS, int(shrink)); err != syscall.EINVAL {
			t.Errorf("F_ADD_SEALS gave %v", err)
		}
		if f, err := memfd.Adopt(fd); f != nil || !errors.Is(err, sys.ErrType) {
			t.Errorf("adopted: %v", err)
		}
	})
	t.Run("MF-031/bad-descriptor", func(t *testing.T) {
		if _, err := sys.Fcntl(-1, sys.F_GET_SEALS, 0); err != syscall.EBADF {
			t.Errorf("F_GET_SEALS gave %v", err)
		}
		f, err := memfd.Adopt(-1)
		noFile(t, f, err, syscall.EBADF)
	})
	t.Run("MF-031/object", func(t *testing.T) {
		name := shmtest.Name(t)
		o, err := posix.CreateSized(name, 8, 0o600, nil)
		must(t, err)
		defer o.Close()
		must(t, posix.Unlink(name, nil))
		if s, err := sys.Fcntl(o.FD(), sys.F_GET_SEALS, 0); s != int(seal) || err != nil {
			t.Errorf("F_GET_SEALS gave %d, %v", s, err)
		}
	})
}

func init() {
	shmtest.Handle("seal what comes", func(c *shmtest.Child) {
		conn, err := net.FileConn(c.File(0))
		c.Check(err)
		f, err := memfd.Receive(context.Background(), conn.(*net.UnixConn), &memfd.Want{NoSeals: memfd.F_SEAL_SEAL, MinSize: 1, Writable: true})
		c.Check(err)
		c.Check(f.AddSeals(memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW))
		c.Send("sealed")
		c.Expect("see")
		c.Send("%v", seals(c, f))
		c.Check(f.Close())
	})
	shmtest.Handle("open another's", func(c *shmtest.Child) {
		var pid, fd int
		if _, err := fmt.Sscan(c.Args[0], &pid, &fd); err != nil {
			c.Fatal(err)
		}
		f, err := memfd.OpenProc(pid, fd, os.O_RDONLY)
		noFile(c, f, err, syscall.EACCES)
		if !errors.Is(err, os.ErrPermission) {
			c.Fatal(err)
		}
		if _, err := sys.Open(fmt.Sprintf("/proc/%d/fd/%d", pid, fd), os.O_RDONLY, 0); err != syscall.EACCES {
			c.Fatalf("open gave %v", err)
		}
	})
}

func TestConformanceReach(t *testing.T) {
	t.Run("MF-034", func(t *testing.T) {
		f := sized(t, int64(page), 0)
		r := file(t)(f.Reopen(os.O_RDONLY))
		m, err := mapShared(r, rw)
		unmappable(t, m, err, syscall.EACCES)
		w := file(t)(r.Reopen(os.O_RDWR))
		mapped(t)(mapShared(w, rw)).Bytes()[0] = 7
		if b := mapped(t)(mapShared(r, ro)).Bytes(); b[0] != 7 {
			t.Errorf("the read-only descriptor shows %d", b[0])
		}
		// A seal protects, and so does the mode against others.
		must(t, f.AddSeals(memfd.F_SEAL_FUTURE_WRITE))
		w = file(t)(r.Reopen(os.O_RDWR))
		m, err = mapShared(w, rw)
		unmappable(t, m, err, syscall.EPERM)
	})
	t.Run("MF-035", func(t *testing.T) {
		f := sized(t, int64(page), 0)
		shmtest.Command{Handler: "open another's", Args: []string{fmt.Sprint(os.Getpid(), " ", f.FD())}, User: shmtest.Other(t)}.Start(t).Wait()
	})
	t.Run("MF-037", func(t *testing.T) {
		f := sized(t, int64(page), memfd.F_SEAL_SHRINK)
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", os.Getpid(), f.FD()))
		must(t, err)
		var fields []string
		for line := range strings.Lines(string(text)) {
			name, _, _ := strings.Cut(line, ":")
			fields = append(fields, name)
		}
		if got := strings.Join(fields, " "); got != "pos flags mnt_id ino" {
			t.Errorf("fields %s", got)
		}
		st, err := f.Stat()
		must(t, err)
		if !strings.Contains(string(text), fmt.Sprintf("ino:\t%d\n", st.Inode)) {
			t.Errorf("another inode than %d:\n%s", st.Inode, text)
		}
	})
	t.Run("MF-038", func(t *testing.T) {
		f := file(t)(memfd.Create(t.Name(), memfd.MFD_ALLOW_SEALING))
		must(t, f.Truncate(int64(4*page)))
		used := func() int64 {
			st, err := f.Stat()
			must(t, err)
			return st.Used
		}
		if n := used(); n != 0 {
			t.Errorf("%d bytes used before they are touched", n)
		}
		m, err := mapping.SharedFile(f.FD(), 0, 4*page, rw, nil)
		must(t, err)
		for i := range 4 {
			m.Bytes()[i*page] = 'x'
		}
		if n := used(); n != int64(4*page) {
			t.Errorf("%d bytes used", n)
		}
		must(t, m.Unmap())
		if n := used(); n != int64(4*page) {
			t.Errorf("%d bytes used after munmap", n)
		}
		// Without the descriptor it is the mapping that holds the memory.
		m = mapped(t)(mapping.SharedFile(f.FD(), 0, 4*page, rw, nil))
		must(t, f.Close())
		if b := m.Bytes(); b[0] != 'x' || b[3*page] != 'x' {
			t.Error("the bytes are gone")
		}
		var st unix.Stat_t
		link := fmt.Sprintf("/proc/self/map_files/%x-%x", m.Addr(), m.Addr()+uintptr(4*page))
		if err := unix.Stat(link, &st); err == nil && st.Blocks*512 != int64(4*page) {
			t.Errorf("%d blocks", st.Blocks)
		}
	})
}
