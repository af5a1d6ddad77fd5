//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// page gives a shared word in memory that no collector moves.
func page(t *testing.T) (addr uintptr, word *uint32) {
	t.Helper()
	addr, err := Mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Munmap(addr, 4096) })
	return addr, *(**uint32)(unsafe.Pointer(&addr))
}

func TestFutexAnswers(t *testing.T) {
	addr, word := page(t)
	private := new(uint32)
	atomic.StoreUint32(word, 7)
	calls := map[string]func(val, own uint32, d time.Duration) error{
		"FutexWait":  func(val, _ uint32, d time.Duration) error { return FutexWait(addr, val, d) },
		"FutexWaitv": func(val, own uint32, d time.Duration) error { return FutexWaitv(addr, val, private, own, d) },
	}
	for name, wait := range calls {
		t.Run(name, func(t *testing.T) {
			if name == "FutexWaitv" && !HasFutexWaitv() {
				if err := wait(7, 0, 0); err != syscall.ENOSYS {
					t.Errorf("error %v, want ENOSYS", err)
				}
				t.Log("no futex_waitv here")
				return
			}
			if err := wait(6, 0, -1); err != syscall.EAGAIN {
				t.Errorf("another value: error %v, want EAGAIN", err)
			}
			begun := time.Now()
			if err := wait(7, 0, 20*time.Millisecond); err != syscall.ETIMEDOUT {
				t.Errorf("nobody wakes: error %v, want ETIMEDOUT", err)
			}
			if d := time.Since(begun); d < 20*time.Millisecond {
				t.Errorf("timed out after %v", d)
			}
			if err := wait(7, 0, 0); err != syscall.ETIMEDOUT {
				t.Errorf("no time: error %v, want ETIMEDOUT", err)
			}
			if name == "FutexWaitv" {
				if err := wait(7, 1, -1); err != syscall.EAGAIN {
					t.Errorf("another private value: error %v, want EAGAIN", err)
				}
			}
		})
	}
	if err := FutexWait(4096, 0, 0); err != syscall.EFAULT {
		t.Errorf("no page: error %v, want EFAULT", err)
	}
}

// TestFutexWake wakes a sleeper by the shared word, which it has mapped
// read-only, and one by its private word.
func TestFutexWake(t *testing.T) {
	fd, err := MemfdCreate("futex", MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(fd)
	if err := Ftruncate(fd, 4096); err != nil {
		t.Fatal(err)
	}
	var addr [2]uintptr
	for i, prot := range []int{PROT_READ, PROT_READ | PROT_WRITE} {
		if addr[i], err = Mmap(0, 4096, prot, MAP_SHARED, fd, 0); err != nil {
			t.Fatal(err)
		}
		defer Munmap(addr[i], 4096)
	}
	private := new(uint32)
	until := func(wake func() (int, error)) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; {
			n, err := wake()
			if err != nil || n > 1 {
				t.Fatalf("woke %d, error %v", n, err)
			}
			if n == 1 {
				return
			}
			if time.Now().After(end) {
				t.Fatal("nobody ever slept")
			}
		}
	}
	sleep := func(f func() error) chan error {
		c := make(chan error)
		go func() {
			var err error = syscall.EINTR
			for err == syscall.EINTR {
				err = f()
			}
			c <- err
		}()
		return c
	}
	done := sleep(func() error { return FutexWait(addr[0], 0, -1) })
	until(func() (int, error) { return FutexWake(addr[1], 1<<40) })
	if err := <-done; err != nil {
		t.Errorf("FutexWait: %v", err)
	}
	if !HasFutexWaitv() {
		t.Log("no futex_waitv here")
		return
	}
	for name, wake := range map[string]func() (int, error){
		"shared":  func() (int, error) { return FutexWake(addr[1], 1) },
		"private": func() (int, error) { return FutexWakePrivate(private, 1) },
	} {
		done := sleep(func() error { return FutexWaitv(addr[0], 0, private, 0, -1) })
		until(wake)
		if err := <-done; err != nil {
			t.Errorf("FutexWaitv, woken by the %s word: %v", name, err)
		}
	}
}

func TestMembarrier(t *testing.T) {
	has, err := Membarrier(MEMBARRIER_CMD_QUERY)
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) {
		t.Log("no membarrier here:", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	const both = MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
	if has&both != both {
		t.Logf("commands %#x: a kernel before 4.16", has)
		return
	}
	for _, cmd := range []int{MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, MEMBARRIER_CMD_GLOBAL_EXPEDITED} {
		if _, err := Membarrier(cmd); err != nil {
			t.Errorf("command %#x: %v", cmd, err)
		}
	}
	if _, err := Membarrier(1 << 30); err != syscall.EINVAL {
		t.Errorf("no such command: error %v, want EINVAL", err)
	}
}

func BenchmarkMembarrier(b *testing.B) {
	if _, err := Membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED); err != nil {
		b.Skip(err)
	}
	for range b.N {
		if _, err := Membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED); err != nil {
			b.Fatal(err)
		}
	}
}
