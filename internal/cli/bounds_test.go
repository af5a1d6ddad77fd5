//go:build linux

package cli_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/cli"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// TestReadSparse reads an object of which nothing was ever written: that must
// not take the memory that the object could have.
func TestReadSparse(t *testing.T) {
	name := "/" + shmtest.Name(t)
	run("create", name, "--size", "16M", "--sparse").want(t, 0)
	t.Cleanup(func() { run("rm", name) })
	for _, args := range [][]string{{"read", name}, {"read", "-x", name}, {"read", "-s", name}, {"read", name, "--offset", "8M"}} {
		run(args...).want(t, 0)
		if st, err := shm.Stat(name, nil); err != nil || st.Used != 0 {
			t.Fatalf("%q: %d bytes are used, %v", args, st.Used, err)
		}
	}
}

// cutter makes an object shorter when the first bytes of it come out.
type cutter struct {
	name string
	n    int64
	err  error
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.n == 0 {
		o, err := posix.Open(c.name, posix.O_RDWR, 0, nil)
		if err == nil {
			err = o.Truncate(4096)
			o.Close()
		}
		c.err = err
	}
	c.n += int64(len(p))
	return len(p), nil
}

// TestReadTruncated has an object cut while it is read: no short copy may look
// like a whole one.
func TestReadTruncated(t *testing.T) {
	name := "/" + shmtest.Name(t)
	run("create", name, "--size", "16M").want(t, 0)
	t.Cleanup(func() { run("rm", name) })
	out := &cutter{name: name}
	r := runWith(cli.Env{Stdout: out, Getenv: os.Getenv}, "read", name).want(t, 1)
	has(t, r.errOut, "truncated", "hint:")
	if out.err != nil || out.n >= 16<<20 {
		t.Errorf("%d bytes came out, %v", out.n, out.err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func init() {
	shmtest.Handle("endless", func(c *shmtest.Child) {
		r := runWith(cli.Env{Stdin: zeros{}, Getenv: os.Getenv}, append([]string{"write"}, c.Args...)...)
		c.Send("%d %s", r.code, strings.ReplaceAll(r.errOut, "\n", "; "))
	})
}

// TestWriteEndless writes what never ends into a small mount: that ends with
// an error, long before the machine has no memory left.
func TestWriteEndless(t *testing.T) {
	p := shmtest.Command{Handler: "endless", Args: []string{"/endless"}, OwnShm: true, ShmSize: 1 << 20}.Start(t)
	if got := p.Recv(); !strings.HasPrefix(got, "1 shm: write posix:/endless: more than 1048576 bytes come in") || !strings.Contains(got, "hint:") {
		t.Error(got)
	}
	p.Wait()
}

// TestWriteHuge gives a file that is far too large, and one that is read from
// its middle.
func TestWriteHuge(t *testing.T) {
	name := "/" + shmtest.Name(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 43); err != nil {
		t.Skip(err)
	}
	write := func(args ...string) result {
		return runWith(cli.Env{Stdin: f, Getenv: os.Getenv}, append([]string{"write"}, args...)...)
	}
	has(t, write(name).want(t, 1).errOut, "there is no room for more")
	has(t, write(name, "--size", "4T").want(t, 1).errOut, "there is no room for more")
	has(t, write(name, "--size", "4K").want(t, 1).errOut, "does not fit")
	run("info", name).want(t, 3)
	if _, err := f.Seek(-5, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	write(name).want(t, 0)
	if r := run("read", name); r.out != "\x00\x00\x00\x00\x00" {
		t.Errorf("%q was written", r.out)
	}
	run("rm", name).want(t, 0)
}

// TestCmdlines keeps command lines, which may be long and say much, to info.
func TestCmdlines(t *testing.T) {
	name := "/" + shmtest.Name(t)
	run("create", name, "--size", "1").want(t, 0)
	t.Cleanup(func() { run("rm", "--force", name) })
	long := strings.Repeat("x", 5000)
	p := shmtest.Start(t, "opener", name, long)
	p.Expect("ready")
	info := run("info", name, "--json").want(t, 0)
	holder := parse(t, info.out)["holders"].([]any)[0].(map[string]any)
	if line, _ := holder["cmdline"].(string); len(line) != 200 || !strings.HasSuffix(line, "~") {
		t.Errorf("command line %q", holder["cmdline"])
	}
	for _, args := range [][]string{{"ls", "--json", name}, {"rm", "--json", name}} {
		if r := run(args...); strings.Contains(r.out, "cmdline") || !strings.Contains(r.out, fmt.Sprint(p.PID())) {
			t.Errorf("%q: %s", args, r.out)
		}
	}
	p.Wait()
}

func init() {
	shmtest.Handle("opener", func(c *shmtest.Child) {
		s, err := shm.Open(c.Args[0], nil)
		c.Check(err)
		defer s.Close()
		c.Send("ready")
		c.Hold()
	})
}

// TestDemoNowhere runs the demonstration with an output that takes nothing:
// nothing was shown, so it did not succeed.
func TestDemoNowhere(t *testing.T) {
	if emulated() {
		t.Skip("the demonstration executes itself, which it cannot do under the emulator")
	}
	shmtest.CheckLeaks(t)
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	var text strings.Builder
	cmd := exec.Command(path, "demo", "--size", "1")
	cmd.Stdout, cmd.Stderr = full, &text
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	has(t, text.String(), "no space left on device", "hint: standard output")
}

// TestWrongArguments says what a verb takes.
func TestWrongArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"read"}, "not with 0 arguments: shm read ADDR"},
		{[]string{"read", "a", "b"}, "not with 2 arguments: shm read ADDR"},
		{[]string{"rm"}, "not with 0 arguments: shm rm ADDR..."},
		{[]string{"info", "a", "b"}, "not with 2 arguments: shm info [ADDR]"},
	} {
		has(t, run(c.args...).want(t, 2).errOut, c.want, "hint: ")
	}
}

// TestBashCutsAddresses runs the part of the script for bash that cuts what is
// typed from what is proposed.
func TestBashCutsAddresses(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	script := run("completion", "bash").want(t, 0).out
	at := strings.Index(script, `__shm_handle_special_char "$cur" `)
	if at < 0 {
		t.Fatal("the script has another form now")
	}
	calls := strings.SplitN(script[at:], "\n", 3)[:2]
	for _, c := range []struct{ cur, proposal, want string }{
		{"sysv:id=", "sysv:id=7", "7"},
		{"sysv:i", "sysv:id=7", "id=7"},
		{"sysv:0x0", "sysv:0x00000007", "0x00000007"},
		{"posix:/x=", "posix:/x=y", "y"},
		{"/x", "/xy", "/xy"},
	} {
		program := script + "\nCOMP_WORDBREAKS=:=\ncur=$1 COMPREPLY=(\"$2\")\n" + strings.Join(calls, "\n") + "\nprintf %s \"${COMPREPLY[0]}\""
		out, err := exec.Command(bash, "--norc", "-c", program, "bash", c.cur, c.proposal).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s typed, %s proposed: bash adds %q, want %q (%v)", c.cur, c.proposal, out, c.want, err)
		}
	}
}
