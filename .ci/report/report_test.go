package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const module = "example.com/m"

// events writes go test -json lines; a bare word means its package's event.
func events(t *testing.T, lines ...string) string {
	t.Helper()
	var b strings.Builder
	for _, line := range lines {
		f := strings.SplitN(line, " ", 4)
		b.WriteString(`{"Action":"` + f[0] + `","Package":"` + module)
		if f[1] != "." {
			b.WriteString("/" + f[1])
		}
		b.WriteString(`"`)
		if len(f) > 2 && f[2] != "-" {
			b.WriteString(`,"Test":"` + f[2] + `"`)
		}
		if len(f) > 3 {
			b.WriteString(`,"Output":"` + f[3] + `\n"`)
		}
		b.WriteString("}\n")
	}
	return write(t, "events.json", b.String())
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// check runs the verb and returns what it printed and whether it was content.
func check(t *testing.T, state, kind, skips, file string, more ...string) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	args := append([]string{"-kind", kind, "-module", module, "-skips", skips, "-state", state}, more...)
	err := checkMain(append(args, file), &out)
	return out.String(), err == nil
}

func TestCheck(t *testing.T) {
	none := ""
	for _, tt := range []struct {
		name   string
		skips  string
		events []string
		all    bool
		ok     bool
		want   string
	}{
		{"passes", none, []string{"start a", "run a TestX", "pass a TestX", "pass a"}, true, true, "test: 1 passed, 0 failed, 0 skipped"},
		{"subtests count", none, []string{"run a TestX", "run a TestX/y", "pass a TestX/y", "pass a TestX", "pass a"}, true, true, "test: 2 passed"},
		{"repeats count", none, []string{"run a TestX", "pass a TestX", "run a TestX", "pass a TestX", "pass a"}, true, true, "test: 2 passed"},
		{"fails", none, []string{"run a TestX", "fail a TestX", "fail a"}, true, false, "PROBLEM: a TestX failed"},
		{"fails once of two", none, []string{"run a TestX", "fail a TestX", "run a TestX", "pass a TestX", "fail a"}, true, false, "1 passed, 1 failed"},
		{"fails outside tests", none, []string{"run a TestX", "pass a TestX", "fail a"}, true, false, "PROBLEM: a failed outside any test"},
		{"no test at all", none, []string{"start a", "skip a"}, true, false, "PROBLEM: the run executed no tests"},
		{"only skips", "any a TestX no loop device", []string{"run a TestX", "output a TestX x_test.go:1: no loop device", "skip a TestX", "pass a"}, true, false, "executed no tests"},
		{"empty package", none, []string{"run a TestX", "pass a TestX", "pass a", "start b", "pass b"}, true, false, "PROBLEM: b has test files and ran no test"},
		{"empty package under a filter", none, []string{"run a TestX", "pass a TestX", "pass a", "start b", "pass b"}, false, true, "1 passed"},
		{"no test files", none, []string{"run a TestX", "pass a TestX", "pass a", "start b", "output b - ? b [no test files]", "skip b"}, true, true, "1 passed"},
		{"never ended", none, []string{"run a TestX", "pass a TestX", "run a TestY", "pass a"}, true, false, "PROBLEM: a TestY started and never ended"},
		{"package never ended", none, []string{"run a TestX", "pass a TestX", "start a"}, true, false, "PROBLEM: a started and never ended"},
		{"unexpected skip", none, []string{"run . TestX", "pass . TestX", "run . TestY", "output . TestY y_test.go:7: no loop device", "skip . TestY", "pass ."}, true, false, "PROBLEM: . TestY skipped, and no entry of the list expects it: y_test.go:7: no loop device"},
		{"expected skip", "test . TestY/* no loop device", []string{"run . TestX", "pass . TestX", "run . TestY/SV-1", "output . TestY/SV-1 y_test.go:7: no loop device here", "skip . TestY/SV-1", "pass ."}, true, true, "1 skipped (0 of them unexpected)"},
		{"expected in another run", "race . TestY no loop device", []string{"run . TestX", "pass . TestX", "run . TestY", "output . TestY y: no loop device", "skip . TestY", "pass ."}, true, false, "no entry"},
		{"expected in another package", "any a TestY no loop device", []string{"run . TestX", "pass . TestX", "run . TestY", "output . TestY y: no loop device", "skip . TestY", "pass ."}, true, false, "no entry"},
		{"expected for another reason", "any . TestY no KSM", []string{"run . TestX", "pass . TestX", "run . TestY", "output . TestY y: no loop device", "skip . TestY", "pass ."}, true, false, "no entry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var more []string
			if tt.all {
				more = append(more, "-all")
			}
			out, ok := check(t, t.TempDir(), "test", write(t, "skips", tt.skips), events(t, tt.events...), more...)
			if ok != tt.ok || !strings.Contains(out, tt.want) {
				t.Errorf("ok = %v, want %v, and want %q in:\n%s", ok, tt.ok, tt.want, out)
			}
		})
	}
}

