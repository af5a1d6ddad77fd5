//go:build linux

package shm_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("creator", func(c *shmtest.Child) {
		// Half of the mount takes long enough to be met in the middle.
		var st syscall.Statfs_t
		c.Check(syscall.Statfs(shmtest.ShmMount, &st))
		c.Send("begin")
		_, err := posix.CreateSized("x", int64(st.Bfree)/2*st.Bsize, 0o600, nil)
		c.Check(err)
	})
}

// A creator that is killed on the way leaves neither name nor memory.
func TestCreatorKilled(t *testing.T) {
	shmtest.NeedIsolation(t)
	p := shmtest.Start(t, "creator")
	p.Expect("begin")
	free := func() uint64 {
		var st syscall.Statfs_t
		want(t, syscall.Statfs(shmtest.ShmMount, &st))
		return st.Bfree
	}
	full := free()
	for full-free() < 4096 {
		// It has taken 16 MiB then.
		select {
		case <-p.Done():
			t.Fatal("it ended before it could be killed")
		default:
		}
	}
	p.Kill()
	entries, err := os.ReadDir(shmtest.ShmMount)
	want(t, err)
	if len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if now := free(); now < full {
		t.Errorf("%d pages are missing", full-now)
	}
}
