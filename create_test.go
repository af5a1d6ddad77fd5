package shm_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func TestCreateIsCompleteAndZero(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 5000, nil)
		if s.Size() != 5000 || len(s.Bytes()) != 5000 || s.ReadOnly() {
			t.Errorf("size %d, %d bytes, read-only %v", s.Size(), len(s.Bytes()), s.ReadOnly())
		}
		if !bytes.Equal(s.Bytes(), make([]byte, 5000)) {
			t.Error("not all zero")
		}
		i, err := s.Info()
		want(t, err)
		if i.Size != 5000 || i.Address != s.Address() || i.UID != uint32(os.Getuid()) {
			t.Errorf("info %+v", i)
		}
		if i.Kind != shm.SysV && i.Used < 5000 {
			t.Errorf("%d bytes are reserved", i.Used)
		}
		if i.Kind != shm.Memfd && (i.Mode != 0o600 || i.Removed) {
			t.Errorf("mode %v, removed %v", i.Mode, i.Removed)
		}
	})
}

func TestCreateSizes(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		for _, size := range []int64{0, -1, -4096, math.MinInt64} {
			_, err := shm.Create(address, size, nil)
			want(t, err, syscall.EINVAL)
			_, err = shm.Create(address, size, &shm.Options{Sparse: true})
			want(t, err, syscall.EINVAL)
		}
		for _, size := range []int64{math.MaxInt64, math.MaxInt64 - 4095, 1 << 62} {
			_, err := shm.Create(address, size, nil)
			want(t, err, shm.ErrNoSpace)
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%d: %v", size, err)
			}
			// Sparse, it is the address space that has no room.
			_, err = shm.Create(address, size, &shm.Options{Sparse: true})
			if !errors.Is(err, shm.ErrNoSpace) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EFBIG) {
				t.Errorf("sparse %d: %v", size, err)
			}
		}
		if !strings.HasPrefix(address, "memfd:") && address != "sysv:private" {
			_, err := shm.Open(address, nil)
			want(t, err, fs.ErrNotExist)
		}
		for _, size := range []int64{1, 4095, 4096, 4097} {
			s := create(t, address, size, nil)
			if i, err := s.Info(); err != nil || i.Size != size || s.Size() != size {
				t.Errorf("%d: size %d, info %d, %v", size, s.Size(), i.Size, err)
			}
			s.Remove()
			s.Close()
		}
	})
}

// Bytes past 4 GiB are their own, not those 4 GiB before.
func TestPast4GiB(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		const size, far = 5 << 30, 4<<30 + 12345
		s, err := shm.Create(address, size, &shm.Options{Sparse: true})
		if errors.Is(err, shm.ErrNoSpace) {
			t.Skipf("needs 5 GiB of address space: %v", err)
		}
		want(t, err)
		tidy(t, s)
		if _, err := s.WriteAt([]byte("far"), far); err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteAt([]byte("near"), far-4<<30); err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteAt([]byte("end"), size-3); err != nil {
			t.Fatal(err)
		}
		r := open(t, s.Address(), &shm.Options{ReadOnly: true})
		if r.Size() != size {
			t.Errorf("size %d", r.Size())
		}
		b := make([]byte, 4)
		for off, text := range map[int64]string{far: "far\x00", far - 4<<30: "near"} {
			if _, err := r.ReadAt(b, off); err != nil || string(b) != text {
				t.Errorf("at %d: %q, %v", off, b, err)
			}
		}
		if n, err := r.ReadAt(b, size-3); n != 3 || string(b[:3]) != "end" {
			t.Errorf("at the end: %d, %q, %v", n, b, err)
		}
		v, err := shm.At[uint32](r, far+3)
		want(t, err)
		if n, err := v.Load(); n != 0 || err != nil {
			t.Errorf("value past 4 GiB: %d, %v", n, err)
		}
		if i, err := s.Info(); err != nil || i.Size != size || i.Used > 1<<20 {
			t.Errorf("info %+v, %v", i, err)
		}
	})
}

