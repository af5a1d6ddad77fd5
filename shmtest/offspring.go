package shmtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// takeChildren adds the child processes. They are found by reading every
// process's stat, since /proc/self/task/*/children is not in every kernel and
// may pass over some while others end.
func (s *Snapshot) takeChildren() error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	self := os.Getpid()
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // gone meanwhile, or not ours to see
		}
		comm, state, ppid, ok := parseStat(string(stat))
		if !ok || ppid != self {
			continue
		}
		detail := comm
		if cmdline, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline"); err == nil && len(cmdline) > 0 {
			detail = strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
		if state == "Z" {
			detail = comm + ", ended, not waited for"
		}
		s.add("child process", fmt.Sprint(pid), thing{detail: detail})
	}
	return nil
}

// parseStat takes the command, the state and the parent out of
// /proc/pid/stat, see proc_pid_stat(5). The command may hold blanks and
// parentheses.
func parseStat(stat string) (comm, state string, ppid int, ok bool) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", "", 0, false
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 2 {
		return "", "", 0, false
	}
	ppid, err := strconv.Atoi(fields[1])
	return stat[open+1 : end], fields[0], ppid, err == nil
}
