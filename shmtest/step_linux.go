package shmtest

import (
	"runtime"
	"syscall"
)

// stopHere stops the process, with this thread exactly here: a signal to the
// whole process might be taken by another thread first, while this one goes
// on for a moment.
func stopHere() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.Tgkill(syscall.Getpid(), syscall.Gettid(), syscall.SIGSTOP)
}
