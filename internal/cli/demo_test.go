//go:build linux

package cli_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// demonstration is a running `shm demo`, in a process group of its own.
type demonstration struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Scanner
	err   strings.Builder
	text  strings.Builder // what was read of its output
}

func startDemo(t *testing.T, args ...string) *demonstration {
	t.Helper()
	if emulated() {
		t.Skip("the demonstration executes itself, which it cannot do under the emulator")
	}
	shmtest.CheckLeaks(t)
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	d := &demonstration{Cmd: exec.Command(path, append([]string{"demo"}, args...)...), t: t}
	d.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.Stderr = &d.err
	out, err := d.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	d.lines = bufio.NewScanner(out)
	t.Cleanup(func() {
		syscall.Kill(-d.Process.Pid, syscall.SIGKILL)
		d.Wait()
	})
	return d
}

// until reads the output until a line begins so, and fails the test if none
// does.
func (d *demonstration) until(start string) {
	d.t.Helper()
	for d.lines.Scan() {
		fmt.Fprintln(&d.text, d.lines.Text())
		if strings.HasPrefix(strings.TrimSpace(d.lines.Text()), start) {
			return
		}
	}
	d.t.Fatalf("no line begins with %q in\n%s%s", start, d.text.String(), d.err.String())
}

// end reads the rest and gives the exit status, -1 when a signal ended it.
func (d *demonstration) end() int {
	for d.lines.Scan() {
		fmt.Fprintln(&d.text, d.lines.Text())
	}
	d.Wait()
	return d.ProcessState.ExitCode()
}

// alone waits until no process of the demonstration is left.
func (d *demonstration) alone() {
	d.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := group(d.t, d.Process.Pid)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("these processes are left: %q", left)
		}
		time.Sleep(time.Millisecond)
	}
}

// group lists the processes of a process group that have not ended.
func group(t *testing.T, pgid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// PID (COMMAND) STATE PPID PGRP
		var state string
		var ppid, pgrp int
		if _, err := fmt.Sscan(string(b[strings.LastIndexByte(string(b), ')')+1:]), &state, &ppid, &pgrp); err != nil {
			t.Fatal(err)
		}
		if pgrp == pgid && state != "Z" {
			found = append(found, string(b[:strings.LastIndexByte(string(b), ')')+1]))
		}
	}
	return found
}

