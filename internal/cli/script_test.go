//go:build linux

package cli_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestScript runs the scripts of testdata/script. Beside what testscript
// gives, they have:
//
//	$name          a POSIX name that nobody else has; $name* are the script's own
//	$key           a System V key that nobody else has, as 0x and eight digits
//	code N CMD...  CMD exits with the status N
//	hold WHO ARG.. the program holder runs as WHO; $WHO_pid, and for a memfd $WHO_address
//	letgo WHO      it ends
//	start WHO CMD. CMD runs in the background; $WHO_pid, and WHO.out has its output
//	await WHO RE   its output has a line that matches;  never WHO RE  it has none
//	until RE CMD.. CMD is executed over and over until its output matches
//	interrupt WHO  it gets SIGINT;  finish WHO N  it ends with status N
//	type WHO TEXT  TEXT and a newline come on its standard input
//	[emulated]     an emulator runs the programs
//	[root]         they run as root
func TestScript(t *testing.T) {
	testscript.Run(t, scriptParams(filepath.Join("testdata", "script")))
}

func scriptParams(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "emulated":
				return emulated(), nil
			case "root":
				return os.Geteuid() == 0, nil
			case "isolated":
				return shmtest.Isolated(), nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":      cmdCode,
			"hold":      cmdHold,
			"letgo":     cmdLetgo,
			"start":     cmdStart,
			"await":     cmdAwait,
			"never":     cmdNever,
			"until":     cmdUntil,
			"interrupt": cmdInterrupt,
			"finish":    cmdFinish,
			"type":      cmdType,
			"set":       cmdSet,
		},
	}
}

type peersKey struct{}

func setUpScript(e *testscript.Env) error {
	t := e.T().(testing.TB)
	if emulated() && testing.Short() && !strings.Contains(t.Name(), "CLI-") {
		t.Skip("slow: under the emulator programs start too slowly")
	}
	name := shmtest.Name(t)
	key := shmtest.Key(t)
	e.Setenv("name", name)
	e.Setenv("key", fmt.Sprintf("0x%08x", uint32(key)))
	e.Setenv("TERM", "dumb")
	e.Setenv("GORACE", os.Getenv("GORACE"))
	peers := map[string]*background{}
	e.Values[peersKey{}] = peers
	e.Defer(func() {
		for _, p := range peers {
			p.kill()
		}
		// What a script that failed has left would be told as a leak too.
		for st, err := range posix.List(nil) {
			if err == nil && strings.Contains(st.Name, name) {
				posix.Unlink(st.Name, nil)
			}
		}
		if id, err := sysv.Get(sysv.Key(key), 0, 0); err == nil {
			sysv.Remove(id)
		}
	})
	if emulated() {
		return wrapPrograms(e)
	}
	return nil
}

// wrapPrograms puts scripts before the programs that start them under the
// emulator, which tells them the names that they need.
func wrapPrograms(e *testscript.Env) error {
	bin := filepath.Join(e.WorkDir, ".emulated")
	if err := os.Mkdir(bin, 0o777); err != nil {
		return err
	}
	for name := range programs {
		real, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("#!/bin/sh\nexec %s -0 %s %s \"$@\"\n", os.Getenv("SHMTEST_EXEC"), name, real)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o777); err != nil {
			return err
		}
	}
	e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
	return nil
}

func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command [argument...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// set VAR REGEXP takes the first group of the regexp's match in stdout.
func cmdSet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: set VARIABLE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no match for %q in stdout", args[1])
	}
	ts.Setenv(args[0], m[len(m)-1])
}

// background is a program that runs beside the script.
type background struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // closed at its end
	seen  []string
	done  chan struct{}
}

func peerOf(ts *testscript.TestScript, name string) *background {
	p := ts.Value(peersKey{}).(map[string]*background)[name]
	if p == nil {
		ts.Fatalf("there is no %q in the background", name)
	}
	return p
}

// launch starts a program; it ends with the script at the latest, and with
// this process.
func launch(ts *testscript.TestScript, who string, args []string) *background {
	if old := ts.Value(peersKey{}).(map[string]*background)[who]; old != nil {
		old.kill()
	}
	p := &background{cmd: command(ts, args), lines: make(chan string, 1000), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	ts.Check(err)
	r, w, err := os.Pipe()
	ts.Check(err)
	p.cmd.Stdout, p.cmd.Stderr = w, w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		ts.Fatalf("%s: %v", args[0], err)
	}
	go func() {
		sc := bufio.NewScanner(r)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			p.lines <- sc.Text()
		}
		r.Close()
		close(p.lines)
		p.cmd.Wait()
		close(p.done)
	}()
	ts.Value(peersKey{}).(map[string]*background)[who] = p
	ts.Setenv(who+"_pid", strconv.Itoa(p.cmd.Process.Pid))
	return p
}

