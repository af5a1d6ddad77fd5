package shmtest

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// isolate moves this process into namespaces of its own and executes it
// again there. It returns only when that was refused, and then nothing has
// changed.
//
// The calling thread alone is moved and then executes: the process that
// results has one thread, so that all of it is inside. Its id is still the
// same, so signals, exit status and resource limits need no forwarding.
func isolate() error {
	argv0, argv, err := self(os.Args[1:])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWIPC | syscall.CLONE_NEWNS); err != nil {
		runtime.UnlockOSThread()
		return os.NewSyscallError("unshare", err)
	}
	// From here on there is no way back: this thread has left.
	marker := "1"
	if err := mountShm(0); err != nil {
		fmt.Fprintf(os.Stderr, "shmtest: not isolated: %v\n", err)
		marker = "0"
	}
	err = syscall.Exec(argv0, argv, append(environWithout(envIsolated), envIsolated+"="+marker))
	fmt.Fprintf(os.Stderr, "shmtest: execve %s: %v\n", argv0, err)
	os.Exit(2)
	return nil
}

// mountShm mounts a tmpfs of size bytes (0: the kernel's default, half of the
// memory) on /dev/shm, for the calling thread's mount namespace alone.
func mountShm(size int64) error {
	// Without this the mount would appear wherever / is shared with.
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	data := "mode=1777"
	if size > 0 {
		data += fmt.Sprintf(",size=%d", size)
	}
	if err := syscall.Mount("shmtest", ShmMount, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, data); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", ShmMount, err)
	}
	return nil
}
