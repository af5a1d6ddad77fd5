//go:build linux

package sysv_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// refuseShmctl makes a command of shmctl, or all with -1, fail in the calling
// thread, to which it locks the goroutine, as a sandbox does (seccomp(2)).
func refuseShmctl(cmd int, errno syscall.Errno) error {
	runtime.LockOSThread()
	id, err := sysv.Get(sysv.IPC_PRIVATE, 256, 0o600)
	if err != nil {
		return err
	}
	a, err := sysv.Attach(id, 0, 0)
	if err != nil {
		return errors.Join(err, sysv.Remove(id))
	}
	defer a.Detach()
	if err := sysv.Remove(id); err != nil { // while it may
		return err
	}

	// From linux/filter.h and linux/seccomp.h.
	const (
		load, jumpEqual, jumpGreaterOrEqual, ret = 0x20, 0x15, 0x35, 0x06
		numberOffset, commandOffset              = 0, 24
		retErrno, retAllow                       = 0x00050000, 0x7fff0000
	)
	test := jumpEqual
	if cmd < 0 {
		test, cmd = jumpGreaterOrEqual, 0
	}
	program := []struct {
		code   int
		jt, jf byte
		k      uint32
	}{
		{load, 0, 0, numberOffset},
		{jumpEqual, 0, 3, syscall.SYS_SHMCTL},
		{load, 0, 0, commandOffset},
		{test, 0, 1, uint32(cmd)},
		{ret, 0, 0, retErrno | uint32(errno)},
		{ret, 0, 0, retAllow},
	}
	const header = 16 // struct sock_fprog
	le := binary.LittleEndian
	b := le.AppendUint64(nil, uint64(len(program)))
	b = le.AppendUint64(b, uint64(a.Addr()+header))
	for _, i := range program {
		b = le.AppendUint16(b, uint16(i.code))
		b = append(b, i.jt, i.jf)
		b = le.AppendUint32(b, i.k)
	}
	copy(a.Bytes(), b)
	const prSetNoNewPrivs, prSetSeccomp, modeFilter = 38, 22, 2
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); e != 0 {
		return &sys.Error{Op: "prctl", Err: e}
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, prSetSeccomp, modeFilter, a.Addr()); e != 0 {
		return &sys.Error{Op: "prctl", Err: e}
	}
	return nil
}

// startSandboxed starts a peer that refuseShmctl has been called in.
func startSandboxed(t *testing.T, cmd int, errno syscall.Errno) *peer {
	t.Helper()
	p := startPeer(t, shmtest.Command{})
	if _, err := p.call("sandbox", int64(cmd), int64(errno)); err != nil {
		t.Skipf("needs seccomp filters: %v", err)
	}
	return p
}

// TestSandbox is about what works where shmctl is refused.
func TestSandbox(t *testing.T) {
	needKernel(t, "the emulator has no seccomp filters")
	id := private(t, 5000, 0o600)
	attach(t, id, 0, 0).Bytes()[4999] = 'x'

	t.Run("no shmctl", func(t *testing.T) {
		p := startSandboxed(t, -1, syscall.EPERM)
		p.fails(syscall.EPERM, "stat", int64(id))
		p.fails(syscall.EPERM, "table")
		got := p.must("attach", int64(id), 0, sysv.SHM_RDONLY)
		if want := int64(5000+page-1) / int64(page) * int64(page); got[1] != want {
			t.Errorf("%d bytes attached, want %d: whole pages", got[1], want)
		}
		if c := p.must("peek", got[0], 4999)[0]; c != 'x' {
			t.Errorf("the last byte is %d", c)
		}
		p.must("detach", got[0])
		if all := p.must("list"); !slices.Contains(all, int64(id)) {
			t.Errorf("the list has %v, want %d in it", all, id)
		}
		p.Wait()
	})
	t.Run("no shmctl and no files", func(t *testing.T) {
		// The size cannot be known, and then nothing stays attached.
		p := startSandboxed(t, -1, syscall.EPERM)
		p.must("nofiles")
		before := stat(t, id).NAttach
		p.fails(syscall.EMFILE, "attach", int64(id), 0, 0)
		wantNattch(t, id, before)
		p.Wait()
	})
	t.Run("no IPC_STAT", func(t *testing.T) {
		p := startSandboxed(t, sys.IPC_STAT, syscall.EACCES)
		if got := p.must("attach", int64(id), 0, 0); got[1] != 5000 {
			t.Errorf("%d bytes attached, want 5000", got[1])
		}
		p.Wait()
	})
	t.Run("before SHM_STAT_ANY", func(t *testing.T) {
		p := startSandboxed(t, sys.SHM_STAT_ANY, syscall.EINVAL)
		p.fails(syscall.EINVAL, "statany", int64(id.Index()))
		second := private(t, 1, 0o600)
		if all := p.must("table"); !slices.Contains(all, int64(id)) || !slices.Contains(all, int64(second)) {
			t.Errorf("the table has %v, want %d and %d in it", all, id, second)
		}
		p.Wait()
	})
}