// command is a program with the environment of the script.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	path, err := lookPath(ts, args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Args[0] = ts.MkAbs("."), args[0]
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "SHM_DIR", "WORK", "TERM", "GORACE"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

func lookPath(ts *testscript.TestScript, name string) (string, error) {
	if strings.Contains(name, "/") {
		return ts.MkAbs(name), nil
	}
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode()&0o111 != 0 && !st.IsDir() {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("there is no program %s", name)
}

// patience is how long a script waits for what must come.
const patience = 30 * time.Second

// await waits for a line that matches.
func (p *background) await(re *regexp.Regexp) (string, error) {
	for _, l := range p.seen {
		if re.MatchString(l) {
			return l, nil
		}
	}
	timeout := time.After(patience)
	for {
		select {
		case l, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("it ended without a line that matches %v; %s", re, p.said())
			}
			p.seen = append(p.seen, l)
			if re.MatchString(l) {
				return l, nil
			}
		case <-timeout:
			return "", fmt.Errorf("no line matches %v; %s", re, p.said())
		}
	}
}

// said shows the lines so far: the first and the last, and none so that it
// buries what is wrong with them.
func (p *background) said() string {
	const first, last = 5, 15
	var b strings.Builder
	fmt.Fprintf(&b, "it has %d lines so far", len(p.seen))
	for i, l := range p.seen {
		switch left := len(p.seen) - i; {
		case i < first || left <= last:
			b.WriteString("\n" + shown(l))
		case i == first:
			fmt.Fprintf(&b, "\n(%d more)", left-last)
		}
	}
	return b.String()
}

// shown is a line as it may stand in a log: printable, and not too long.
func shown(line string) string {
	const most = 200
	cut := ""
	if len(line) > most {
		line, cut = line[:most], fmt.Sprintf("... (%d bytes more)", len(line)-most)
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) && r != '\t' }) {
		line = strconv.Quote(line)
	}
	return line + cut
}

// end waits until it has ended and gives the exit status.
func (p *background) end() (int, error) {
	timeout := time.After(patience)
	for lines := p.lines; ; {
		select {
		case l, ok := <-lines:
			if !ok {
				lines = nil
				continue
			}
			p.seen = append(p.seen, l)
		case <-p.done:
			for l := range p.lines { // closed before
				p.seen = append(p.seen, l)
			}
			return p.cmd.ProcessState.ExitCode(), nil
		case <-timeout:
			return 0, errors.New("it does not end")
		}
	}
}

func (p *background) kill() {
	p.stdin.Close()
	// The group, so that what it started goes too.
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	p.end()
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: start WHO command [argument...]")
	}
	launch(ts, args[0], args[1:])
}

func cmdHold(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: hold WHO argument...")
	}
	p := launch(ts, args[0], append([]string{"holder"}, args[1:]...))
	line, err := p.await(regexp.MustCompile("^ready"))
	if err != nil {
		ts.Fatalf("holder: %v", err)
	}
	ts.Setenv(args[0]+"_address", strings.TrimSpace(strings.TrimPrefix(line, "ready")))
}

func cmdLetgo(ts *testscript.TestScript, neg bool, args []string) {
	p := peerOf(ts, args[0])
	p.stdin.Close()
	if code, err := p.end(); err != nil || code != 0 {
		ts.Fatalf("%s: %d, %v", args[0], code, err)
	}
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await WHO REGEXP")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	line, err := peerOf(ts, args[0]).await(re)
	if err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	ts.Logf("%s: %s", args[0], shown(line))
}

func cmdNever(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: never WHO REGEXP")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	p := peerOf(ts, args[0])
	select {
	case <-p.done:
	default:
		ts.Fatalf("%s has not ended: more lines may come", args[0])
	}
	for _, l := range p.seen {
		if re.MatchString(l) {
			ts.Fatalf("%s: a line matches %v: %s", args[0], re, shown(l))
		}
	}
}

// until is for what nobody says, but everybody can see.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until REGEXP command [argument...]")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out, err := command(ts, args[1:]).CombinedOutput()
		if re.Match(out) {
			return
		}
		if time.Now().After(limit) {
			ts.Fatalf("its output does not come to match %v: %v\n%s", re, err, out)
		}
	}
}

func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(peerOf(ts, args[0]).cmd.Process.Signal(os.Interrupt))
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: finish WHO STATUS")
	}
	p := peerOf(ts, args[0])
	code, err := p.end()
	ts.Check(err)
	if strconv.Itoa(code) != args[1] {
		ts.Fatalf("%s: exit status %d, want %s; %s", args[0], code, args[1], p.said())
	}
}

func cmdType(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: type WHO TEXT")
	}
	_, err := io.WriteString(peerOf(ts, args[0]).stdin, args[1]+"\n")
	ts.Check(err)
}
