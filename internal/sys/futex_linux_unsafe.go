//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/point"
)

// Operations of futex(2), and flags of futex_waitv(2), from linux/futex.h.
const (
	futexWait        = 0
	futexWake        = 1
	futexPrivateFlag = 128
	futex2Size32     = 2
)

// FutexWait is futex(2) with FUTEX_WAIT: it sleeps while the word at addr is
// val, until somebody wakes it or, where timeout is not negative, for that
// long. The word may be shared with other processes, and the mapping may be
// read-only. It blocks the thread.
//
// Nil means woken, perhaps for nothing. EAGAIN means that the word was not
// val, ETIMEDOUT and EINTR what they say, EFAULT that there is no such page.
func FutexWait(addr uintptr, val uint32, timeout time.Duration) error {
	point.Pass("sleep", 0, 0)
	var limit *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		limit = &ts
	}
	return errno(unix.Syscall6(unix.SYS_FUTEX, addr, futexWait, uintptr(val), uintptr(unsafe.Pointer(limit)), 0, 0))
}

// FutexWake is futex(2) with FUTEX_WAKE: it wakes at most n of those who
// sleep on the word at addr, in this process and in others, and tells how
// many there were.
func FutexWake(addr uintptr, n int) (int, error) {
	point.Pass("wake", 0, 0)
	return wake(addr, futexWake, n)
}

// FutexWakePrivate wakes at most n of those who sleep on the word at p in
// FutexWaitv as its private word.
func FutexWakePrivate(p *uint32, n int) (int, error) {
	woken, err := wake(uintptr(unsafe.Pointer(p)), futexWake|futexPrivateFlag, n)
	runtime.KeepAlive(p)
	return woken, err
}

func wake(addr uintptr, op, n int) (int, error) {
	woken, _, e := unix.Syscall6(unix.SYS_FUTEX, addr, uintptr(op), uintptr(min(n, math.MaxInt32)), 0, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(woken), nil
}

// waiter is struct futex_waitv.
type waiter struct {
	val   uint64
	uaddr uint64
	flags uint32
	_     uint32
}

var _ [24]byte = [unsafe.Sizeof(waiter{})]byte{}

// HasFutexWaitv reports whether the kernel has futex_waitv(2), as Linux does
// from 5.16 on, and lets this process use it.
var HasFutexWaitv = sync.OnceValue(func() bool {
	// A vector of nobody is refused by who knows the call.
	_, _, e := unix.Syscall6(unix.SYS_FUTEX_WAITV, 0, 0, 0, 0, 0, 0)
	return e == unix.EINVAL
})

// FutexWaitv is futex_waitv(2): it sleeps while the word at addr is val, and
// the word at private, which is this process's own, is privateVal. For the
// rest it is FutexWait; ENOSYS where HasFutexWaitv says no.
func FutexWaitv(addr uintptr, val uint32, private *uint32, privateVal uint32, timeout time.Duration) error {
	if !HasFutexWaitv() {
		return unix.ENOSYS
	}
	point.Pass("sleep", 0, 0)
	var limit *unix.Timespec
	if timeout >= 0 {
		// This call wants a point in time, not a duration.
		ts := unix.NsecToTimespec(int64(min(monotonic()+timeout, math.MaxInt64)))
		limit = &ts
	}
	// Nothing is called between here and the system call, so that addresses
	// stay what they are even on a stack.
	words := [2]waiter{
		{val: uint64(val), uaddr: uint64(addr), flags: futex2Size32},
		{val: uint64(privateVal), uaddr: uint64(uintptr(unsafe.Pointer(private))), flags: futex2Size32 | futexPrivateFlag},
	}
	err := errno(unix.Syscall6(unix.SYS_FUTEX_WAITV, uintptr(unsafe.Pointer(&words)), uintptr(len(words)), 0,
		uintptr(unsafe.Pointer(limit)), unix.CLOCK_MONOTONIC, 0))
	runtime.KeepAlive(private)
	return err
}

// clock ties Go's own monotonic clock, which is read without a system call,
// to the kernel's.
var clock = sync.OnceValue(func() (c struct {
	at     time.Time
	kernel time.Duration
}) {
	var ts unix.Timespec
	c.at = time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("sys: no monotonic clock: " + err.Error())
	}
	c.kernel = time.Duration(ts.Nano())
	return c
})

// monotonic is the kernel's CLOCK_MONOTONIC.
func monotonic() time.Duration {
	c := clock()
	return c.kernel + time.Since(c.at)
}

// Membarrier is membarrier(2) without flags. For MEMBARRIER_CMD_QUERY it
// answers with the set of commands there are.
func Membarrier(cmd int) (int, error) {
	r, _, e := unix.Syscall(unix.SYS_MEMBARRIER, uintptr(cmd), 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(r), nil
}

// Yield is sched_yield(2): other threads that are ready run first.
func Yield() { unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
