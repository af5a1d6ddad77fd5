package shm_test

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// What somebody removes under us stays ours until Close.
func TestRemovedUnderUs(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 4096, nil)
		v, err := shm.At[uint32](s, 16)
		want(t, err)
		named := !strings.HasPrefix(address, "memfd:")
		if i, err := s.Info(); err != nil || i.Removed == named {
			t.Errorf("before: removed %v, %v", i.Removed, err)
		}
		if named {
			p := shmtest.Start(t, "remove", s.Address())
			p.Expect("removed")
			p.Wait()
		}
		i, err := s.Info()
		want(t, err)
		if !i.Removed || i.Size != 4096 {
			t.Errorf("%+v", i)
		}
		if i.Kind == shm.SysV && (i.SysV.Key != sysv.IPC_PRIVATE || i.SysV.NAttach != 1) {
			t.Errorf("%+v", i.SysV)
		}
		if i.Kind == shm.POSIX && i.Links != 0 {
			t.Errorf("%d names", i.Links)
		}
		b := make([]byte, 4)
		if _, err := s.WriteAt([]byte("here"), 16); err != nil {
			t.Error(err)
		}
		if _, err := s.ReadAt(b, 16); err != nil || string(b) != "here" {
			t.Errorf("%q, %v", b, err)
		}
		if n, err := v.Load(); err != nil || n != 0x65726568 {
			t.Errorf("%#x, %v", n, err)
		}
		want(t, v.Store(0))
		want(t, s.View(func(b []byte) error { sink = b[16]; return nil }))
		want(t, s.Update(func(b []byte) error { b[16] = 1; return nil }))
		if named {
			want(t, s.Remove(), shm.ErrRemoved)
		} else {
			want(t, s.Remove())
		}
		if address != "sysv:private" && named {
			_, err = shm.Open(address, nil)
			want(t, err, fs.ErrNotExist)
			want(t, shm.Remove(address, nil), fs.ErrNotExist)
		}
		want(t, s.Close())
		if i.Kind == shm.SysV {
			// With the last detach it is gone.
			_, err = shm.Stat(i.SysV.ID.String(), nil)
			want(t, err, fs.ErrNotExist)
		}
	})
}

func init() {
	shmtest.Handle("remove", func(c *shmtest.Child) {
		c.Check(shm.Remove(c.Args[0], nil))
		c.Send("removed")
	})
}

// A name that stands for somebody else's object by now is left alone.
func TestNameReused(t *testing.T) {
	for _, kind := range []string{"posix", "sysv"} {
		t.Run(kind, func(t *testing.T) {
			address := newAddress(t, kind)
			old := create(t, address, 100, nil)
			want(t, shm.Remove(address, nil))
			other := create(t, address, 200, nil)
			_, err := other.WriteAt([]byte("other"), 0)
			want(t, err)
			want(t, old.Remove(), shm.ErrRemoved)
			want(t, old.Remove(), shm.ErrRemoved)
			r := open(t, address, nil)
			if r.Size() != 200 || string(r.Bytes()[:5]) != "other" {
				t.Errorf("%d bytes, %q", r.Size(), r.Bytes()[:5])
			}
			want(t, other.Remove())
			_, err = shm.Open(address, nil)
			want(t, err, fs.ErrNotExist)
		})
	}
}

// One object with two names: each Segment removes its own.
func TestTwoNames(t *testing.T) {
	s := create(t, newAddress(t, "posix"), 100, nil)
	path := shmtest.ShmMount + strings.TrimPrefix(s.Address(), "posix:")
	want(t, os.Link(path, path+".two"))
	if i, err := s.Info(); err != nil || i.Links != 2 || i.Removed {
		t.Errorf("%+v, %v", i, err)
	}
	r := open(t, s.Address()+".two", nil)
	want(t, s.Remove())
	if i, err := s.Info(); err != nil || i.Links != 1 || i.Removed {
		t.Errorf("%+v, %v", i, err)
	}
	want(t, s.Remove(), shm.ErrRemoved, fs.ErrNotExist)
	want(t, r.Remove())
}

func TestRemoveLeavesOthersAlone(t *testing.T) {
	dir := shmtest.Dir(t)
	opts := &shm.Options{Dir: dir}
	want(t, os.Mkdir(dir+"/sub", 0o700))
	want(t, shm.Remove("sub", opts), syscall.EISDIR)
	// A symbolic link goes itself.
	want(t, os.WriteFile(dir+"/target", nil, 0o600))
	want(t, os.Symlink("target", dir+"/link"))
	want(t, shm.Remove("link", opts))
	if _, err := os.Lstat(dir + "/target"); err != nil {
		t.Error(err)
	}
}
