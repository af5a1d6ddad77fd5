package sysv_test

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestConformanceRace is about calls that meet the segment's removal.
func TestConformanceRace(t *testing.T) {
	t.Run("SV-096", func(t *testing.T) {
		// Without a race a removed identifier is EINVAL.
		id := private(t, int64(page), 0o600)
		check(t, sysv.Remove(id))
		_, err := sysv.Attach(id, 0, 0)
		wantErrno(t, err, syscall.EINVAL)
		wantGone(t, id)
		if errors.Is(err, sys.EIDRM) {
			t.Errorf("%v is EIDRM", err)
		}
		// With one it is that, EIDRM, or the call was first.
		race(t, 300, func(id sysv.ID) error {
			a, err := sysv.Attach(id, 0, 0)
			if err != nil {
				return err
			}
			return a.Detach()
		})
		race(t, 300, func(id sysv.ID) error { _, err := sysv.Stat(id); return err })
		race(t, 300, func(id sysv.ID) error { return sysv.Lock(id) })
	})

	t.Run("SV-009", func(t *testing.T) {
		key := newKey(t)
		race(t, 300, func(id sysv.ID) error {
			a, err := sysv.Attach(id, 0, 0)
			if err != nil {
				return err
			}
			// Page 1 of the segment where page 0 was.
			_, _, errno := syscall.Syscall6(syscall.SYS_REMAP_FILE_PAGES, a.Addr(), uintptr(page), 0, 1, 0, 0)
			if errno != 0 && errno != syscall.EINVAL && !(emulated() && errno == syscall.ENOSYS) {
				t.Errorf("remap_file_pages: %v", errno)
			}
			// The segment's key is another segment's by now.
			if id, err := sysv.Get(key, int64(page), sysv.IPC_CREAT|0o600); err == nil {
				sysv.Remove(id)
			}
			return a.Detach()
		})
	})
}

// race removes n segments, each while f uses it in another thread, and fails
// the test for an error that such an f does not have.
func race(t *testing.T, n int, f func(sysv.ID) error) {
	t.Helper()
	for range n {
		id := private(t, int64(2*page), 0o600)
		var both sync.WaitGroup
		start := make(chan struct{})
		both.Go(func() {
			<-start
			switch err := f(id); {
			case err == nil:
			case errors.Is(err, sys.EIDRM), errors.Is(err, syscall.EINVAL):
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%v is no fs.ErrNotExist", err)
				}
			default:
				t.Errorf("%v; want EIDRM or EINVAL", err)
			}
		})
		both.Go(func() {
			<-start
			if err := sysv.Remove(id); err != nil {
				t.Errorf("IPC_RMID: %v", err)
			}
		})
		close(start)
		both.Wait()
		wantGone(t, id)
	}
}
