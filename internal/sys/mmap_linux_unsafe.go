//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mmap is mmap(2). Addresses are numbers: what is mapped is not Go memory.
func Mmap(addr, length uintptr, prot, flags, fd int, offset int64) (uintptr, error) {
	p, _, e := unix.Syscall6(unix.SYS_MMAP, addr, length, uintptr(prot), uintptr(flags), uintptr(fd), uintptr(offset))
	if e != 0 {
		return 0, e
	}
	return p, nil
}

// Munmap is munmap(2).
func Munmap(addr, length uintptr) error {
	return errno(unix.Syscall(unix.SYS_MUNMAP, addr, length, 0))
}

// Mprotect is mprotect(2).
func Mprotect(addr, length uintptr, prot int) error {
	return errno(unix.Syscall(unix.SYS_MPROTECT, addr, length, uintptr(prot)))
}

// Msync is msync(2).
func Msync(addr, length uintptr, flags int) error {
	return errno(unix.Syscall(unix.SYS_MSYNC, addr, length, uintptr(flags)))
}

// Madvise is madvise(2). EAGAIN is left to the caller; a signal is not.
func Madvise(addr, length uintptr, advice int) error {
	for {
		err := errno(unix.Syscall(unix.SYS_MADVISE, addr, length, uintptr(advice)))
		if err != unix.EINTR {
			return err
		}
	}
}

// Mlock is mlock(2).
func Mlock(addr, length uintptr) error {
	return errno(unix.Syscall(unix.SYS_MLOCK, addr, length, 0))
}

// Munlock is munlock(2).
func Munlock(addr, length uintptr) error {
	return errno(unix.Syscall(unix.SYS_MUNLOCK, addr, length, 0))
}

// Mremap is mremap(2).
func Mremap(addr, oldLength, newLength uintptr, flags int, newAddr uintptr) (uintptr, error) {
	p, _, e := unix.Syscall6(unix.SYS_MREMAP, addr, oldLength, newLength, uintptr(flags), newAddr, 0)
	if e != 0 {
		return 0, e
	}
	return p, nil
}

// Mincore is mincore(2); vec takes one byte a page.
func Mincore(addr, length uintptr, vec []byte) error {
	return errno(unix.Syscall(unix.SYS_MINCORE, addr, length, uintptr(unsafe.Pointer(unsafe.SliceData(vec)))))
}

func errno(_, _ uintptr, e unix.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}
