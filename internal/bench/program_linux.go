package bench

import (
	"os"
	"os/exec"
	"syscall"
)

// bind lets nothing of a command outlive its context, or this process. The go
// command cleans up when it is interrupted; its compilers just end.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}

// kill ends what is left of a command that was bound.
func kill(cmd *exec.Cmd) {
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

// owned reports whether a file belongs to a user or to root.
func owned(path string, uid int) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int(s.Uid) == uid)
}
