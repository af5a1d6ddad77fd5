//go:build linux

package cli_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/internal/cli"
	"github.com/seed-298b2b26/shm/shmtest"
)

// in gives the command's surroundings with another directory for topics.
func in(dir string) cli.Env {
	return cli.Env{Getenv: func(key string) string {
		if key == "SHM_DIR" {
			return dir
		}
		return os.Getenv(key)
	}}
}

// dieAsPublisher publishes a line in another process and kills that.
func dieAsPublisher(t *testing.T, path, dir, name string) {
	t.Helper()
	p := exec.Command(path, "topic", "pub", name)
	p.Env = append(os.Environ(), "SHM_DIR="+dir)
	input, err := p.StdinPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wait()
	defer p.Process.Kill()
	io.WriteString(input, "one\n")
	runWith(in(dir), "topic", "sub", name, "--count", "1", "--timeout", "30s").want(t, 0)
}

// TestPruneAsks: on a terminal it shows what is dead and asks; only yes removes
// anything.
func TestPruneAsks(t *testing.T) {
	if emulated() {
		t.Skip("the command cannot be executed by itself under the emulator")
	}
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	dir := shmtest.Dir(t)
	dieAsPublisher(t, path, dir, "news")
	for _, c := range []struct {
		answer string // what is typed; empty for an interrupt
		code   int
		goes   bool
	}{
		{"n\n", 0, false}, {"\n", 0, false}, {"yesterday\n", 0, false}, {"\x04", 0, false}, {"", 130, false}, {"Yes\n", 0, true},
	} {
		x := openTerminal(t, 80)
		cmd := exec.Command(path, "prune")
		cmd.Env = append(os.Environ(), "SHM_DIR="+dir)
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout = x.tty, &out
		errOut, err := cmd.StderrPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		const prompt = "Remove it? [y/N] "
		got := make([]byte, len(prompt))
		if _, err := io.ReadFull(errOut, got); err != nil || string(got) != prompt {
			t.Errorf("it asks with %q, %v, want %q", got, err, prompt)
		}
		if c.answer == "" {
			cmd.Process.Signal(os.Interrupt)
		}
		io.WriteString(x.person, c.answer)
		rest, _ := io.ReadAll(errOut)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != c.code {
			t.Errorf("%q: exit status %d, want %d: %s", c.answer, code, c.code, rest)
		}
		has(t, out.String(), "remove  topic  topic:news  ", "is gone, and its lock with it", "1 to remove, which frees ")
		if strings.Contains(out.String(), "removed topic:news, ") != c.goes {
			t.Errorf("%q: %s%s", c.answer, out.String(), rest)
		}
		if left, err := os.ReadDir(dir); err != nil || (len(left) == 0) != c.goes {
			t.Errorf("%q: left %v, %v", c.answer, left, err)
		}
	}
	// Nothing dead is nothing to ask about.
	x := openTerminal(t, 80)
	env := in(dir)
	env.Stdin = x.tty
	r := runWith(env, "prune").want(t, 0)
	has(t, r.errOut, "nothing is dead")
}

// TestPruneOthers: what belongs to others is left alone and said, for root too
// unless it is asked for.
func TestPruneOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	if emulated() {
		t.Skip("slow: under the emulator programs start too slowly")
	}
	nobody := startCLI(t, shmtest.Command{User: &shmtest.User{UID: 65534, GID: 65534}})
	defer nobody.Wait()
	path, err := exec.LookPath("shm")
	if err != nil {
		t.Fatal(err)
	}
	// Where both are seen: /dev/shm, which this test has for itself or shares,
	// so only its own names are looked at.
	name := shmtest.Name(t)
	defer run("topic", "rm", name, name+"-2")
	dieAsPublisher(t, path, "", name)
	has(t, nobody.run("prune", "--dry-run").want(t, 0).errOut, "of other users cannot be looked into")
	nobody.run("topic", "pub", name+"-2", "--rate", "0", "--count", "1", "--keep", "--share", "all").want(t, 0)
	r := run("prune", "--dry-run", "--kept").want(t, 0)
	for block := range strings.SplitSeq(r.out, "\nleave") {
		if strings.Contains(block, name+"-2") && !strings.Contains(block, "left alone: it belongs to ") {
			t.Errorf("what is not root's would go:\n%s", r.out)
		}
	}
	if !shmtest.Isolated() {
		return // the rest would remove what others have left
	}
	hasNot(t, nobody.run("prune", "--yes").want(t, 0).out, name)
	hasNot(t, run("prune", "--yes", "--kept").want(t, 0).out, name+"-2")
	has(t, run("prune", "--yes", "--kept", "--all-users").want(t, 0).out, "removed topic:"+name+"-2, ")
	run("topic", "info", name).want(t, 3)
}
