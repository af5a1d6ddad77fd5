package shmtest

import (
	"runtime"
	"strconv"
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

// inodeOf gives a file's inode as /proc/self/maps has it.
func inodeOf(path string) (string, error) {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	return strconv.FormatUint(st.Ino, 10), err
}
