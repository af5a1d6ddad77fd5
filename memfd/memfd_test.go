package memfd_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestCreateSized(t *testing.T) {
	t.Run("reserved", func(t *testing.T) {
		f := sized(t, int64(3*page), 0)
		st, err := f.Stat()
		must(t, err)
		if st.Size != int64(3*page) || st.Used != int64(3*page) || st.Name != t.Name() {
			t.Errorf("%+v", st)
		}
	})
	t.Run("sparse", func(t *testing.T) {
		f := file(t)(memfd.CreateSized("x", 1<<40, &memfd.Options{Sparse: true}))
		if st, err := f.Stat(); err != nil || st.Size != 1<<40 || st.Used != 0 {
			t.Errorf("%+v, %v", st, err)
		}
	})
	t.Run("large", func(t *testing.T) {
		// More than one step of the reservation.
		f := file(t)(memfd.CreateSized("x", 20<<20+5, nil))
		if st, err := f.Stat(); err != nil || st.Size != 20<<20+5 || st.Used < st.Size {
			t.Errorf("%+v, %v", st, err)
		}
	})
	t.Run("empty", func(t *testing.T) {
		f := file(t)(memfd.CreateSized("", 0, &memfd.Options{Seals: memfd.F_SEAL_GROW}))
		if size(t, f) != 0 {
			t.Error("not empty")
		}
		refused(t, f.Truncate(1), syscall.EPERM)
	})
	t.Run("not-executable", func(t *testing.T) {
		f := sized(t, 8, memfd.F_SEAL_SEAL)
		st, err := f.Stat()
		must(t, err)
		if st.Mode&0o111 != 0 || st.Seals&memfd.F_SEAL_SEAL == 0 {
			t.Errorf("mode %o, seals %v", st.Mode, st.Seals)
		}
	})
	t.Run("errors", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		for _, c := range []struct {
			name string
			size int64
			opts memfd.Options
			want syscall.Errno
			text string
		}{
			{"x", -1, memfd.Options{}, syscall.EINVAL, "-1 is no size"},
			{"x", 8, memfd.Options{Huge: 3}, syscall.EINVAL, "3 is no page size"},
			{"x", 8, memfd.Options{Huge: -4}, syscall.EINVAL, "-4 is no page size"},
			{"x", 8, memfd.Options{Huge: 1 << 13}, syscall.ENODEV, "no huge pages of this size"},
			{"x", 8, memfd.Options{Seals: 0x4000}, syscall.EINVAL, "0x4000"},
			{strings.Repeat("x", 250), 8, memfd.Options{}, syscall.EINVAL, "the name has 250 bytes, 249 are allowed"},
			{"a\x00b", 8, memfd.Options{}, syscall.EINVAL, "the name contains a zero byte"},
			{"x", 1 << 62, memfd.Options{Sparse: true}, 0, ""},
		} {
			f, err := memfd.CreateSized(c.name, c.size, &c.opts)
			if c.want == 0 {
				must(t, err)
				must(t, f.Close())
				continue
			}
			noFile(t, f, err, c.want)
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v: want %q", err, c.text)
			}
		}
	})
}

func TestHuge(t *testing.T) {
	if emulated {
		t.Skip("qemu's user mode has no huge pages")
	}
	const huge = 2 << 20
	shmtest.NeedHugePages(t, 3)
	t.Run("whole-pages", func(t *testing.T) {
		for _, opts := range []memfd.Options{{Huge: 1}, {Huge: huge}, {Huge: huge, Sparse: true}} {
			f, err := memfd.CreateSized("huge", 2*huge, &opts)
			must(t, err)
			m, err := mapping.SharedFile(f.FD(), 0, 2*huge, rw, nil)
			must(t, err)
			m.Bytes()[0], m.Bytes()[2*huge-1] = 1, 1
			must(t, m.Unmap())
			must(t, f.Close())
		}
	})
	t.Run("no-part-of-a-page", func(t *testing.T) {
		// fallocate would make a memfd of this size, whose last page cannot
		// be touched.
		shmtest.CheckLeaks(t)
		for _, sparse := range []bool{false, true} {
			f, err := memfd.CreateSized("huge", huge+5, &memfd.Options{Huge: huge, Sparse: sparse})
			noFile(t, f, err, syscall.EINVAL)
			if !strings.Contains(err.Error(), "no multiple of the huge page size") {
				t.Error(err)
			}
		}
	})
	t.Run("too-few", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		f, err := memfd.CreateSized("huge", 1<<40, &memfd.Options{Huge: huge})
		noFile(t, f, err, syscall.ENOSPC)
		if !errors.Is(err, sys.ErrNoSpace) {
			t.Error(err)
		}
	})
	t.Run("handed-over", func(t *testing.T) {
		a, b := connected(t, "unix")
		f := file(t)(memfd.CreateSized("huge", huge, &memfd.Options{Huge: huge, Seals: memfd.F_SEAL_SHRINK}))
		must(t, memfd.Send(background, a, f))
		g := file(t)(memfd.Receive(background, b, &memfd.Want{Huge: true, Seals: memfd.F_SEAL_SHRINK, MinSize: huge}))
		if g.Name() != "huge" {
			t.Errorf("name %q", g.Name())
		}
	})
}