func TestCheckBuildFailure(t *testing.T) {
	file := write(t, "events.json", `{"ImportPath":"example.com/m/a","Action":"build-output","Output":"a.go:1: nonsense\n"}
{"ImportPath":"example.com/m/a","Action":"build-fail"}
{"Action":"start","Package":"example.com/m/a"}
{"Action":"fail","Package":"example.com/m/a","Elapsed":0,"FailedBuild":"example.com/m/a"}
`)
	out, ok := check(t, t.TempDir(), "test", write(t, "skips", ""), file)
	if ok || !strings.Contains(out, "PROBLEM: a failed to build") {
		t.Errorf("ok = %v:\n%s", ok, out)
	}
}

// TestFailures: what a failed test said is shown where it is looked for, and
// however much it was, it is short.
func TestFailures(t *testing.T) {
	lines := []string{"run a TestX", "run a TestX/y", "output a TestX/y === RUN   TestX/y"}
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("output a TestX/y     x_test.go:1: line %d.", i))
	}
	lines = append(lines, `output a TestX/y \u0000\u001b[31m`+strings.Repeat("z", 1000), "fail a TestX/y",
		"output a TestX --- FAIL: TestX (0.00s)", "fail a TestX", "fail a")
	state, skips := t.TempDir(), write(t, "skips", "")
	out, ok := check(t, state, "test", skips, events(t, lines...))
	var total bytes.Buffer
	if err := totalMain([]string{"-skips", skips, "-state", state}, &total); err == nil || ok {
		t.Error("content with a failure")
	}
	for _, c := range []struct {
		text  string
		most  int
		wants []string
	}{
		{out, 8000, []string{"FAILED: test: a TestX/y\n", "line 0.\n", "(4921 lines more)\n", "line 4999.\n", `"\x00\x1b[31mzzz`, "z\"... (706 bytes more)\n", "PROBLEM: a TestX failed\n", "PROBLEM: a TestX/y failed\n"}},
		{total.String(), 1500, []string{"FAILED: test: a TestX/y\n", "line 4999.\n", "0 passed, 2 failed, 0 skipped\n"}},
	} {
		for _, want := range c.wants {
			if !strings.Contains(c.text, want) {
				t.Errorf("%q is not in:\n%s", want, c.text)
			}
		}
		if len(c.text) > c.most || strings.Contains(c.text, "FAILED: test: a TestX\n") {
			t.Errorf("it has %d bytes:\n%s", len(c.text), c.text)
		}
	}
}

func TestCheckRefusesWhatIsNoEvent(t *testing.T) {
	if out, ok := check(t, t.TempDir(), "test", write(t, "skips", ""), write(t, "events.json", "boom\n")); ok {
		t.Errorf("content with a line that is no event:\n%s", out)
	}
}

func TestReadSkipsRefuses(t *testing.T) {
	for _, text := range []string{"any a TestX", "some a TestX because", "any a TestX because\n# two\nany a  TestX because"} {
		if list, err := readSkips(write(t, "skips", text)); err == nil {
			t.Errorf("readSkips(%q) = %v, want an error", text, list)
		}
	}
}

