//go:build linux

package cli_test

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/shmtest"
)

// benchmark is a running `shm bench`, in a process group of its own.
type benchmark struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Scanner
	err   strings.Builder
}

// Groups that take little, to choose by --only.
const (
	benchSpin  = "round trip, 64 B, both sides spinning"
	benchSleep = "round trip, 64 B, both sides sleeping"
	benchLarge = "round trip, 1 MiB, both sides sleeping"
	benchConns = "1 KiB on 64 connections at once"
	benchMany  = "stream, 64 B, one to three"
	benchGET   = "net/http GET, 4 KiB"
	benchGETs  = "net/http GET, 1 KiB, on 64"
	benchUnary = "gRPC unary, 4 KiB"
)

func startBench(t *testing.T, args ...string) *benchmark {
	t.Helper()
	if emulated() {
		t.Skip("the measurement executes itself, which it cannot do under the emulator")
	}
	shmtest.CheckLeaks(t)
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	b := &benchmark{Cmd: exec.Command(path, append([]string{"bench", "--quick"}, args...)...), t: t}
	b.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.Stderr = &b.err
	out, err := b.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	b.lines = bufio.NewScanner(out)
	t.Cleanup(func() {
		syscall.Kill(-b.Process.Pid, syscall.SIGKILL)
		b.Wait()
	})
	return b
}

// end reads the rest, has everybody gone, and gives the exit status.
func (b *benchmark) end() (text string, code int) {
	b.t.Helper()
	for b.lines.Scan() {
		text += b.lines.Text() + "\n"
	}
	b.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for left := group(b.t, b.Process.Pid); len(left) > 0; left = group(b.t, b.Process.Pid) {
		if time.Now().After(deadline) {
			b.t.Fatalf("these processes are left: %q", left)
		}
		time.Sleep(time.Millisecond)
	}
	return text, b.ProcessState.ExitCode()
}

// benchRow is a line of the JSON output.
type benchRow struct {
	Transport   string
	Over        string
	Policy      string
	Pattern     string
	Wait        string
	Size        int
	Subscribers int
	Batch       int
	Read        string
	PIDs        []int `json:"pids"`
	Skipped     string
	fields      map[string]any
}

