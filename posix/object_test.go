package posix_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestClose(t *testing.T) {
	o := newObject(t, 10)
	name := o.Name()
	check(t, o.Close())
	check(t, o.Close())
	equal(t, "descriptor", o.FD(), -1)
	equal(t, "name", o.Name(), name)
	for what, call := range map[string]func() error{
		"Stat":      func() error { _, err := o.Stat(); return err },
		"Size":      func() error { _, err := o.Size(); return err },
		"WaitSize":  func() error { _, err := o.WaitSize(t.Context()); return err },
		"Truncate":  func() error { return o.Truncate(1) },
		"Reserve":   func() error { return o.Reserve(0, 1) },
		"PunchHole": func() error { return o.PunchHole(0, 1) },
		"Chmod":     func() error { return o.Chmod(0o600) },
		"Chown":     func() error { return o.Chown(-1, -1) },
		"ReadAt":    func() error { _, err := o.ReadAt(make([]byte, 1), 0); return err },
		"WriteAt":   func() error { _, err := o.WriteAt([]byte{1}, 0); return err },
	} {
		err := call()
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v, want fs.ErrClosed", what, err)
			continue
		}
		if !strings.Contains(err.Error(), "posix:"+name) {
			t.Errorf("%s: %v does not name the object", what, err)
		}
	}
	equal(t, "size", named(t, name).Size, 10)
}

func TestOpenFlags(t *testing.T) {
	o := newObject(t, 10)
	for _, flags := range []int{
		3, unix.O_APPEND, posix.O_RDWR | unix.O_DIRECTORY, posix.O_RDWR | unix.O_DIRECT, posix.O_RDWR | unix.O_PATH,
		posix.O_RDWR | unix.O_TMPFILE, -1,
	} {
		refused(t, o.Name(), flags, 0o600, syscall.EINVAL)
	}
	again := open(t, o.Name(), posix.O_RDWR, 0)
	flags, err := unix.FcntlInt(uintptr(again.FD()), unix.F_GETFD, 0)
	check(t, err)
	equal(t, "close-on-exec", flags, unix.FD_CLOEXEC)
}

func TestErrorText(t *testing.T) {
	o := newObject(t, 10)
	name := o.Name()
	reader := open(t, name, posix.O_RDONLY, 0)
	missing := "/" + shmtest.Name(t)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{err: opening("/a/b", posix.O_RDWR), want: `shm: shm_open posix:/a/b: the name has a slash behind its start: invalid argument`},
		{err: opening("", posix.O_RDWR), want: `shm: shm_open posix:/: the name is empty: invalid argument`},
		{err: opening("..", posix.O_RDWR), want: `shm: shm_open posix:/..: the name stands for a directory: invalid argument`},
		{err: opening("a\x00b", posix.O_RDWR), want: `shm: shm_open posix:/a\x00b: the name has a NUL byte: invalid argument`},
		{err: opening(strings.Repeat("n", 256), posix.O_RDWR), want: `shm: shm_open posix:/` + strings.Repeat("n", 256) + `: the name has 256 bytes, 255 are allowed: file name too long`},
		{err: opening(missing, posix.O_RDWR), want: `shm: shm_open posix:` + missing + `: no such file or directory`},
		{err: opening(name, fresh), want: `shm: shm_open posix:` + name + `: file exists`},
		{err: opening(name, 3), want: `shm: shm_open posix:` + name + `: flags 0x3: only the access mode, O_CREAT, O_EXCL and O_TRUNC mean something: invalid argument`},
		{err: posix.Unlink(missing, nil), want: `shm: shm_unlink posix:` + missing + `: no such file or directory`},
		{err: posix.Unlink("a/b", nil), want: `shm: shm_unlink posix:/a/b: no object can have this name: no such file or directory`},
		{err: stating("a/b"), want: `shm: stat posix:/a/b: the name has a slash behind its start: invalid argument`},
		{err: stating(missing), want: `shm: stat posix:` + missing + `: no such file or directory`},
		{err: creating("a/b"), want: `shm: create posix:/a/b: the name has a slash behind its start: invalid argument`},
		{err: reader.Truncate(1), want: `shm: ftruncate posix:` + name + `: the object is not open for writing: invalid argument`},
		{err: o.Truncate(-1), want: `shm: ftruncate posix:` + name + `: -1 is no size: invalid argument`},
		{err: reader.Reserve(0, 1), want: `shm: fallocate posix:` + name + `: the object is not open for writing: bad file descriptor`},
		{err: o.Reserve(0, 0), want: `shm: fallocate posix:` + name + `: 0 bytes from 0 on: invalid argument`},
		{err: o.Reserve(-1, 5), want: `shm: fallocate posix:` + name + `: 5 bytes from -1 on: invalid argument`},
		{err: newObject0Size(t), want: `the object has size 0: its creator has not given it a size yet`},
	} {
		switch {
		case tt.err == nil:
			t.Errorf("no error, want %q", tt.want)
		case !strings.HasSuffix(tt.err.Error(), tt.want):
			t.Errorf("got  %q\nwant %q", tt.err, tt.want)
		}
	}
	wantHint(t, opening(name, fresh), "leave O_EXCL out")
}

