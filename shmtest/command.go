package shmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Command describes a child process that is more than Start makes. The zero
// value of every field but Handler or Path is what Start does.
type Command struct {
	// Handler is the name of the handler that the child runs; see Handle.
	Handler string
	// Path is the program to run if Handler is empty, as a path.
	Path string
	// Args are its arguments, without the program's name.
	Args []string
	// Env is added to this process's environment.
	Env []string
	// ExtraFiles become the descriptors 3 and up of the child.
	ExtraFiles []*os.File

	// User is who the child is; nil: who this process is. It needs root.
	// Supplementary groups are dropped.
	User *User
	// DropCaps are capabilities that a child of root does without.
	DropCaps []Cap
	// KeepCaps are capabilities that a child of another User has
	// nevertheless.
	KeepCaps []Cap
	// Rlimits are set before the child's program runs.
	Rlimits []Rlimit

	// OwnIPC gives the child an IPC namespace of its own.
	OwnIPC bool
	// OwnShm gives the child a mount namespace of its own with an empty
	// tmpfs on /dev/shm.
	OwnShm bool
	// ShmSize is the size of that tmpfs in bytes, a multiple of the page
	// size; 0 is the kernel's default. More than 0 implies OwnShm.
	ShmSize int64
}

// Rlimit is a resource limit, see getrlimit(2).
type Rlimit struct {
	// Resource is one of syscall.RLIMIT_*.
	Resource int
	// Cur and Max are the soft and the hard limit. The Go runtime raises
	// the soft limit of RLIMIT_NOFILE to the hard one when it starts.
	Cur, Max uint64
}

// Start starts a child process that runs the handler of that name with args:
//
//	p := shmtest.Start(t, "reader", name)
//	p.Expect("ready")
//	p.Send("go")
//	p.Wait()
//
// The child is killed when the test is over, and by the kernel when this
// process dies. What it writes to standard error is logged.
func Start(t testing.TB, handler string, args ...string) *Process {
	t.Helper()
	return Command{Handler: handler, Args: args}.Start(t)
}

// Exec is like Start for any program, for instance one from CompileC. A C
// program has to flush its standard output after each line.
func Exec(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	return Command{Path: path, Args: args}.Start(t)
}

// Start starts the child process. It skips the test, with the reason, if the
// system refuses a namespace, a mount, an identity or a capability that the
// Command asks for.
func (c Command) Start(t testing.TB) *Process {
	t.Helper()
	if c.Handler != "" {
		if !entered {
			t.Fatal("shmtest: Start needs a TestMain that calls shmtest.Main")
		}
		if _, ok := handlers[c.Handler]; !ok {
			t.Fatalf("shmtest: no handler named %q", c.Handler)
		}
	}
	c.OwnShm = c.OwnShm || c.ShmSize > 0
	c.need(t)

	cmd, err := c.build()
	if err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	p, err := launch(t, cmd, c.title())
	if err != nil {
		t.Fatalf("shmtest: start %s: %v", c.title(), err)
	}
	return p
}

// launch starts cmd, with a pipe for setUp's report if it asks for one, and
// returns when the program proper is being executed.
func launch(t testing.TB, cmd *built, title string) (*Process, error) {
	t.Helper()
	var report *os.File
	if cmd.reports {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		defer w.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, w)
		report = r
	}
	p, err := newProcess(t, cmd.Cmd, title)
	if err != nil || report == nil {
		return p, err
	}
	// The child's copy is closed by execve, and ours must not stay open.
	cmd.ExtraFiles[len(cmd.ExtraFiles)-1].Close()
	report.SetReadDeadline(p.deadline())
	text, err := io.ReadAll(report)
	if err != nil {
		return nil, fmt.Errorf("waiting for its setting-up: %w", err)
	}
	if len(text) == 0 {
		return p, nil
	}
	p.Kill()
	var refused refusal
	if err := json.Unmarshal(text, &refused); err != nil {
		return nil, fmt.Errorf("%w: %q", err, text)
	}
	if refused.Skip {
		t.Skipf("needs %s: %s", refused.Need, refused.Err)
	}
	return nil, fmt.Errorf("%s: %s", refused.Need, refused.Err)
}

// title is what messages call the child.
func (c Command) title() string {
	if c.Handler != "" {
		return c.Handler
	}
	return c.Path
}

// need skips the test if it is plain beforehand that the system would refuse.
func (c Command) need(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	if c.User != nil && os.Geteuid() != 0 {
		t.Skipf("needs root to run a process as uid %d: running as uid %d", c.User.UID, os.Geteuid())
	}
	if c.OwnIPC || c.OwnShm {
		NeedCap(t, CapSysAdmin)
	}
	if len(c.DropCaps) > 0 {
		NeedCap(t, CapSetPCap)
	}
	NeedCap(t, c.KeepCaps...)
}

// built is a command ready to start.
type built struct {
	*exec.Cmd
	// reports: it takes one more descriptor after the extra files and
	// closes it when all is set up.
	reports bool
}

// build turns the Command into one that can be started.
func (c Command) build() (*built, error) {
	path, argv := c.Path, append([]string{c.Path}, c.Args...)
	env := environWithout(envChild, envSetup)
	if c.Handler != "" {
		var err error
		path, argv, err = self(c.Args)
		if err != nil {
			return nil, err
		}
		env = append(env, envChild+"="+c.Handler, raceOptions())
	} else if path == "" {
		return nil, errors.New("a Command without Handler and Path")
	}
	if len(c.KeepCaps) > 0 && c.User == nil {
		return nil, errors.New("a Command with KeepCaps and without User")
	}
	env = append(env, c.Env...)

	needs := c.User != nil || c.OwnIPC || c.OwnShm || len(c.DropCaps) > 0 || len(c.Rlimits) > 0
	if needs {
		spec, err := json.Marshal(setup{
			Path: path, Argv: argv, Self: c.Handler != "", Report: 3 + len(c.ExtraFiles),
			User: c.User, DropCaps: c.DropCaps, KeepCaps: c.KeepCaps, Rlimits: c.Rlimits,
			OwnIPC: c.OwnIPC, OwnShm: c.OwnShm, ShmSize: c.ShmSize,
		})
		if err != nil {
			return nil, err
		}
		path, argv, err = self(nil)
		if err != nil {
			return nil, err
		}
		env = append(env, envSetup+"="+string(spec))
	}
	return &built{
		Cmd: &exec.Cmd{
			Path: path, Args: argv, Env: env,
			ExtraFiles:  append([]*os.File(nil), c.ExtraFiles...),
			SysProcAttr: childAttr(c.KeepCaps),
		},
		reports: needs,
	}, nil
}

// raceOptions returns the environment's setting for the race detector without
// the second that it waits at the end of each process.
func raceOptions() string {
	return "GORACE=" + strings.TrimSpace("atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}

// patience is how long a test that has no deadline waits for anything.
const patience = 2 * time.Minute

// deadline is when to give up waiting: shortly before the test's own deadline,
// so that the message says what was waited for.
func deadline(t testing.TB) time.Time {
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, ok := d.Deadline(); ok {
			left := time.Until(at)
			return at.Add(-min(10*time.Second, left/10))
		}
	}
	return time.Now().Add(patience)
}