func (b *benchmark) rows(text string) []benchRow {
	b.t.Helper()
	var rows []benchRow
	for line := range strings.Lines(text) {
		var r benchRow
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatalf("%s: %v", line, err)
		}
		if err := json.Unmarshal([]byte(line), &r.fields); err != nil {
			b.t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// number wants a field to be a positive number.
func (r *benchRow) number(t *testing.T, name string) float64 {
	t.Helper()
	v, ok := r.fields[name].(float64)
	if !ok || v <= 0 {
		t.Errorf("%s, %s, %s: %s is %v", r.Transport, r.Pattern, r.Wait, name, r.fields[name])
	}
	return v
}

// absent wants fields not to be there.
func (r *benchRow) absent(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if v, ok := r.fields[name]; ok {
			t.Errorf("%s, %s, %s: %s is %v, and does not apply", r.Transport, r.Pattern, r.Wait, name, v)
		}
	}
}

// check holds a row to what is documented.
func (r *benchRow) check(t *testing.T, parent int) {
	t.Helper()
	one := func(name, got string, want ...string) {
		t.Helper()
		if !slices.Contains(want, got) {
			t.Errorf("%s is %q, want one of %q", name, got, want)
		}
	}
	one("transport", r.Transport, "limit", "limit_c", "topic", "topic_c", "segment", "pipe", "unix", "unixpacket", "tcp", "shmnet", "futex", "buffer", "http", "grpc")
	one("pattern", r.Pattern, "latency", "throughput", "paced", "wakeup")
	one("wait", r.Wait, "spin", "sleep", "adaptive")
	one("read", r.Read, "all", "touch")
	if r.Transport == "http" || r.Transport == "grpc" {
		one("over", r.Over, "unix", "tcp", "shmnet")
	} else {
		r.absent(t, "over", "alone_ratio")
	}
	if r.Transport == "topic" || r.Transport == "topic_c" {
		one("policy", r.Policy, "block", "drop")
	} else {
		r.absent(t, "policy")
	}
	for _, name := range []string{"size", "subscribers", "batch"} {
		r.number(t, name)
	}
	if r.Skipped != "" {
		r.absent(t, "p50_ns", "p99_ns", "p999_ns", "msgs_per_s", "bytes_per_s", "limit_ratio", "unix_ratio")
		return
	}
	if want := 1 + r.Subscribers; r.Pattern != "paced" && len(r.PIDs) != want {
		t.Errorf("%s: processes %v, want %d", r.Transport, r.PIDs, want)
	}
	seen := map[int]bool{parent: true}
	for _, pid := range r.PIDs {
		if pid <= 1 || seen[pid] {
			t.Errorf("%s: processes %v of %d", r.Transport, r.PIDs, parent)
		}
		seen[pid] = true
	}
	switch r.Pattern {
	case "latency":
		if a, b, c := r.number(t, "p50_ns"), r.number(t, "p99_ns"), r.number(t, "p999_ns"); a > c || b > c {
			t.Errorf("%s: percentiles %v, %v, %v", r.Transport, a, b, c)
		}
		if r.fields["connections"] != nil {
			r.number(t, "msgs_per_s")
			break
		}
		r.absent(t, "msgs_per_s", "bytes_per_s")
	case "throughput":
		if m, b := r.number(t, "msgs_per_s"), r.number(t, "bytes_per_s"); b < m*float64(r.Size)*0.999 || b > m*float64(r.Size)*1.001 {
			t.Errorf("%s: %v messages of %d bytes are %v bytes a second", r.Transport, m, r.Size, b)
		}
		r.absent(t, "p50_ns", "p99_ns", "p999_ns")
	}
	if r.Transport == "unix" || r.Over == "unix" {
		r.absent(t, "unix_ratio")
	} else {
		r.number(t, "unix_ratio")
	}
	call := r.Over != "" || r.fields["request"] != nil
	if r.Transport == "limit" || call {
		r.absent(t, "limit_ratio")
	} else if runtime.NumCPU() > 1 && r.fields["connections"] == nil {
		r.number(t, "limit_ratio")
	}
}

func TestBenchJSON(t *testing.T) {
	for _, c := range []struct {
		title string
		want  []string // transports
	}{
		{benchSleep, []string{"topic", "futex", "unix", "pipe", "unixpacket", "tcp", "segment", "shmnet"}},
		{benchSpin, []string{"topic", "limit", "segment"}},
		{benchLarge, []string{"topic", "unix", "pipe", "tcp", "segment", "shmnet"}},
		{benchMany, []string{"topic"}},
		{benchConns, []string{"unix", "unixpacket", "tcp", "shmnet"}},
		{benchGET, []string{"http", "unix", "tcp", "shmnet"}},
		{benchGETs, []string{"http", "unix", "tcp", "shmnet"}},
	} {
		t.Run(c.title, func(t *testing.T) {
			b := startBench(t, "--json", "--only", c.title)
			text, code := b.end()
			if code != 0 || b.err.Len() > 0 {
				t.Fatalf("exit status %d\n%s", code, b.err.String())
			}
			rows := b.rows(text)
			over := map[string]bool{}
			for i := range rows {
				rows[i].check(t, b.Process.Pid)
				if rows[i].Transport == "http" {
					over[rows[i].Over] = true
					rows[i].number(t, "alone_ratio")
				}
			}
			if slices.Contains(c.want, "http") && len(over) != 3 {
				t.Errorf("net/http over %v in\n%s", over, text)
			}
			for _, transport := range c.want {
				if !slices.ContainsFunc(rows, func(r benchRow) bool { return r.Transport == transport && r.Skipped == "" }) {
					t.Errorf("no row of %s in\n%s", transport, text)
				}
			}
			if c.title == benchLarge {
				i := slices.IndexFunc(rows, func(r benchRow) bool { return r.Transport == "unixpacket" })
				if i < 0 || !strings.Contains(rows[i].Skipped, "1 MiB does not fit") {
					t.Errorf("packets of 1 MiB are not said to be too large in\n%s", text)
				}
			}
		})
	}
}

// TestBenchMany: a process for each subscriber, some of which lose samples.
func TestBenchMany(t *testing.T) {
	if testing.Short() && !emulated() {
		t.Skip("slow: it starts some fifty processes")
	}
	b := startBench(t, "--json", "--only", "stream, 64 B, one to many")
	text, code := b.end()
	if code != 0 {
		t.Fatalf("exit status %d\n%s", code, b.err.String())
	}
	rows := b.rows(text)
	for i := range rows {
		rows[i].check(t, b.Process.Pid)
	}
	for _, n := range []int{3, 8, 32} {
		for _, policy := range []string{"block", "drop"} {
			if !slices.ContainsFunc(rows, func(r benchRow) bool {
				return r.Policy == policy && r.Subscribers == n && r.Wait == "adaptive" && r.Skipped == ""
			}) {
				t.Errorf("no row of %s with %d subscribers in\n%s", policy, n, text)
			}
		}
		if n >= runtime.NumCPU() && !strings.Contains(text, fmt.Sprintf("%d processes cannot spin on %d processors", n+1, runtime.NumCPU())) {
			t.Errorf("%d subscribers spin, or are not said to be too many, in\n%s", n, text)
		}
	}
}

// TestBenchTable: where a goal is missed it says so, and that is no failure.
func TestBenchTable(t *testing.T) {
	b := startBench(t, "--only", benchSleep)
	text, code := b.end()
	if code != 0 || b.err.Len() > 0 {
		t.Fatalf("exit status %d\n%s", code, b.err.String())
	}
	for _, want := range []string{"processor", "\n" + benchSleep + "\n", "p99.9", "topic, drop, sleep", "segment and semaphores", "TCP", ", wanted at most 1.15\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestBenchOneProcessor: nobody spins where there is nobody to spin beside.
func TestBenchOneProcessor(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread goes with the test
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for cpu := range 8 * len(before) * 8 {
		if before.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &before)
	b := startBench(t, "--json", "--only", benchSpin)
	text, code := b.end()
	if code != 0 {
		t.Fatalf("exit status %d\n%s", code, b.err.String())
	}
	measured := 0
	for _, r := range b.rows(text) {
		if r.Wait == "spin" && r.Skipped != "one processor: nobody can spin" {
			t.Errorf("%s was measured, or skipped because of %q", r.Transport, r.Skipped)
		}
		measured++
	}
	if measured == 0 {
		t.Error("there is no row")
	}
}

// TestBenchNoCompiler: what is in C is missing, and nothing else.
func TestBenchNoCompiler(t *testing.T) {
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(path))
	b := startBench(t, "--json", "--only", benchSpin)
	text, code := b.end()
	if code != 0 {
		t.Fatalf("exit status %d\n%s", code, b.err.String())
	}
	for _, r := range b.rows(text) {
		if want := ""; r.Transport == "limit_c" || r.Transport == "topic_c" {
			if want = "no C compiler here"; r.Skipped != want {
				t.Errorf("%s is skipped because of %q, want %q", r.Transport, r.Skipped, want)
			}
		} else if r.Skipped != want && runtime.NumCPU() > 1 {
			t.Errorf("%s is skipped: %s", r.Transport, r.Skipped)
		}
	}
}

// TestBenchNoGRPC: without its program gRPC is missing, which is no failure,
// and it says what to do.
func TestBenchNoGRPC(t *testing.T) {
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(path))
	missing := func(wants ...string) {
		t.Helper()
		b := startBench(t, "--json", "--only", benchUnary)
		text, code := b.end()
		if code != 0 || b.err.Len() > 0 {
			t.Fatalf("exit status %d\n%s", code, b.err.String())
		}
		skipped, measured := 0, 0
		for _, r := range b.rows(text) {
			switch {
			case r.Transport != "grpc" && r.Skipped == "":
				measured++
			case slices.ContainsFunc(wants, func(want string) bool { return strings.Contains(r.Skipped, want) }):
				skipped++
			default:
				t.Errorf("%s is skipped because of %q, want one of %q", r.Transport, r.Skipped, wants)
			}
		}
		if skipped != 4 || measured == 0 {
			t.Errorf("%d cells are skipped, and %d others measured, in\n%s", skipped, measured, text)
		}
	}
	missing("there is no go command", "is another user's") // in a checkout
	t.Chdir(t.TempDir())
	missing("no shm-bench-grpc in PATH: in a clone, go -C bench/grpc install ./shm-bench-grpc")
}

// TestBenchBuilding: whoever ends the command while it builds gRPC's program
// ends that too, and what it has made until then goes.
func TestBenchBuilding(t *testing.T) {
	shm, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			dir, temporary := t.TempDir(), t.TempDir()
			write := func(text, name string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Join(dir, "bench", "grpc"), 0o700); err != nil {
				t.Fatal(err)
			}
			write("module github.com/seed-298b2b26/shm/bench/grpc\n", "bench/grpc/go.mod")
			// It makes what the go command makes, and never comes to an end.
			write("#!/bin/sh\nPATH=/usr/bin:/bin\nmkdir $GOTMPDIR/go-build1\necho $$ >$GOTMPDIR/pid\nexec sleep 1000\n", "go")
			t.Chdir(dir)
			t.Setenv("TMPDIR", temporary)
			t.Setenv("PATH", filepath.Dir(shm)+":"+dir)
			b := startBench(t, "--json", "--only", benchUnary)
			pid := 0
			await(t, "go to run", func() bool {
				names, _ := filepath.Glob(filepath.Join(temporary, "*", "pid"))
				if len(names) == 1 {
					text, _ := os.ReadFile(names[0])
					fmt.Sscan(string(text), &pid)
				}
				return pid > 0
			})
			b.Process.Signal(sig)
			if text, code := b.end(); text != "" || sig == syscall.SIGINT && code != 130 {
				t.Errorf("exit status %d\n%s%s", code, text, b.err.String())
			}
			await(t, "nothing to be left", func() bool {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				names, _ := os.ReadDir(temporary)
				return (err != nil || strings.Contains(string(stat), ") Z ")) && len(names) == 0
			})
		})
	}
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it takes too long for %s", what)
		}
	}
}