func opening(name string, flags int) error {
	_, err := posix.Open(name, flags, 0o600, nil)
	return err
}

func stating(name string) error {
	_, err := posix.Stat(name, nil)
	return err
}

func creating(name string) error {
	_, err := posix.CreateSized(name, 1, 0o600, nil)
	return err
}

func newObject0Size(t *testing.T) error {
	_, err := newObject(t, 0).Size()
	return err
}

func TestReadWriteAt(t *testing.T) {
	o := newObject(t, 0)
	p := bytes.Repeat([]byte("0123456789"), 1000)
	n, err := o.WriteAt(p, 100)
	check(t, err)
	equal(t, "written", n, len(p))
	equal(t, "size", stat(t, o).Size, int64(len(p)+100))
	got := make([]byte, len(p)+100)
	n, err = o.ReadAt(got, 0)
	check(t, err)
	equal(t, "read", n, len(got))
	if !bytes.Equal(got[100:], p) || !bytes.Equal(got[:100], make([]byte, 100)) {
		t.Error("other bytes than were written")
	}
	n, err = o.ReadAt(got, 200)
	equal(t, "read to the end", n, len(p)-100)
	equal(t, "error", err, io.EOF)
	n, err = o.ReadAt(got, 1<<40)
	equal(t, "read past the end", n, 0)
	equal(t, "error", err, io.EOF)
	_, err = o.ReadAt(got, -1)
	wantErrno(t, err, syscall.EINVAL)
	_, err = o.WriteAt(got, -1)
	wantErrno(t, err, syscall.EINVAL)
	n, err = o.ReadAt(nil, 0)
	check(t, err)
	equal(t, "nothing", n, 0)
}

func TestReserve(t *testing.T) {
	o := newObject(t, 0)
	_, err := o.WriteAt([]byte("kept"), 0)
	check(t, err)
	// Longer than one step of the reservation, and not aligned.
	const size = 20<<20 + 123
	check(t, o.Reserve(1, size))
	st := stat(t, o)
	equal(t, "size", st.Size, size+1)
	if st.Used < size {
		t.Errorf("%d bytes used", st.Used)
	}
	b := make([]byte, 4)
	_, err = o.ReadAt(b, 0)
	check(t, err)
	equal(t, "bytes", string(b), "kept")
	// What it has already counts: no room is needed for it again.
	check(t, o.Reserve(0, size))
	equal(t, "used", stat(t, o).Used, st.Used)
	check(t, o.Truncate(1))
	equal(t, "size", stat(t, o).Size, 1)
	equal(t, "used", stat(t, o).Used, int64(page))
}

func TestStatus(t *testing.T) {
	start := time.Now().Add(-time.Second) // the kernel's clock for files is coarse
	o := newObject(t, 10)
	st, byName := stat(t, o), named(t, o.Name())
	equal(t, "by descriptor and by name", st, byName)
	equal(t, "name", st.Name, o.Name())
	equal(t, "links", st.Links, 1)
	equal(t, "regular", st.Regular(), true)
	for what, at := range map[string]time.Time{"accessed": st.Access, "modified": st.Modify, "changed": st.Change} {
		if at.Before(start) || at.After(time.Now().Add(time.Second)) {
			t.Errorf("%s %v", what, at)
		}
	}
	check(t, o.Chmod(0o4755|fs.ModeSetuid))
	equal(t, "only permissions are set", stat(t, o).Mode, 0o755)
	check(t, unix.Fchmod(o.FD(), 0o7755))
	equal(t, "all bits are shown", stat(t, o).Mode, 0o755|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
}