func TestCreateTaken(t *testing.T) {
	for _, kind := range []string{"posix", "sysv"} {
		t.Run(kind, func(t *testing.T) {
			address := newAddress(t, kind)
			s := create(t, address, 100, nil)
			copy(s.Bytes(), "mine")
			for _, size := range []int64{100, 50, 200, math.MaxInt64} {
				_, err := shm.Create(address, size, nil)
				want(t, err, fs.ErrExist, syscall.EEXIST)
			}
			if string(s.Bytes()[:4]) != "mine" || s.Size() != 100 {
				t.Error("it was changed")
			}
			if i, _ := s.Info(); i.Size != 100 {
				t.Errorf("it has %d bytes", i.Size)
			}
		})
	}
}

// A name has 255 bytes at most, and the two slashes that C programs write
// are not counted.
func TestCreateNames(t *testing.T) {
	name := shmtest.Name(t)
	name += strings.Repeat("n", 255-len(name))
	s := create(t, "posix:/"+name, 10, nil)
	if _, err := os.Stat(filepath.Join(shmtest.ShmMount, name)); err != nil {
		t.Error(err)
	}
	open(t, s.Address(), nil)
	open(t, "///"+name, nil)
	_, err := shm.Create("posix:/"+name+"n", 10, nil)
	want(t, err, syscall.ENAMETOOLONG)

	// What a terminal would not show is quoted in errors.
	_, err = shm.Open("posix:/\x1b[2J"+name[:99], nil)
	want(t, err, fs.ErrNotExist)
	if strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), `\x1b[2J`) {
		t.Errorf("%q", err)
	}
}

func TestMode(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	for _, kind := range []string{"posix", "sysv"} {
		t.Run(kind, func(t *testing.T) {
			for mode, masked := range map[fs.FileMode]fs.FileMode{0: 0o600, 0o666: 0o640, 0o400: 0o400, 0o1660: 0o640} {
				if kind == "sysv" && mode == 0o400 && os.Geteuid() != 0 {
					// Who makes a segment may write it only by its mode.
					address := newAddress(t, kind)
					_, err := shm.Create(address, 10, &shm.Options{Mode: mode})
					want(t, err, fs.ErrPermission)
					_, err = shm.Stat(address, nil)
					want(t, err, fs.ErrNotExist)
					continue
				}
				s := create(t, newAddress(t, kind), 10, &shm.Options{Mode: mode})
				expect := masked
				if kind == "sysv" && mode != 0 {
					expect = mode & 0o777 // a umask is for files
				}
				if i, err := s.Info(); err != nil || i.Mode != expect {
					t.Errorf("%v gives %v, want %v; %v", mode, i.Mode, expect, err)
				}
			}
		})
	}
}

// What stands in the shm directory and is no object is refused, and left
// alone.
func TestNotAnObject(t *testing.T) {
	dir := shmtest.Dir(t)
	opts := &shm.Options{Dir: dir}
	for name, f := range map[string]func(path string) error{
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"symlink":   func(p string) error { return os.Symlink("elsewhere", p) },
		"fifo":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"socket": func(p string) error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			defer syscall.Close(fd)
			return syscall.Bind(fd, &syscall.SockaddrUnix{Name: p})
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			want(t, f(path))
			before, err := os.Lstat(path)
			want(t, err)
			reason := error(syscall.EINVAL)
			if name == "symlink" {
				reason = syscall.ELOOP
			}
			for _, o := range []shm.Options{{}, {ReadOnly: true}, {Private: true}} {
				o.Dir = dir
				_, err = shm.Open(name, &o)
				want(t, err, reason)
				_, _, err = shm.OpenOrCreate(name, 10, &o)
				want(t, err, reason)
			}
			_, err = shm.Create(name, 10, opts)
			want(t, err, fs.ErrExist)
			_, err = shm.Stat(name, opts)
			want(t, err, syscall.EINVAL)
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); err == nil {
		t.Error("a symbolic link was followed")
	}
}