func TestDemo(t *testing.T) {
	d := startDemo(t)
	if code := d.end(); code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, d.text.String(), d.err.String())
	}
	// Its children's too. What else the machine has to do is not its fault.
	if used := d.ProcessState.UserTime() + d.ProcessState.SystemTime(); used > 10*time.Second {
		t.Errorf("it used %v of processor time, want 10 s at most", used)
	}
	text := d.text.String()
	pid := d.Process.Pid
	for _, want := range []string{
		fmt.Sprintf(`This is process %d\.`, pid),
		`1\. System V`,
		`key IPC_PRIVATE, 4096 bytes, mode 0600: the kernel made segment id \d+`,
		fmt.Sprintf(`attached in process %d: nattch is 1`, pid),
		fmt.Sprintf(`IPC_STAT: nattch is 2, created by %d, attached last by \d+`, pid),
		`IPC_RMID: marked .* \(mode 01600\)`,
		`detached, and segment sysv:id=\d+ is gone`,
		`2\. POSIX`,
		fmt.Sprintf(`object /shm-demo-%d is the file /dev/shm/shm-demo-%d:`, pid, pid),
		`-rw------- 4096 bytes`,
		`the name is gone from /dev/shm/shm-demo-\d+; both still have the memory`,
		`3\. One writer, 3 readers`,
		`4\. 256 MiB to another process`,
		`shared memory +[\d.]+m?s +[\d.]+ +0 +2\n`,
		`pipe +[\d.]+m?s +[\d.]+ +2 +\d{4,}\n`,
		`\nVerdict: everything arrived intact[,;] .*\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s", want)
		}
	}
	// Both children are heard, and what one said the other has read.
	child := regexp.MustCompile(`child +"hello, this is process (\d+)"  \(written by (\d+), (\d+) bytes, checksum [0-9a-f]{8}\)`).FindAllStringSubmatch(text, -1)
	if len(child) != 2 {
		t.Fatalf("%d children spoke, want 2", len(child))
	}
	for _, c := range child {
		if c[1] != c[2] || c[1] == fmt.Sprint(pid) || c[3] != fmt.Sprint(len("hello, this is process ")+len(c[1])) {
			t.Errorf("the child said %q", c[0])
		}
		if want := fmt.Sprintf(`process %s has read %d bytes: "and hello to you from %d"`, c[1], len("and hello to you from ")+len(fmt.Sprint(pid)), pid); !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	// Three readers, twice, all with the writer's checksum.
	wrote := regexp.MustCompile(`wrote 1048576 bytes into \S+, checksum ([0-9a-f]{8})`).FindStringSubmatch(text)
	read := regexp.MustCompile(`process (\d+), round ([12]): checksum ([0-9a-f]{8})`).FindAllStringSubmatch(text, -1)
	if wrote == nil || len(read) != 6 {
		t.Fatalf("wrote %q, read %q", wrote, read)
	}
	readers := map[string]int{}
	for _, r := range read {
		readers[r[1]]++
		if r[3] != wrote[1] {
			t.Errorf("%s, want %s", r[0], wrote[1])
		}
	}
	if len(readers) != 3 {
		t.Errorf("the readers were %v, want three with two rounds each", readers)
	}
	d.alone()
	if t.Failed() {
		t.Logf("\n%s", text)
	}
}

// TestDemoSmall is the transfer of a size that was asked for, elsewhere than in
// /dev/shm.
func TestDemoSmall(t *testing.T) {
	t.Setenv("SHM_DIR", shmtest.Dir(t))
	d := startDemo(t, "--size", "3M")
	if code := d.end(); code != 0 {
		t.Fatalf("exit status %d\n%s", code, d.err.String())
	}
	has(t, d.text.String(), "4. 3 MiB", "the file "+os.Getenv("SHM_DIR"))
	d.alone()
}

// chapters are moments of the demonstration, by the line that tells them.
var chapters = []struct{ name, line string }{
	{"start", "Two processes"},
	{"System V", "shmat"},
	{"System V, talking", "child"},
	{"POSIX", "2. POSIX"},
	{"POSIX, mapped", "mmap"},
	{"POSIX, unlinked", "shm_unlink"},
	{"readers", "writer"},
	{"readers at work", "reader"},
	{"transfer", "4. "},
	{"transfer, filled", "memory"},
}

func TestDemoInterrupted(t *testing.T) {
	for _, c := range chapters {
		t.Run(c.name, func(t *testing.T) {
			d := startDemo(t, "--size", "64M")
			d.until(c.line)
			d.Process.Signal(os.Interrupt)
			if code := d.end(); code != 130 {
				t.Errorf("exit status %d, want 130\n%s%s", code, d.text.String(), d.err.String())
			}
			if d.err.Len() > 0 {
				t.Errorf("it says %q", d.err.String())
			}
			d.alone()
			nothingLeft(t, d)
		})
	}
	// Ctrl-C goes to all of them.
	t.Run("everybody", func(t *testing.T) {
		d := startDemo(t, "--size", "64M")
		d.until("reader")
		syscall.Kill(-d.Process.Pid, syscall.SIGINT)
		if code := d.end(); code != 130 {
			t.Errorf("exit status %d, want 130\n%s", code, d.err.String())
		}
		d.alone()
		nothingLeft(t, d)
	})
}

func nothingLeft(t *testing.T, d *demonstration) {
	t.Helper()
	for st, err := range posix.List(nil) {
		if err == nil && strings.HasPrefix(st.Name, fmt.Sprintf("/shm-demo-%d", d.Process.Pid)) {
			t.Errorf("%s is left", st.Name)
		}
	}
	segments, err := sysv.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		if s.CPID == d.Process.Pid {
			t.Errorf("%v is left", s.ID)
		}
	}
}

// TestDemoKilled kills the first process, which cannot clean up then: the
// others end by themselves, and the memory goes with them but for what still
// had its name.
func TestDemoKilled(t *testing.T) {
	for _, c := range chapters {
		t.Run(c.name, func(t *testing.T) {
			d := startDemo(t, "--size", "64M")
			d.until(c.line)
			d.Process.Kill()
			d.end()
			d.alone()
			left := false
			for st, err := range posix.List(nil) {
				if err == nil && strings.HasPrefix(st.Name, fmt.Sprintf("/shm-demo-%d", d.Process.Pid)) {
					left = true
					posix.Unlink(st.Name, nil)
				}
			}
			segments, _ := sysv.List()
			for _, s := range segments {
				if s.CPID == d.Process.Pid {
					left = true
					sysv.Remove(s.ID)
				}
			}
			if left && strings.HasPrefix(c.name, "transfer") {
				t.Error("something is left of a transfer, which has no names")
			}
		})
	}
}
