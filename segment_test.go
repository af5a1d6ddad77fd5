package shm_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestReadAtWriteAt(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 5000, nil)
		r := open(t, s.Address(), &shm.Options{ReadOnly: true})
		if n, err := s.WriteAt([]byte("hello"), 4995); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		for _, tt := range []struct {
			off  int64
			size int
			n    int
			text string
			err  error
		}{
			{4995, 5, 5, "hello", nil},
			{4995, 3, 3, "hel", nil},
			{4997, 5, 3, "llo", io.EOF},
			{5000, 1, 0, "", io.EOF},
			{5001, 1, 0, "", io.EOF},
			{math.MaxInt64, 1, 0, "", io.EOF},
			{5000, 0, 0, "", nil},
			{9999, 0, 0, "", nil},
			{0, 0, 0, "", nil},
			{-1, 1, 0, "", syscall.EINVAL},
			{-1, 0, 0, "", syscall.EINVAL},
			{math.MinInt64, 1, 0, "", syscall.EINVAL},
		} {
			b := make([]byte, tt.size)
			n, err := r.ReadAt(b, tt.off)
			if n != tt.n || string(b[:n]) != tt.text || !errors.Is(err, tt.err) {
				t.Errorf("%d bytes at %d: %d, %q, %v", tt.size, tt.off, n, b[:n], err)
			}
		}
		before := bytes.Clone(s.Bytes())
		for _, tt := range []struct {
			off  int64
			size int
			err  error
		}{
			{5000, 0, nil}, {0, 0, nil}, {4999, 1, nil},
			{5000, 1, syscall.EINVAL}, {4999, 2, syscall.EINVAL}, {0, 5001, syscall.EINVAL}, {5001, 0, syscall.EINVAL},
			{-1, 1, syscall.EINVAL}, {-1, 0, syscall.EINVAL}, {math.MaxInt64, 1, syscall.EINVAL}, {math.MinInt64, 1, syscall.EINVAL},
		} {
			b := bytes.Repeat([]byte("o"), tt.size)
			n, err := s.WriteAt(b, tt.off)
			if tt.err == nil {
				want(t, err)
				if n != tt.size {
					t.Errorf("%d bytes at %d: wrote %d", tt.size, tt.off, n)
				}
				continue
			}
			want(t, err, tt.err)
			if n != 0 {
				t.Errorf("%d bytes at %d: wrote %d", tt.size, tt.off, n)
			}
		}
		if !bytes.Equal(before, s.Bytes()) {
			t.Error("what did not fit was written in part")
		}
	})
}

func TestReaderWriter(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 10, nil)
		if n, err := io.Copy(s.Writer(2), strings.NewReader("12345678")); n != 8 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		all, err := io.ReadAll(s.Reader())
		if string(all) != "\x00\x0012345678" || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		n, err := s.Writer(9).Write([]byte("two"))
		if n != 0 {
			t.Errorf("wrote %d", n)
		}
		want(t, err, syscall.EINVAL)
		r := s.Reader()
		if _, err := r.Seek(8, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(r); string(rest) != "78" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// Several Segments of one object are the same bytes.
func TestShared(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 100, nil)
		r := open(t, s.Address(), nil)
		if r.Address() != s.Address() && !strings.HasPrefix(address, "memfd:") {
			t.Errorf("addresses %s and %s", s.Address(), r.Address())
		}
		want(t, r.Update(func(b []byte) error { copy(b[50:], "shared"); return nil }))
		want(t, s.View(func(b []byte) error {
			if len(b) != 100 || string(b[50:56]) != "shared" {
				t.Errorf("%d bytes, %q", len(b), b[50:56])
			}
			return nil
		}))
		if err := s.View(func([]byte) error { return io.ErrNoProgress }); err != io.ErrNoProgress {
			t.Errorf("View gave %v", err)
		}
		// The one goes, the other stays.
		want(t, s.Close())
		if b := r.Bytes(); string(b[50:56]) != "shared" {
			t.Errorf("%q", b[50:56])
		}
		want(t, r.Remove())
	})
}