func TestBenchSVG(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.svg")
	b := startBench(t, "--svg", path, "--only", benchSleep)
	if text, code := b.end(); code != 0 || b.err.Len() > 0 {
		t.Fatalf("exit status %d\n%s%s", code, text, b.err.String())
	}
	svg, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(svg, new(struct{})); err != nil {
		t.Error(err)
	}
	has(t, string(svg), "topic, sleeping", "segment and semaphores", "pipe", "Unix stream", "Unix packets", "TCP loopback", "shmnet", "shm bench on ", runtime.Version())
	if strings.Contains(string(svg), "topic, spinning") {
		t.Error("there is a line that was not measured")
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("beside it: %v, %v", names, err)
	}
}

func TestBenchInterrupted(t *testing.T) {
	for _, everybody := range []bool{false, true} {
		t.Run(fmt.Sprintf("everybody=%v", everybody), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bench.svg")
			if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			b := startBench(t, "--json", "--svg", path, "--only", "round trip, 64 B")
			if !b.lines.Scan() {
				t.Fatalf("it ends without a line: %s", b.err.String())
			}
			// The second group has begun, or is about to.
			pid := b.Process.Pid
			if everybody { // as Ctrl-C does
				pid = -pid
			}
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if _, code := b.end(); code != 130 || b.err.Len() > 0 {
				t.Errorf("exit status %d, want 130\n%s", code, b.err.String())
			}
			if svg, err := os.ReadFile(path); string(svg) != "before" {
				t.Errorf("the chart is %q, %v", svg, err)
			}
			if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
				t.Errorf("beside it: %v, %v", names, err)
			}
		})
	}
}

