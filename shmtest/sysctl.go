package shmtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
)

// restorer is the handler of the child that puts a value back.
const restorer = "shmtest: restore"

func init() { Handle(restorer, restore) }

// Sysctl sets a kernel parameter such as "vm.max_map_count" until the test is
// over, when the value before is put back. It skips the test if that is
// refused, and fails it if the kernel keeps another value than this.
//
// It holds a machine-wide lock meanwhile, so test binaries that use Sysctl or
// NeedHugePages take turns. Within one binary such tests must not be parallel.
// A process of its own puts the value back, also when this one is killed.
func Sysctl(t testing.TB, name, value string) {
	t.Helper()
	if now := setSysctl(t, name, value); now != value {
		t.Fatalf("shmtest: %s is %q after setting it to %q", name, now, value)
	}
}

// sysctlPath returns the file of a parameter.
func sysctlPath(name string) string {
	return "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
}

// readSysctl reads a parameter; several values are separated by a blank.
func readSysctl(name string) (string, error) {
	text, err := os.ReadFile(sysctlPath(name))
	return strings.Join(strings.Fields(string(text)), " "), err
}

// setSysctl is Sysctl but returns the value that the kernel has then.
func setSysctl(t testing.TB, name, value string) string {
	t.Helper()
	lock := lockMachine(t)
	before, err := readSysctl(name)
	if err != nil {
		t.Skipf("needs the kernel parameter %s: %v", name, err)
	}
	path := sysctlPath(name)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("needs to set %s: %v", name, err)
	}
	defer f.Close()
	startRestorer(t, lock, path, before)
	if _, err := f.WriteString(value); err != nil {
		t.Skipf("needs %s at %s: %v", name, value, err)
	}
	now, err := readSysctl(name)
	if err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	return now
}

// startRestorer starts the process that writes value to path when the test is
// over or this process is gone. It inherits the lock, so nobody else has it
// before that is done.
func startRestorer(t testing.TB, lock *os.File, path, value string) {
	t.Helper()
	if !entered {
		t.Fatal("shmtest: Sysctl and NeedHugePages need a TestMain that calls shmtest.Main")
	}
	argv0, argv, err := self([]string{path, value})
	if err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	// Without a name, so that it does not outlive a test that is killed.
	out, err := os.CreateTemp("", "restore")
	if err == nil {
		err = os.Remove(out.Name())
	}
	if err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	in, hold, err := os.Pipe()
	if err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	ready, done, err := os.Pipe()
	if err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	cmd := &exec.Cmd{
		Path: argv0, Args: argv, Env: append(environWithout(envChild, envSetup), envChild+"="+restorer, raceOptions()),
		// Standard output and error of ours would keep go test waiting.
		Stdin: in, Stdout: done, Stderr: out,
		ExtraFiles: []*os.File{lock}, SysProcAttr: loneAttr(),
	}
	err = cmd.Start()
	in.Close()
	done.Close()
	if err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	t.Cleanup(func() {
		hold.Close()
		if err := cmd.Wait(); err != nil {
			out.Seek(0, io.SeekStart)
			text, _ := io.ReadAll(out)
			t.Errorf("shmtest: %s is not back at %q: %v: %s", path, value, err, text)
		}
		ready.Close()
		out.Close()
	})
	if line, err := bufio.NewReader(ready).ReadString('\n'); line != "ready\n" {
		t.Fatalf("shmtest: the process that would restore %s did not start: %v", path, err)
	}
}

// restore is that process.
func restore(c *Child) {
	signal.Ignore() // all that can be ignored: it has something to do
	path, value := c.Args[0], c.Args[1]
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	c.Check(err)
	c.Check(os.Chdir("/"))
	c.Send("ready")
	io.Copy(io.Discard, os.Stdin)
	_, err = f.WriteString(value)
	c.Check(err)
	now, err := os.ReadFile(path)
	c.Check(err)
	if got := strings.Join(strings.Fields(string(now)), " "); got != value {
		c.Fatal(fmt.Sprintf("it is %q", got))
	}
}