func TestInfo(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 3*4096, &shm.Options{Mode: 0o640})
		i, err := s.Info()
		want(t, err)
		st, err := shm.Stat(s.Address(), nil)
		want(t, err)
		for _, i := range []shm.Info{i, st} {
			if i.Address != s.Address() || i.Size != 3*4096 || i.UID != uint32(os.Geteuid()) || i.GID != uint32(os.Getegid()) {
				t.Errorf("%+v", i)
			}
			if i.Changed.IsZero() {
				t.Error("no time of creation")
			}
			switch i.Kind {
			case shm.SysV:
				if i.SysV == nil || i.SysV.NAttach != 1 || i.SysV.CPID != os.Getpid() || i.Mode != 0o640 {
					t.Errorf("%+v, %+v", i, i.SysV)
				}
			case shm.POSIX:
				if i.Links != 1 || i.Inode == 0 || i.Used != 3*4096 || i.Mode != 0o640 || i.Modified.IsZero() {
					t.Errorf("%+v", i)
				}
			case shm.Memfd:
				if !i.Removed || i.Inode == 0 || i.Used != 3*4096 || i.Seals == 0 {
					t.Errorf("%+v", i)
				}
			default:
				t.Errorf("kind %q", i.Kind)
			}
		}
		if strings.HasPrefix(address, "memfd:") != (s.Memfd() != nil) {
			t.Errorf("memfd %v", s.Memfd())
		}
	})
}

func TestDir(t *testing.T) {
	opts := &shm.Options{Dir: shmtest.Dir(t)}
	s, err := shm.Create("/x", 100, opts)
	want(t, err)
	defer s.Close()
	if _, err := os.Stat(opts.Dir + "/x"); err != nil {
		t.Error(err)
	}
	_, err = shm.Open("/x", nil)
	want(t, err, os.ErrNotExist)
	r, err := shm.Open("/x", opts)
	want(t, err)
	defer r.Close()
	_, err = shm.Stat("/x", opts)
	want(t, err)
	want(t, r.Remove())
	want(t, s.Remove(), shm.ErrRemoved)
	want(t, shm.Remove("/x", opts), os.ErrNotExist)
}

// A directory on a disk serves, and the memory limits are none of its
// business.
func TestDirOnDisk(t *testing.T) {
	opts := &shm.Options{Dir: t.TempDir(), Mode: 0o644}
	s, err := shm.Create("/x", 2<<20, opts)
	want(t, err)
	defer s.Close()
	if _, err := s.WriteAt([]byte("end"), 2<<20-3); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(opts.Dir + "/x"); err != nil || st.Size() != 2<<20 {
		t.Errorf("%v, %v", st, err)
	}
	_, err = shm.Create("/x", 2<<20, opts)
	want(t, err, os.ErrExist)
	want(t, s.Remove())
}

// Errors are what people get to read: what failed, on what, why, and
// what to do next.
func TestErrorTexts(t *testing.T) {
	s := create(t, newAddress(t, "private"), 100, nil)
	r := open(t, s.Address(), &shm.Options{ReadOnly: true})
	_, writeErr := r.WriteAt([]byte("x"), 0)
	_, pastErr := s.WriteAt([]byte("xy"), 99)
	_, typeErr := shm.At[int](s, 0)
	_, alignErr := shm.At[uint64](s, 4)
	_, openErr := shm.Open("sysv:0x12345678", nil)
	_, sizeErr := shm.Create("sysv:private", 0, nil)
	_, keyErr := shm.ParseAddress("sysv:zero")
	for err, text := range map[error]string{
		writeErr: "shm: write " + s.Address() + ": it was opened read-only: permission denied",
		pastErr:  "shm: write " + s.Address() + ": 2 bytes at offset 99 do not fit into 100 bytes",
		typeErr:  "shm: at " + s.Address() + ": the type does not fit: int cannot stand in shared memory: it is of type int, whose size depends on the machine: use int64 or int32",
		alignErr: "shm: at " + s.Address() + ": offset 4 is not aligned to 8 bytes",
		openErr:  "shm: open sysv:0x12345678: no segment has the key 0x12345678: no such file or directory",
		sizeErr:  "shm: create sysv:private: 0 is no size for shared memory: invalid argument",
		keyErr:   `shm: address "sysv:zero": "zero" is no key: invalid argument`,
	} {
		if err == nil || err.Error() != text {
			t.Errorf("got  %v\nwant %s", err, text)
			continue
		}
		var e *shm.Error
		if !errors.As(err, &e) {
			t.Errorf("%v: no *shm.Error", err)
		} else if e.Hint == "" {
			t.Errorf("%v: no hint", err)
		}
	}
}