func TestClose(t *testing.T) {
	shmtest.CheckLeaks(t)
	f, err := memfd.CreateSized("x", 8, nil)
	must(t, err)
	must(t, f.Close())
	must(t, f.Close())
	if f.FD() != -1 {
		t.Errorf("descriptor %d", f.FD())
	}
	_, statErr := f.Stat()
	_, sealsErr := f.Seals()
	_, writableErr := f.Writable()
	_, readErr := f.ReadAt(make([]byte, 1), 0)
	_, writeErr := f.WriteAt(make([]byte, 1), 0)
	_, reopenErr := f.Reopen(os.O_RDONLY)
	for name, err := range map[string]error{
		"Stat": statErr, "Seals": sealsErr, "Writable": writableErr, "ReadAt": readErr, "WriteAt": writeErr, "Reopen": reopenErr,
		"Truncate": f.Truncate(1), "Reserve": f.Reserve(0, 1), "PunchHole": f.PunchHole(0, 1), "Chmod": f.Chmod(0),
		"Inherit": f.Inherit(true), "AddSeals": f.AddSeals(1),
	} {
		if !errors.Is(err, fs.ErrClosed) || !strings.Contains(err.Error(), "memfd:x") {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestReadWrite(t *testing.T) {
	f := sized(t, 10, 0)
	if n, err := f.WriteAt([]byte("0123456789"), 0); n != 10 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	b := make([]byte, 8)
	if n, err := f.ReadAt(b, 5); n != 5 || err != io.EOF || string(b[:n]) != "56789" {
		t.Errorf("read %d, %v: %q", n, err, b[:n])
	}
	if n, err := f.ReadAt(b, 100); n != 0 || err != io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	_, err := f.ReadAt(b, -1)
	refused(t, err, syscall.EINVAL)
	_, err = f.WriteAt(b, -1)
	refused(t, err, syscall.EINVAL)
	refused(t, f.Reserve(0, 0), syscall.EINVAL)
	refused(t, f.Truncate(-1), syscall.EINVAL)
	var _ interface {
		io.ReaderAt
		io.WriterAt
		io.Closer
	} = f
}

func TestReopen(t *testing.T) {
	f := sized(t, 8, memfd.F_SEAL_SHRINK)
	for flags, want := range map[int]bool{os.O_RDONLY: false, os.O_RDWR: true} {
		g := file(t)(f.Reopen(flags))
		if got, err := g.Writable(); err != nil || got != want {
			t.Errorf("writable %v, %v", got, err)
		}
		if g.Name() != f.Name() {
			t.Errorf("name %q", g.Name())
		}
	}
	for _, flags := range []int{os.O_WRONLY, os.O_RDWR | os.O_TRUNC, -1} {
		g, err := f.Reopen(flags)
		noFile(t, g, err, syscall.EINVAL)
	}
}

func TestOpenProc(t *testing.T) {
	shmtest.CheckLeaks(t)
	f := sized(t, 8, 0)
	g := file(t)(memfd.OpenProc(os.Getpid(), f.FD(), os.O_RDWR))
	if f.Address() != fmt.Sprintf("memfd:%d/%d", os.Getpid(), f.FD()) || g.Name() != f.Name() {
		t.Errorf("address %s, name %q", f.Address(), g.Name())
	}

	t.Run("another-process", func(t *testing.T) {
		p := shmtest.Start(t, "hold memory")
		var pid, fd int
		if _, err := fmt.Sscanf(p.Recv(), "memfd:%d/%d", &pid, &fd); err != nil {
			t.Fatal(err)
		}
		f := file(t)(memfd.OpenProc(pid, fd, os.O_RDONLY))
		b := make([]byte, 5)
		if _, err := f.ReadAt(b, 0); err != nil || string(b) != "hello" || f.Name() != "held" {
			t.Errorf("read %q from %q, %v", b, f.Name(), err)
		}
		// It outlives its maker.
		p.Kill()
		if _, err := f.ReadAt(b, 0); err != nil || string(b) != "hello" {
			t.Errorf("read %q, %v", b, err)
		}
		_, err := memfd.OpenProc(pid, fd, os.O_RDONLY)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), fmt.Sprintf("there is no process %d", pid)) {
			t.Error(err)
		}
	})
	t.Run("no-such-descriptor", func(t *testing.T) {
		_, err := memfd.OpenProc(os.Getpid(), 1<<20, os.O_RDONLY)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no descriptor 1048576") {
			t.Error(err)
		}
	})
	t.Run("not-a-memfd", func(t *testing.T) {
		r, w, err := os.Pipe()
		must(t, err)
		defer r.Close()
		defer w.Close()
		for _, fd := range []int{int(r.Fd()), descriptor(t, t.TempDir(), os.O_RDONLY), descriptor(t, "/dev/null", os.O_RDONLY)} {
			f, err := memfd.OpenProc(os.Getpid(), fd, os.O_RDONLY)
			if f != nil || !errors.Is(err, sys.ErrType) || !strings.Contains(err.Error(), "not a memfd") {
				t.Errorf("%v, %v", f, err)
			}
		}
	})
}

