//go:build linux

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-298b2b26/shm/internal/cli"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// TestTopicScript runs the scripts of testdata/topic. Beside what those of
// TestScript have:
//
//	slay WHO   it gets SIGKILL, and is waited for
//	halt WHO   it gets SIGSTOP;  resume WHO  it goes on
//	$golden    the recording of the format's specification
//	$own       a directory in /dev/shm, to be made, that nobody else has
func TestTopicScript(t *testing.T) {
	p := scriptParams(filepath.Join("testdata", "topic"))
	setUp := p.Setup
	golden, err := filepath.Abs(filepath.Join("..", "..", "spec", "testdata", "record-v1.bin"))
	if err != nil {
		t.Fatal(err)
	}
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("golden", golden)
		if err := setUp(e); err != nil {
			return err
		}
		name := e.Getenv("name")
		e.Setenv("own", "/dev/shm/"+name+".own")
		e.Defer(func() {
			os.RemoveAll("/dev/shm/" + name + ".own")
			// What a script that failed has left would be told as a leak too.
			names, _ := topic.List("")
			for _, n := range names {
				if strings.Contains(n, name) {
					topic.Remove(n, &topic.RemoveOptions{Force: true})
				}
			}
		})
		return nil
	}
	p.Cmds["slay"] = cmdSlay
	p.Cmds["halt"] = signalled(syscall.SIGSTOP)
	p.Cmds["resume"] = signalled(syscall.SIGCONT)
	testscript.Run(t, p)
}

func cmdSlay(ts *testscript.TestScript, neg bool, args []string) {
	p := peerOf(ts, args[0])
	// Before its input ends: it could end of itself.
	ts.Check(p.cmd.Process.Kill())
	p.kill()
}

func signalled(s syscall.Signal) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		ts.Check(peerOf(ts, args[0]).cmd.Process.Signal(s))
	}
}

// TestTopicRights: who may look, who may subscribe, and what others are told.
func TestTopicRights(t *testing.T) {
	if syscall.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	if emulated() {
		t.Skip("slow: under the emulator programs start too slowly")
	}
	nobody := startCLI(t, shmtest.Command{User: &shmtest.User{UID: 65534, GID: 65534}})
	defer nobody.Wait()
	for _, share := range []string{"private", "observe", "all", "group=65534"} {
		t.Run(share, func(t *testing.T) {
			name := shmtest.Name(t)
			run("topic", "pub", name, "--share", share, "--keep", "--rate", "0", "--count", "10", "--size", "16").want(t, 0)
			defer func() { run("topic", "rm", name).want(t, 0) }()
			sub := nobody.run("topic", "sub", name, "--json", "--no-wait")
			obs := nobody.run("topic", "sub", name, "--json", "--no-wait", "--observe")
			list := nobody.run("topic", "ls", name)
			switch share {
			case "private":
				sub.want(t, 4)
				has(t, sub.errOut, "hint: ", topicScheme+name)
				obs.want(t, 4)
				has(t, list.want(t, 0).out, " closed ")
				info := nobody.run("topic", "info", name).want(t, 4)
				has(t, info.out, "closed: you may not look into it")
				nobody.run("topic", "hz", name).want(t, 4)
				nobody.run("topic", "record", name, "-", "--no-wait").want(t, 4)
				has(t, nobody.run("ls", "--no-header", topicScheme+name).want(t, 0).out, "topic")
			case "observe":
				sub.want(t, 4)
				has(t, sub.errOut, "hint: --observe")
				if n := strings.Count(obs.want(t, 0).out, "\n"); n != 10 {
					t.Errorf("%d samples were observed, want 10", n)
				}
			default:
				for _, r := range []result{sub, obs} {
					if n := strings.Count(r.want(t, 0).out, "\n"); n != 10 {
						t.Errorf("%d samples, want 10\n%s", n, r.errOut)
					}
				}
				has(t, list.want(t, 0).out, " ended ")
			}
			r := nobody.run("topic", "rm", name).want(t, 4)
			has(t, r.errOut, "hint: ")
			nobody.run("topic", "pub", name, "--rate", "0", "--count", "1", "--size", "16", "--share", share).want(t, 4)
		})
	}
}

const topicScheme = "topic:"

// TestTopicTerminal: a terminal is shown text as it is and a dump of the
// beginning of anything else, and never binary.
func TestTopicTerminal(t *testing.T) {
	name := shmtest.Name(t)
	in := strings.NewReader("grüße\na\x1b[2J\n" + strings.Repeat("\x07", 300) + "\n")
	runWith(cli.Env{Getenv: os.Getenv, Stdin: in}, "topic", "pub", name, "--keep").want(t, 0)
	defer func() { run("topic", "rm", name).want(t, 0) }()
	got := on(t, 80, "topic", "sub", name)
	has(t, got, "grüße\n", "|a.[2J|\n", "(44 bytes more)\n")
	hasNot(t, got, "\x1b", "\x07")
	hasNot(t, on(t, 80, "topic", "sub", name, "--json"), "\x1b", "\x07")
	for _, args := range [][]string{{"topic", "sub", name, "--frames"}, {"topic", "record", name, "-"}} {
		x := openTerminal(t, 80)
		r := runWith(cli.Env{Getenv: os.Getenv, Stdout: x.tty}, args...).want(t, 2)
		has(t, r.errOut, "terminal", "hint: redirect")
		if s := x.shown(); s != "" {
			t.Errorf("%q is shown", s)
		}
	}
	// A narrow one is shown what matters.
	for line := range strings.Lines(on(t, 60, "topic", "ls", name)) {
		if n := len([]rune(line)); n > 61 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