// TestBenchKilled kills the process that cannot clean up then: the others
// notice, and take theirs away.
func TestBenchKilled(t *testing.T) {
	b := startBench(t, "--json", "--only", "64 B, both sides")
	if !b.lines.Scan() {
		t.Fatalf("it ends without a line: %s", b.err.String())
	}
	b.Process.Kill()
	b.end()
}

func TestBenchBad(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--only", "no such title"}, 2, `no group has "no such title" in its title`},
		{[]string{"--only", "GET", "--svg", filepath.Join(dir, "a.svg")}, 2, "nothing for a chart"},
		{[]string{"--only", "processor time", "--svg", filepath.Join(dir, "a.svg")}, 2, "nothing for a chart"},
		{[]string{"--svg", filepath.Join(dir, "no", "a.svg")}, 3, "no such file or directory"},
		{[]string{"--svg", dir}, 1, "not a regular file"},
		{[]string{"extra"}, 2, "extra"},
	} {
		b := startBench(t, c.args...)
		text, code := b.end()
		if code != c.code || text != "" || !strings.Contains(b.err.String(), c.want) {
			t.Errorf("shm bench %q: exit status %d, want %d\n%s%s", c.args, code, c.code, text, b.err.String())
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("%v is there, %v", names, err)
	}
}

// TestBenchProgress: a terminal shows what is being measured, and it goes
// away.
func TestBenchProgress(t *testing.T) {
	if emulated() {
		t.Skip("the measurement executes itself, which it cannot do under the emulator")
	}
	shmtest.CheckLeaks(t)
	x := openTerminal(t, 40)
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "bench", "--quick", "--json", "--only", benchConns)
	cmd.Stderr = x.tty
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, x.shown())
	}
	shown := x.shown()
	has(t, shown, "measuring 1 of 1: requests")
	for text := range strings.SplitSeq(shown, "\r") {
		if len(text) > 39 {
			t.Errorf("%q is wider than the terminal", text)
		}
	}
	if last := shown[strings.LastIndex(strings.TrimRight(shown, "\r"), "\r")+1:]; strings.TrimSpace(last) != "" {
		t.Errorf("%q stays on the terminal", last)
	}
}