func init() {
	shmtest.Handle("hold memory", func(c *shmtest.Child) {
		f, err := memfd.CreateSized("held", 8, nil)
		c.Check(err)
		_, err = f.WriteAt([]byte("hello"), 0)
		c.Check(err)
		c.Send("%s", f.Address())
		c.Hold()
	})
}

func TestAdopt(t *testing.T) {
	shmtest.CheckLeaks(t)
	fd, err := sys.MemfdCreate("adopted", sys.MFD_CLOEXEC)
	must(t, err)
	f := file(t)(memfd.Adopt(fd))
	if f.FD() != fd || f.Name() != "adopted" {
		t.Errorf("descriptor %d, name %q", f.FD(), f.Name())
	}
	// What is not a memfd is left alone.
	other := descriptor(t, "/dev/null", os.O_RDONLY)
	if f, err := memfd.Adopt(other); f != nil || !errors.Is(err, sys.ErrType) {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := sys.Fstat(other); err != nil {
		t.Error("the descriptor was closed")
	}
}

func TestErrorText(t *testing.T) {
	for name, want := range map[string]string{
		"plain":        "shm: ftruncate memfd:plain: operation not permitted",
		"two words":    "shm: ftruncate memfd:two words: operation not permitted",
		"\x1b[31m\nx":  `shm: ftruncate memfd:"\x1b[31m\nx": operation not permitted`,
		"\xff":         `shm: ftruncate memfd:"\xff": operation not permitted`,
		`a"b`:          `shm: ftruncate memfd:"a\"b": operation not permitted`,
		"Größe-\u2028": `shm: ftruncate memfd:"Größe-\u2028": operation not permitted`,
	} {
		f := file(t)(memfd.CreateSized(name, 8, &memfd.Options{Seals: memfd.F_SEAL_GROW}))
		if err := f.Truncate(9); err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	f := sized(t, 8, memfd.F_SEAL_SEAL)
	var e *sys.Error
	if err := f.AddSeals(memfd.F_SEAL_GROW); !errors.As(err, &e) || !strings.Contains(e.Op, "grow") || !strings.Contains(e.Hint, "F_SEAL_SEAL") {
		t.Errorf("%v, hint %q", err, e.Hint)
	}
	r := file(t)(sized(t, 8, 0).Reopen(os.O_RDONLY))
	if err := r.AddSeals(memfd.F_SEAL_GROW); !errors.As(err, &e) || !strings.Contains(e.Hint, "open for writing") {
		t.Errorf("%v, hint %q", err, e.Hint)
	}
}

func TestSealsString(t *testing.T) {
	for s, want := range map[memfd.Seals]string{
		0:                                     "none",
		memfd.F_SEAL_SHRINK:                   "shrink",
		memfd.F_SEAL_SEAL | memfd.F_SEAL_EXEC: "seal|exec",
		0x3f:                                  "seal|shrink|grow|write|future-write|exec",
		0x42:                                  "shrink|0x40",
	} {
		if got := s.String(); got != want {
			t.Errorf("%#x: %s, want %s", int(s), got, want)
		}
	}
}
