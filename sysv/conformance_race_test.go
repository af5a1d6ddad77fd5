//go:build linux

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
		for range 300 {
			id := create(t, key, int64(2*page), 0o600)
			race1(t, func() error {
				a, err := sysv.Attach(id, 0, 0)
				if err != nil {
					return err
				}
				// Page 1 of the segment where page 0 was; after that shmdt
				// does not know it any more.
				defer sys.Munmap(a.Addr(), uintptr(2*page))
				_, _, errno := syscall.Syscall6(syscall.SYS_REMAP_FILE_PAGES, a.Addr(), uintptr(page), 0, 1, 0, 0)
				if errno != 0 && errno != syscall.EINVAL && !(emulated() && errno == syscall.ENOSYS) {
					t.Errorf("remap_file_pages: %v", errno)
				}
				return nil
			}, func() error {
				if err := sysv.Remove(id); err != nil {
					return err
				}
				again, err := sysv.Get(key, int64(2*page), sysv.IPC_CREAT|sysv.IPC_EXCL|0o600)
				if err != nil {
					return err
				}
				return sysv.Remove(again)
			})
			wantGone(t, id)
		}
	})
}

// race removes n segments, each while f uses it in another thread, and fails
// the test for an error that such an f does not have.
func race(t *testing.T, n int, f func(sysv.ID) error) {
	t.Helper()
	for range n {
		id := private(t, int64(2*page), 0o600)
		race1(t, func() error { return f(id) }, func() error { return sysv.Remove(id) })
		wantGone(t, id)
	}
}

// race1 runs use and remove at the same time.
func race1(t *testing.T, use, remove func() error) {
	t.Helper()
	var both sync.WaitGroup
	start := make(chan struct{})
	both.Go(func() {
		<-start
		switch err := use(); {
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
		if err := remove(); err != nil {
			t.Error(err)
		}
	})
	close(start)
	both.Wait()
}