func TestMissingDir(t *testing.T) {
	opts := &shm.Options{Dir: filepath.Join(t.TempDir(), "no-such")}
	for _, o := range []*shm.Options{opts, {Dir: opts.Dir, Sparse: true}} {
		_, err := shm.Create("x", 10, o)
		want(t, err, fs.ErrNotExist)
		missingDir(t, err, opts.Dir)
		_, _, err = shm.OpenOrCreate("x", 10, o)
		want(t, err, fs.ErrNotExist)
		missingDir(t, err, opts.Dir)
	}
	_, err := shm.Open("x", opts)
	want(t, err, fs.ErrNotExist)
	missingDir(t, err, opts.Dir)
	want(t, shm.Remove("x", opts), fs.ErrNotExist)
	_, err = shm.Stat("x", opts)
	want(t, err, fs.ErrNotExist)
}

func missingDir(t *testing.T, err error, dir string) {
	t.Helper()
	var e *shm.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "there is no "+dir) || e.Hint == "" {
		t.Errorf("does not say that the directory is missing: %#v", e)
	}
}

func TestSeals(t *testing.T) {
	seals := func(t *testing.T, s *shm.Segment) memfd.Seals {
		i, err := s.Info()
		want(t, err)
		return i.Seals &^ memfd.F_SEAL_EXEC
	}
	address := newAddress(t, "memfd")
	s := create(t, address, 4096, nil)
	if got := seals(t, s); got != memfd.F_SEAL_SHRINK|memfd.F_SEAL_GROW {
		t.Errorf("seals %v", got)
	}
	if s.Truncatable() {
		t.Error("truncatable with F_SEAL_SHRINK")
	}
	want(t, s.Memfd().Truncate(10), syscall.EPERM)

	s = create(t, address, 4096, &shm.Options{Seals: memfd.F_SEAL_FUTURE_WRITE | memfd.F_SEAL_SEAL})
	if got := seals(t, s); got != memfd.F_SEAL_SHRINK|memfd.F_SEAL_GROW|memfd.F_SEAL_FUTURE_WRITE|memfd.F_SEAL_SEAL {
		t.Errorf("seals %v", got)
	}
	if _, err := s.WriteAt([]byte("mine alone"), 0); err != nil {
		t.Error(err)
	}
	_, err := shm.Open(s.Address(), nil)
	want(t, err, syscall.EPERM, fs.ErrPermission)
	var e *shm.Error
	if errors.As(err, &e) && !strings.Contains(e.Hint, "read-only") {
		t.Errorf("hint %q", e.Hint)
	}
	for _, o := range []shm.Options{{ReadOnly: true}, {Private: true}} {
		r := open(t, s.Address(), &o)
		if string(r.Bytes()[:4]) != "mine" {
			t.Errorf("%+v: %q", o, r.Bytes()[:4])
		}
	}

	_, err = shm.Create(address, 4096, &shm.Options{Seals: memfd.F_SEAL_WRITE})
	want(t, err, syscall.EINVAL)
}

func TestReadOnly(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 4096, nil)
		r := open(t, s.Address(), &shm.Options{ReadOnly: true})
		if !r.ReadOnly() || s.ReadOnly() {
			t.Errorf("read-only %v and %v", r.ReadOnly(), s.ReadOnly())
		}
		_, err := s.WriteAt([]byte("x"), 7)
		want(t, err)
		if v, err := shm.At[byte](r, 7); err != nil || *v.Pointer() != 'x' {
			t.Errorf("not shared: %v", err)
		} else {
			want(t, v.Store(1), fs.ErrPermission)
		}
		_, err = r.WriteAt([]byte("y"), 0)
		want(t, err, fs.ErrPermission)
		_, err = r.WriteAt(nil, 0)
		want(t, err, fs.ErrPermission)
		_, err = r.Writer(0).Write([]byte("y"))
		want(t, err, fs.ErrPermission)
		want(t, r.Update(func([]byte) error { t.Error("called"); return nil }), fs.ErrPermission)
		// A store in a View is a fault, and caught.
		want(t, r.View(func(b []byte) error { b[0] = 'y'; return nil }), fs.ErrPermission)
		if s.Bytes()[0] != 0 {
			t.Error("written")
		}
	})
}

