//go:build linux

package cli_test

import (
	"encoding/binary"
	"runtime"
	"syscall"

	"github.com/seed-298b2b26/shm/sysv"
)

// refuseShmctl makes every shmctl(2) of this goroutine fail with EPERM, as a
// sandbox does: by a filter of seccomp(2) on the thread to which it locks the
// goroutine. The filter stands in a segment, whose address needs no unsafe.
func refuseShmctl() error {
	runtime.LockOSThread()
	id, err := sysv.Get(sysv.IPC_PRIVATE, 4096, 0o600)
	if err != nil {
		return err
	}
	a, err := sysv.Attach(id, 0, 0)
	if err != nil {
		return err
	}
	defer a.Detach()
	if err := sysv.Remove(id); err != nil {
		return err
	}
	// struct sock_fprog, then the instructions: code, jt, jf, k.
	const at = 16
	program := []uint64{
		filter(0x20, 0, 0, 0),                                // load the number of the call
		filter(0x15, 0, 1, syscall.SYS_SHMCTL),               // is it this one?
		filter(0x06, 0, 0, 0x00050000|uint32(syscall.EPERM)), // then it fails
		filter(0x06, 0, 0, 0x7fff0000),                       // others are allowed
	}
	le := binary.LittleEndian
	le.PutUint16(a.Bytes(), uint16(len(program)))
	le.PutUint64(a.Bytes()[8:], uint64(a.Addr())+at)
	for i, p := range program {
		le.PutUint64(a.Bytes()[at+8*i:], p)
	}
	const noNewPrivs, setSeccomp, modeFilter = 38, 22, 2 // of prctl(2)
	if _, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivs, 1, 0, 0, 0, 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, setSeccomp, modeFilter, a.Addr()); e != 0 {
		return e
	}
	return nil
}

func filter(code uint16, jt, jf uint8, k uint32) uint64 {
	return uint64(code) | uint64(jt)<<16 | uint64(jf)<<24 | uint64(k)<<32
}
