package shmtest_test

import (
	"os"
	"syscall"
	"testing"
)

// The kernel's objects, as the tests need them, by bare system calls.

const (
	ipcCreat = 0o1000
	ipcRmid  = 0
)

func shmget(t testing.TB, key int32, size int) int {
	t.Helper()
	id, _, errno := syscall.Syscall(syscall.SYS_SHMGET, uintptr(key), uintptr(size), ipcCreat|0o600)
	if errno != 0 {
		t.Fatalf("shmget: %v", errno)
	}
	return int(id)
}

func shmrm(t testing.TB, id int) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), ipcRmid, 0); errno != 0 {
		t.Errorf("shmctl: %v", errno)
	}
}

func semget(t testing.TB, key int32) int {
	t.Helper()
	id, _, errno := syscall.Syscall(syscall.SYS_SEMGET, uintptr(key), 3, ipcCreat|0o600)
	if errno != 0 {
		t.Fatalf("semget: %v", errno)
	}
	return int(id)
}

func semrm(t testing.TB, id int) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_SEMCTL, uintptr(id), 0, ipcRmid); errno != 0 {
		t.Errorf("semctl: %v", errno)
	}
}

// mapShared maps two pages of f, or anonymous ones if it is nil, and leaves
// them.
func mapShared(t testing.TB, f *os.File) []byte {
	t.Helper()
	fd, flags := -1, syscall.MAP_SHARED|syscall.MAP_ANON
	if f != nil {
		fd, flags = int(f.Fd()), syscall.MAP_SHARED
	}
	b, err := syscall.Mmap(fd, 0, 8192, syscall.PROT_READ, flags)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	return b
}

// shmSize returns the size of the tmpfs on the shm mount.
func shmSize(t testing.TB) int64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &st); err != nil {
		t.Fatalf("statfs: %v", err)
	}
	return int64(st.Blocks) * int64(st.Bsize)
}