func TestPrivate(t *testing.T) {
	for _, kind := range []string{"posix", "memfd"} {
		t.Run(kind, func(t *testing.T) {
			s := create(t, newAddress(t, kind), 3*4096, nil)
			p := open(t, s.Address(), &shm.Options{Private: true})
			_, err := s.WriteAt([]byte("old"), 0)
			want(t, err)
			// A page that was not written here follows the object.
			if string(p.Bytes()[:3]) != "old" {
				t.Errorf("%q", p.Bytes()[:3])
			}
			_, err = p.WriteAt([]byte("own"), 0)
			want(t, err)
			_, err = s.WriteAt([]byte("new"), 0)
			want(t, err)
			_, err = s.WriteAt([]byte("new"), 4096)
			want(t, err)
			b := make([]byte, 3)
			if _, err := p.ReadAt(b, 0); string(b) != "own" {
				t.Errorf("%q, %v", b, err)
			}
			if _, err := p.ReadAt(b, 4096); string(b) != "new" {
				t.Errorf("%q, %v", b, err)
			}
			if _, err := s.ReadAt(b, 0); string(b) != "new" {
				t.Errorf("%q, %v", b, err)
			}
			// Both together is a view that nobody changes here.
			r := open(t, s.Address(), &shm.Options{Private: true, ReadOnly: true})
			_, err = r.WriteAt([]byte("y"), 0)
			want(t, err, fs.ErrPermission)
		})
	}
	t.Run("sysv", func(t *testing.T) {
		address := newAddress(t, "sysv")
		_, err := shm.Create(address, 10, &shm.Options{Private: true})
		want(t, err, errors.ErrUnsupported)
		_, err = shm.Open(address, nil)
		want(t, err, fs.ErrNotExist)
		create(t, address, 10, nil)
		_, err = shm.Open(address, &shm.Options{Private: true})
		want(t, err, errors.ErrUnsupported)
	})
}

func TestSparse(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 64<<20, &shm.Options{Sparse: true})
		if i, err := s.Info(); err != nil || i.Used > 4096 {
			t.Errorf("%d bytes are taken; %v", i.Used, err)
		}
		if _, err := s.WriteAt([]byte("x"), 63<<20); err != nil {
			t.Error(err)
		}
	})
}

func TestHuge(t *testing.T) {
	if emulated() {
		t.Skip("needs the kernel's own answer: the emulator cannot map huge pages")
	}
	shmtest.NeedHugePages(t, 3)
	for _, kind := range []string{"sysv", "private", "memfd"} {
		for _, huge := range []int64{1, 2 << 20} {
			size := int64(2<<20 + 5)
			if kind == "memfd" {
				_, err := shm.Create(newAddress(t, kind), size, &shm.Options{Huge: huge})
				want(t, err, syscall.EINVAL)
				size = 4 << 20
			}
			s := create(t, newAddress(t, kind), size, &shm.Options{Huge: huge})
			if s.Size() != size {
				t.Errorf("%s: %d bytes", kind, s.Size())
			}
			if _, err := s.WriteAt([]byte("huge!"), 2<<20); err != nil {
				t.Error(err)
			}
			r := open(t, s.Address(), &shm.Options{ReadOnly: true})
			if string(r.Bytes()[2<<20:][:5]) != "huge!" {
				t.Errorf("%s: not shared", kind)
			}
			want(t, r.Close())
			want(t, s.Remove())
			want(t, s.Close())
		}
		_, err := shm.Create(newAddress(t, kind), 1<<40, &shm.Options{Huge: 1})
		want(t, err, shm.ErrNoSpace)
	}
}

func TestHugeRefused(t *testing.T) {
	for _, kind := range []string{"sysv", "private", "memfd"} {
		t.Run(kind, func(t *testing.T) {
			address := newAddress(t, kind)
			for _, huge := range []int64{-1, 3, 2<<20 + 1} {
				_, err := shm.Create(address, 1<<20, &shm.Options{Huge: huge})
				want(t, err, syscall.EINVAL)
			}
			// A power of two of which no processor has pages.
			_, err := shm.Create(address, 1<<20, &shm.Options{Huge: 1 << 40})
			if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENODEV) {
				t.Error(err)
			}
		})
	}
	address := newAddress(t, "posix")
	_, err := shm.Create(address, 1<<20, &shm.Options{Huge: 1})
	want(t, err, errors.ErrUnsupported)
	_, err = shm.Open(address, nil)
	want(t, err, fs.ErrNotExist)
}