func TestTotal(t *testing.T) {
	skips := write(t, "skips", "# reasons\nany . TestY no loop device\nrace . TestZ short\narm64 . TestQ under qemu\n")
	pass := []string{"run . TestX", "pass . TestX"}
	y := []string{"run . TestY", "output . TestY no loop device", "skip . TestY"}
	z := []string{"run . TestZ", "output . TestZ short", "skip . TestZ"}
	end := []string{"pass ."}
	total := func(state string, more ...string) (string, bool) {
		var out bytes.Buffer
		err := totalMain(append([]string{"-skips", skips, "-state", state}, more...), &out)
		return out.String(), err == nil
	}
	lastLine := func(s string) string {
		lines := strings.Split(strings.TrimSpace(s), "\n")
		return lines[len(lines)-1]
	}

	state := t.TempDir()
	check(t, state, "test", skips, events(t, slices.Concat(pass, y, end)...))
	check(t, state, "race", skips, events(t, slices.Concat(pass, y, z, end)...))
	if out, ok := total(state); !ok || lastLine(out) != "2 passed, 0 failed, 3 skipped" {
		t.Errorf("two runs: ok = %v:\n%s", ok, out)
	}
	if out, ok := total(state, "-failed", "1"); ok || lastLine(out) != "2 passed, 1 failed, 3 skipped" {
		t.Errorf("a failed step: ok = %v:\n%s", ok, out)
	}

	state = t.TempDir()
	check(t, state, "test", skips, events(t, slices.Concat(pass, y, end)...))
	check(t, state, "race", skips, events(t, slices.Concat(pass, y, end)...))
	if out, ok := total(state); ok || !strings.Contains(out, "no skip matches this entry any more: race . TestZ short") || lastLine(out) != "2 passed, 1 failed, 2 skipped" {
		t.Errorf("a stale entry: ok = %v:\n%s", ok, out)
	}

	state = t.TempDir()
	check(t, state, "test", skips, events(t, slices.Concat(pass, y, z, end)...))
	if out, ok := total(state); ok || lastLine(out) != "1 passed, 1 failed, 2 skipped" {
		t.Errorf("an unexpected skip: ok = %v:\n%s", ok, out)
	}
	if out, ok := total(t.TempDir()); ok || lastLine(out) != "0 passed, 0 failed, 0 skipped" {
		t.Errorf("nothing ran: ok = %v:\n%s", ok, out)
	}
}

// TestGuard runs this test binary as guard, with a shell below it that leaves
// something behind.
func TestGuard(t *testing.T) {
	if script := os.Getenv("REPORT_GUARD_SCRIPT"); script != "" {
		limit, err := time.ParseDuration(os.Getenv("REPORT_GUARD_LIMIT"))
		if err == nil {
			err = guard([]string{"sh", "-c", script}, limit, os.Stdout)
		}
		if err != nil {
			os.Stdout.WriteString("guard: " + err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(3) // go test takes an exit with 0 for an accident
	}
	object := "/dev/shm/report-test-" + filepath.Base(t.TempDir()) + "-" + time.Now().Format("150405.000000000")
	t.Cleanup(func() { _ = os.Remove(object) })
	for _, tt := range []struct {
		name, script, limit string
		ok                  bool
		want                string
	}{
		{"fails", "exit 4", "1m", false, "exit status 4"},
		{"killed", "kill -9 $$", "1m", false, "killed by killed"},
		{"orphan", "(setsid sleep 1000 >/dev/null 2>&1 &) ; exit 0", "1m", false, "left behind: process"},
		{"object", "echo x >" + object, "1m", false, "left behind: file \"" + object + "\""},
		{"too long", "sleep 1000", "100ms", false, "not done after 100ms"},
		{"good", "(sleep 0.2 &) ; exit 0", "1m", true, "the machine is as it was"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "good" {
				_ = os.Remove(object)
			}
			c := exec.Command(os.Args[0], "-test.run=^TestGuard$")
			c.Env = append(os.Environ(), "REPORT_GUARD_SCRIPT="+tt.script, "REPORT_GUARD_LIMIT="+tt.limit)
			out, _ := c.CombinedOutput()
			// Others may change the machine meanwhile: then the good case is
			// told so, and only its exit says nothing.
			noise := tt.ok && strings.Contains(string(out), "PROBLEM: ") && !strings.Contains(string(out), "process")
			if got := c.ProcessState.ExitCode() == 3; (got != tt.ok || !strings.Contains(string(out), tt.want)) && !noise {
				t.Errorf("ok = %v, want %v, and want %q in:\n%s", got, tt.ok, tt.want, out)
			}
		})
	}
}

func TestSnapshotDiff(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Fatal("Linux only")
	}
	before := snapshot{"a": "1", "b": "2", "c": "3"}
	after := snapshot{"a": "1", "b": "4", "d": "5"}
	want := []string{"changed: b: 2 -> 4", "gone: c: 3", "left behind: d: 5"}
	if got := before.diff(after); !slices.Equal(got, want) {
		t.Errorf("diff = %q, want %q", got, want)
	}
	s := takeSnapshot()
	for _, k := range []string{"setting /proc/sys/kernel/shmmax", "setting /proc/sys/vm/max_map_count"} {
		if s[k] == "" {
			t.Errorf("the snapshot lacks %q", k)
		}
	}
}
