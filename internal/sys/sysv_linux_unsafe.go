//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The sizes that the kernel writes; a mismatch is a compile error.
var (
	_ [48]byte  = [unsafe.Sizeof(IpcPerm{})]byte{}
	_ [112]byte = [unsafe.Sizeof(ShmidDs{})]byte{}
	_ [72]byte  = [unsafe.Sizeof(Shminfo{})]byte{}
	_ [48]byte  = [unsafe.Sizeof(ShmUsage{})]byte{}
)

// Shmget is shmget(2).
func Shmget(key int32, size uintptr, flag int) (int, error) {
	id, _, e := unix.Syscall(unix.SYS_SHMGET, uintptr(key), size, uintptr(flag))
	if e != 0 {
		return -1, e
	}
	return int(id), nil
}

// Shmat is shmat(2). It is retried when a signal interrupts it, which only
// happens while the address space is being changed by another thread.
func Shmat(id int, addr uintptr, flag int) (uintptr, error) {
	for {
		p, _, e := unix.Syscall(unix.SYS_SHMAT, uintptr(id), addr, uintptr(flag))
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return p, nil
	}
}

// Shmdt is shmdt(2).
func Shmdt(addr uintptr) error {
	for {
		_, _, e := unix.Syscall(unix.SYS_SHMDT, addr, 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return e
		}
		return nil
	}
}

// Shmctl is shmctl(2) with an address as its last argument, for commands
// without a buffer and for tests of EFAULT.
func Shmctl(id, cmd int, buf uintptr) (int, error) {
	r, _, e := unix.Syscall(unix.SYS_SHMCTL, uintptr(id), uintptr(cmd), buf)
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}

// ShmctlDs is shmctl(2) with IPC_STAT, SHM_STAT, SHM_STAT_ANY or IPC_SET.
func ShmctlDs(id, cmd int, ds *ShmidDs) (int, error) {
	r, _, e := unix.Syscall(unix.SYS_SHMCTL, uintptr(id), uintptr(cmd), uintptr(unsafe.Pointer(ds)))
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}

// ShmctlLimits is shmctl(2) with IPC_INFO: the limits and the highest used
// index.
func ShmctlLimits() (info Shminfo, highest int, err error) {
	r, _, e := unix.Syscall(unix.SYS_SHMCTL, 0, IPC_INFO, uintptr(unsafe.Pointer(&info)))
	if e != 0 {
		return info, -1, e
	}
	return info, int(r), nil
}

// ShmctlUsage is shmctl(2) with SHM_INFO: what is in use and the highest
// used index.
func ShmctlUsage() (info ShmUsage, highest int, err error) {
	r, _, e := unix.Syscall(unix.SYS_SHMCTL, 0, SHM_INFO, uintptr(unsafe.Pointer(&info)))
	if e != 0 {
		return info, -1, e
	}
	return info, int(r), nil
}