// Without a free huge page creation fails with ErrNoSpace, and leaves
// nothing.
func TestNoHugePages(t *testing.T) {
	shmtest.Sysctl(t, "vm.nr_hugepages", "0")
	shmtest.Sysctl(t, "vm.nr_overcommit_hugepages", "0")
	for _, kind := range []string{"sysv", "private", "memfd"} {
		t.Run(kind, func(t *testing.T) {
			address := newAddress(t, kind)
			_, err := shm.Create(address, 2<<20, &shm.Options{Huge: 1})
			want(t, err, shm.ErrNoSpace)
			var e *shm.Error
			if errors.As(err, &e) && !strings.Contains(e.Hint+e.Error(), "huge pages") {
				t.Errorf("%v: hint %q", err, e.Hint)
			}
			if kind == "sysv" {
				_, err = shm.Open(address, nil)
				want(t, err, fs.ErrNotExist)
			}
		})
	}
}

func TestCreateAddresses(t *testing.T) {
	_, err := shm.Create("sysv:id=0", 10, nil)
	want(t, err, syscall.EINVAL)
	_, err = shm.Create("memfd:1/3", 10, nil)
	want(t, err, syscall.EINVAL)
	_, err = shm.Open("sysv:private", nil)
	want(t, err, syscall.EINVAL)
	_, err = shm.Open("memfd:x", nil)
	want(t, err, syscall.EINVAL)
	_, err = shm.Stat("sysv:private", nil)
	want(t, err, syscall.EINVAL)
	_, err = shm.Stat("memfd:x", nil)
	want(t, err, syscall.EINVAL)
	want(t, shm.Remove("sysv:private", nil), syscall.EINVAL)
	want(t, shm.Remove("memfd:1/3", nil), errors.ErrUnsupported)
	_, err = shm.Create("memfd:"+strings.Repeat("n", memfd.NameMax+1), 10, nil)
	want(t, err, syscall.EINVAL)
	create(t, "memfd:"+strings.Repeat("n", memfd.NameMax), 10, nil)

	// What the creator can be asked by afterwards.
	for in, kind := range map[string]string{"sysv:private": "sysv:id=", "memfd:x": "memfd:"} {
		s := create(t, in, 10, nil)
		if !strings.HasPrefix(s.Address(), kind) || s.Address() == in {
			t.Errorf("%s: address %s", in, s.Address())
		}
		open(t, s.Address(), nil)
	}
}

func TestFtok(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shm,file")
	address := "sysv:ftok=" + file + ",65"
	for _, f := range []func() error{
		func() error { _, err := shm.Create(address, 10, nil); return err },
		func() error { _, err := shm.Open(address, nil); return err },
		func() error { _, _, err := shm.OpenOrCreate(address, 10, nil); return err },
		func() error { return shm.Remove(address, nil) },
		func() error { _, err := shm.Stat(address, nil); return err },
	} {
		err := f()
		want(t, err, fs.ErrNotExist)
		var e *shm.Error
		if errors.As(err, &e) && (!strings.Contains(err.Error(), "ftok of the file "+file) || !strings.Contains(e.Hint, "0xffffffff")) {
			t.Errorf("%v; hint %q", err, e.Hint)
		}
	}
	want(t, os.WriteFile(file, nil, 0o600))
	_, err := shm.Open(address, nil)
	want(t, err, fs.ErrNotExist)
	if !strings.Contains(err.Error(), "no segment has the key 0x41") {
		t.Error(err)
	}
	s := create(t, address, 10, nil)
	if s.Address() != address {
		t.Errorf("address %s", s.Address())
	}
	key, err := sysv.Ftok(file, 'A')
	want(t, err)
	i, err := shm.Stat(key.String(), nil)
	want(t, err)
	if i.SysV == nil || i.SysV.Key != key || i.SysV.NAttach != 1 {
		t.Errorf("%+v", i.SysV)
	}
}
