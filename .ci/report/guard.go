package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	prSetChildSubreaper = 36 // linux/prctl.h

	// settle is how long what was killed may take to be gone.
	settle = 3 * time.Second
)

// guard runs a command and compares the machine before and after. It makes
// itself the parent of every orphan among the descendants (prctl(2),
// PR_SET_CHILD_SUBREAPER), so no process that the command started, however
// it was started, escapes its notice. After limit it kills them all.
func guard(args []string, limit time.Duration, w io.Writer) error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("prctl", errno)
	}
	before := takeSnapshot()
	path, err := lookPath(args[0])
	if err != nil {
		return err
	}
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer stdin.Close()
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{stdin.Fd(), os.Stdout.Fd(), os.Stderr.Fd()},
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}

	// The command is in our process group: a terminal's Ctrl-C reaches it.
	// A TERM for us alone is passed on.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ended := make(chan syscall.WaitStatus, 1)
	go func() { ended <- waitFor(pid) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var status syscall.WaitStatus
	problems := 0
loop:
	for {
		select {
		case status = <-ended:
			break loop
		case sig := <-signals:
			problems++
			fmt.Fprintf(w, "PROBLEM: %v\n", sig)
			_ = syscall.Kill(pid, syscall.SIGTERM)
		case <-timer.C:
			problems++
			fmt.Fprintf(w, "PROBLEM: not done after %v, killing it all:\n", limit)
			for _, p := range descendants(os.Getpid()) {
				fmt.Fprintf(w, "  %s\n", p)
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
	}

	for _, p := range reapOrphans() {
		problems++
		fmt.Fprintf(w, "PROBLEM: left behind: process %s\n", p)
	}
	after, ok := before.settled()
	if !ok {
		for _, line := range before.diff(after) {
			problems++
			fmt.Fprintf(w, "PROBLEM: %s\n", line)
		}
	}
	if problems == 0 {
		fmt.Fprintf(w, "the machine is as it was: no process, object, mount or setting differs (%d looked at)\n", len(after))
	}
	switch {
	case status.Signaled():
		return fmt.Errorf("%s: killed by %v", args[0], status.Signal())
	case status.ExitStatus() != 0:
		return fmt.Errorf("%s: exit status %d", strings.Join(args, " "), status.ExitStatus())
	case problems > 0:
		return errFound
	}
	return nil
}

// settled takes snapshots until one is like s; false when the time is up.
func (s snapshot) settled() (snapshot, bool) {
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		now := takeSnapshot()
		if len(s.diff(now)) == 0 {
			return now, true
		}
		if time.Since(start) > settle {
			return now, false
		}
	}
}

// waitFor reaps children until pid ends, orphans of others included.
func waitFor(pid int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || got == pid {
			return status
		}
	}
}

// reapOrphans waits a while for the remaining descendants to end, kills those
// that do not, and returns them.
func reapOrphans() []process {
	start := time.Now()
	for {
		for {
			var status syscall.WaitStatus
			got, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if err != nil || got <= 0 {
				break
			}
		}
		left := descendants(os.Getpid())
		if len(left) == 0 {
			return nil
		}
		if time.Since(start) > settle {
			for _, p := range left {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
			return left
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// process is one line of the process table.
type process struct {
	pid, parent int
	command     string
}

func (p process) String() string {
	return fmt.Sprintf("%d (child of %d): %s", p.pid, p.parent, p.command)
}

// descendants lists the processes below pid.
func descendants(pid int) []process {
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := make(map[int][]process)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// The command stands in brackets and may hold any byte: proc_pid_stat(5).
		line := string(text)
		open, closing := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
		if open < 0 || closing < open {
			continue
		}
		fields := strings.Fields(line[closing+1:])
		if len(fields) < 2 {
			continue
		}
		p := process{command: line[open+1 : closing]}
		p.pid, _ = strconv.Atoi(strings.TrimSpace(line[:open]))
		p.parent, _ = strconv.Atoi(fields[1])
		if args, err := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline")); err == nil && len(args) > 0 {
			p.command = strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
		}
		children[p.parent] = append(children[p.parent], p)
	}
	var found []process
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		for _, p := range children[queue[0]] {
			found = append(found, p)
			queue = append(queue, p.pid)
		}
	}
	slices.SortFunc(found, func(a, b process) int { return a.pid - b.pid })
	return found
}

// lookPath is exec.LookPath without the rest of os/exec, whose own waiting
// would meet ours.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("%s: not found in PATH", name)
}
