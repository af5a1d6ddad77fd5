package shmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// From prctl(2).
const (
	prSetPDeathSig  = 1
	prSetKeepCaps   = 8
	prCapBSetDrop   = 24
	prCapAmbient    = 47
	capAmbientRaise = 2
)

// setUp does what the setup in spec says and executes its program. It returns,
// with the exit status, only when that fails.
func setUp(spec string) int {
	var s setup
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		fmt.Fprintf(os.Stderr, "shmtest: %s: %v\n", envSetup, err)
		return 2
	}
	os.Unsetenv(envSetup)
	syscall.CloseOnExec(s.Report)
	// All of it is about this thread, which becomes the process.
	runtime.LockOSThread()
	text, _ := json.Marshal(s.run())
	syscall.Write(s.Report, text)
	return 2
}

// refuse makes a refusal. It is the system that does not let us, and no
// mistake of the test's, if the error is EPERM, ENOSYS or one of more.
func refuse(need string, err error, more ...syscall.Errno) refusal {
	r := refusal{Need: need, Err: err.Error()}
	for _, errno := range append(more, syscall.EPERM, syscall.ENOSYS) {
		r.Skip = r.Skip || errors.Is(err, errno)
	}
	return r
}

// run returns only when something could not be had.
func (s *setup) run() refusal {
	parent := os.Getppid()
	// EINVAL: the kernel was built without such namespaces; ENOSPC: there
	// are too many.
	if s.OwnIPC {
		if err := syscall.Unshare(syscall.CLONE_NEWIPC); err != nil {
			return refuse("an IPC namespace of its own", os.NewSyscallError("unshare", err), syscall.EINVAL, syscall.ENOSPC)
		}
	}
	if s.OwnShm {
		if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
			return refuse("a mount namespace of its own", os.NewSyscallError("unshare", err), syscall.EINVAL, syscall.ENOSPC)
		}
		if err := mountShm(s.ShmSize); err != nil {
			return refuse("a tmpfs on "+ShmMount, err, syscall.EACCES, syscall.ENODEV, syscall.ENOENT)
		}
	}
	// Opened while we may, for a user who may execute the program but not
	// walk to it.
	program, err := s.open()
	if err != nil {
		return refuse("the program", err)
	}
	for _, r := range s.Rlimits {
		limit := syscall.Rlimit{Cur: r.Cur, Max: r.Max}
		if err := syscall.Setrlimit(r.Resource, &limit); err != nil {
			need := fmt.Sprintf("resource limit %d at %d, %d", r.Resource, r.Cur, r.Max)
			return refuse(need, os.NewSyscallError("setrlimit", err))
		}
	}
	for _, c := range s.DropCaps {
		if err := prctl(prCapBSetDrop, uintptr(c), 0); err != nil {
			return refuse("to do without "+c.String(), err)
		}
	}
	if s.User != nil {
		if err := s.become(); err != nil {
			// EINVAL: this user namespace does not know the id.
			return refuse(fmt.Sprintf("to be uid %d, gid %d", s.User.UID, s.User.GID), err, syscall.EINVAL)
		}
	}
	// A change of identity disarms it.
	if err := prctl(prSetPDeathSig, uintptr(syscall.SIGKILL), 0); err != nil {
		return refuse("to die with the parent", err)
	}
	if os.Getppid() != parent {
		os.Exit(2)
	}
	err = syscall.Exec(s.Path, s.Argv, os.Environ())
	if program >= 0 && errors.Is(err, syscall.EACCES) {
		err = syscall.Exec(fmt.Sprintf("/proc/self/fd/%d", program), s.Argv, os.Environ())
	}
	return refusal{Need: "to execute " + s.Path, Err: os.NewSyscallError("execve", err).Error()}
}

// become changes this thread's identity, and no more than this thread's:
// execve does away with the others.
func (s *setup) become() error {
	if len(s.KeepCaps) > 0 {
		if err := prctl(prSetKeepCaps, 1, 0); err != nil {
			return err
		}
	}
	uid, gid := uintptr(s.User.UID), uintptr(s.User.GID)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("setgroups", errno)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return os.NewSyscallError("setresgid", errno)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return os.NewSyscallError("setresuid", errno)
	}
	for _, c := range s.KeepCaps {
		// They are inheritable already, by childAttr.
		if err := prctl(prCapAmbient, capAmbientRaise, uintptr(c)); err != nil {
			return fmt.Errorf("keep %v: %w", c, err)
		}
	}
	return nil
}

// open returns a descriptor of the program that another user can execute
// although a directory before it is closed to that user, as are those of
// t.TempDir and of go test; -1 where that is of no use.
func (s *setup) open() (int, error) {
	if s.User == nil {
		return -1, nil
	}
	emulated := s.Self && s.Path != "/proc/self/exe"
	path := s.Path
	if emulated {
		path, _ = os.Executable()
	}
	info, err := os.Stat(path)
	if err != nil {
		return -1, err
	}
	if info.Mode()&0o005 != 0o005 {
		// Built under a strict umask.
		if path, err = copyProgram(path); err != nil {
			return -1, err
		}
		defer os.Remove(path)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if emulated {
		// The emulator opens the binary by name, so the child has to
		// inherit a descriptor, and what the child starts too: one that no
		// extra file will replace.
		high, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD, 200)
		if errno != 0 {
			return -1, os.NewSyscallError("fcntl", errno)
		}
		name := fmt.Sprintf("/proc/self/fd/%d", high)
		os.Setenv(envSelf, name)
		exe, _ := os.Executable()
		for i, arg := range s.Argv {
			if arg == exe {
				s.Argv[i] = name
				break
			}
		}
	}
	return fd, nil
}

// copyProgram makes a copy of a program that everybody may execute.
func copyProgram(path string) (string, error) {
	from, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.CreateTemp("", "shmtest")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o755), to.Close())
	if err != nil {
		os.Remove(to.Name())
	}
	return to.Name(), err
}

func prctl(option int, arg2, arg3 uintptr) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, uintptr(option), arg2, arg3, 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("prctl", errno)
	}
	return nil
}

// childAttr: SIGKILL for the child when the thread that starts it ends, which
// is why spawn has a thread for it; and what KeepCaps needs.
func childAttr(keep []Cap) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, c := range keep {
		attr.AmbientCaps = append(attr.AmbientCaps, uintptr(c))
	}
	return attr
}

// loneAttr is for a child that outlives this process: a session of its own,
// so that what is typed at the terminal does not reach it.
func loneAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

const (
	sigStop = syscall.SIGSTOP
	sigCont = syscall.SIGCONT
	sigQuit = syscall.SIGQUIT
)

// inode returns the file's inode number.
func inode(info os.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// tryLock takes an exclusive flock(2) on f unless somebody has it.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, os.NewSyscallError("flock", err)
		}
	}
}

// stopped tells whether every thread of the process is stopped.
func stopped(pid int) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		stat, err := os.ReadFile(dir + "/" + entry.Name() + "/stat")
		if err != nil {
			return false, err
		}
		if _, state, _, _ := parseStat(string(stat)); !strings.EqualFold(state, "T") {
			return false, nil
		}
	}
	return true, nil
}
