//go:build unix

package inspect

import (
	"errors"
	"syscall"
)

// exists reports whether a process has the id, without touching it.
func exists(pid int) bool {
	return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
