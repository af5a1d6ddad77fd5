package shmtest

import (
	"os/exec"
	"runtime"
	"sync"
)

// starts carries the commands to the thread that starts them all.
var starts = sync.OnceValue(func() chan func() {
	c := make(chan func())
	go func() {
		// The kernel sends a child its parent-death signal when the thread
		// that made it ends, not the process. This thread never ends. (One
		// that a test has locked and not unlocked ends with its goroutine.)
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
})

// spawn starts cmd from a thread that lives as long as the process.
func spawn(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	starts() <- func() { done <- cmd.Start() }
	return <-done
}
