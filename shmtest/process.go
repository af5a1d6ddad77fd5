package shmtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Process is a running child process, see Start. Its methods fail the test
// when they cannot do what they are for, so they are called from the test's
// goroutine. What waits gives up shortly before the test's deadline; a child
// of Go then tells on standard error where it hangs.
type Process struct {
	t     testing.TB
	title string
	cmd   *exec.Cmd
	in    *os.File
	out   *lines
	err   *lines
	ends  []*os.File // our ends of the pipes that are read

	exited chan struct{} // closed when it has been waited for
	state  *os.ProcessState

	mu     sync.Mutex
	looked bool // somebody has asked how it ended, or killed it
	closed bool
}

// newProcess starts cmd with pipes for its standard streams.
func newProcess(t testing.TB, cmd *exec.Cmd, title string) (*Process, error) {
	var pipes [3][2]*os.File // read end, write end
	closeAll := func() {
		for _, pipe := range pipes {
			for _, f := range pipe {
				f.Close()
			}
		}
	}
	for i := range pipes {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll()
			return nil, err
		}
		pipes[i] = [2]*os.File{r, w}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pipes[0][0], pipes[1][1], pipes[2][1]
	if err := spawn(cmd); err != nil {
		closeAll()
		return nil, err
	}
	for _, f := range []*os.File{pipes[0][0], pipes[1][1], pipes[2][1]} {
		f.Close()
	}
	ownPID(cmd.Process.Pid)
	p := &Process{
		t: t, title: fmt.Sprintf("%s[%d]", title, cmd.Process.Pid), cmd: cmd,
		in: pipes[0][1], ends: []*os.File{pipes[1][0], pipes[2][0]},
		exited: make(chan struct{}),
	}
	p.out = collect(pipes[1][0], nil)
	p.err = collect(pipes[2][0], func(line string) { fmt.Fprintf(t.Output(), "%s: %s\n", p.title, line) })
	go func() {
		// Our standard streams are files, so there is nothing that Wait
		// copies; it fails with the exit status, which the state has.
		cmd.Wait()
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	t.Cleanup(p.cleanup)
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Send sends a line to the child. It is formatted as fmt.Sprintf does if there
// are args.
func (p *Process) Send(line string, args ...any) {
	p.t.Helper()
	if len(args) > 0 {
		line = fmt.Sprintf(line, args...)
	}
	p.in.SetWriteDeadline(p.deadline())
	if _, err := p.in.WriteString(line + "\n"); err != nil {
		p.fatalf("sending %q: %v", line, err)
	}
}

// Recv waits for the next line from the child and returns it.
func (p *Process) Recv() string {
	p.t.Helper()
	line, err := p.recv()
	if err != nil {
		p.fatalf("waiting for a line: %v", err)
	}
	return line
}

// Expect waits for the next line from the child, which must be want.
func (p *Process) Expect(want string) {
	p.t.Helper()
	line, err := p.recv()
	switch {
	case err != nil:
		p.fatalf("waiting for %q: %v", want, err)
	case line != want:
		p.fatalf("expected %q, got %q", want, line)
	}
}

func (p *Process) recv() (string, error) {
	timeout := time.NewTimer(time.Until(p.deadline()))
	defer timeout.Stop()
	for {
		line, ok, eof, event := p.out.take()
		switch {
		case ok:
			return line, nil
		case eof:
			select {
			case <-p.exited:
				p.look()
				return "", fmt.Errorf("it has ended: %v", p.state)
			case <-timeout.C:
				return "", errors.New("it has closed its standard output")
			}
		}
		select {
		case <-event:
		case <-timeout.C:
			p.interrogate()
			return "", os.ErrDeadlineExceeded
		}
	}
}

// Stderr returns what the child has written to standard error so far; all of
// it after Wait, Exit or Kill.
func (p *Process) Stderr() string { return p.err.text() }

// CloseInput tells the child that there will be no more lines.
func (p *Process) CloseInput() { p.in.Close() }

// Signal sends a signal to the child.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.fatalf("signal %v: %v", sig, err)
	}
}

// Stop stops the child with SIGSTOP and returns when all its threads stand.
func (p *Process) Stop() {
	p.t.Helper()
	p.Signal(sigStop)
	p.awaitStop()
}

// awaitStop waits until all threads of the child stand.
func (p *Process) awaitStop() {
	p.t.Helper()
	for limit := p.deadline(); ; time.Sleep(100 * time.Microsecond) {
		stands, err := stopped(p.PID())
		switch {
		case err != nil:
			p.fatalf("stopping: %v", err)
		case stands:
			return
		case time.Now().After(limit):
			p.fatalf("stopping: %v", os.ErrDeadlineExceeded)
		}
	}
}

// Cont lets a stopped child go on.
func (p *Process) Cont() {
	p.t.Helper()
	p.Signal(sigCont)
}

// Kill kills the child with SIGKILL and returns when it is gone and has been
// waited for. It is no failure if it has ended before.
func (p *Process) Kill() {
	p.t.Helper()
	p.look()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.fatalf("kill: %v", err)
	}
	p.await()
	p.finish()
}

// Exit closes the child's standard input, waits until it ends and returns how
// it ended.
func (p *Process) Exit() *os.ProcessState {
	p.t.Helper()
	p.look()
	p.in.Close()
	p.await()
	p.finish()
	return p.state
}

// Wait is like Exit and fails the test unless the exit status is 0.
func (p *Process) Wait() {
	p.t.Helper()
	if state := p.Exit(); !state.Success() {
		p.t.Fatalf("shmtest: %s: %v", p.title, state)
	}
}

// Done returns a channel that is closed when the child has ended and has been
// waited for. A bad end still fails the test when it is over, unless Exit or
// Kill is called too.
func (p *Process) Done() <-chan struct{} { return p.exited }

func (p *Process) await() {
	p.t.Helper()
	timeout := time.NewTimer(time.Until(p.deadline()))
	defer timeout.Stop()
	select {
	case <-p.exited:
	case <-timeout.C:
		p.interrogate()
		p.fatalf("waiting for its end: %v", os.ErrDeadlineExceeded)
	}
}

// lastWords is how long the goroutines of a child that hangs may take to be
// printed. A test gives up up to ten seconds before its deadline: the rest is
// for telling what became of it.
const lastWords = 5 * time.Second

// interrogate makes a child of Go that hangs print its goroutines, and ends
// it.
func (p *Process) interrogate() {
	p.look()
	p.cmd.Process.Signal(sigCont)
	p.cmd.Process.Signal(sigQuit)
	select {
	case <-p.exited:
	case <-time.After(lastWords):
		p.cmd.Process.Kill()
		<-p.exited
	}
	p.finish()
}

// look notes that how the child ends is known to somebody.
func (p *Process) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = true
}

// finish closes our ends of the pipes when all that came has been read. A
// grandchild may hold the other ends; it has grace.
func (p *Process) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	p.in.Close()
	timeout := time.NewTimer(grace)
	defer timeout.Stop()
	for i, l := range []*lines{p.out, p.err} {
		select {
		case <-l.ended:
		case <-timeout.C:
			timeout.Reset(0)
		}
		p.ends[i].Close()
		<-l.ended
	}
}

// cleanup ends the child with the test. That it had ended badly and nobody
// asked is a failure: it is most likely why the test went on as it did.
func (p *Process) cleanup() {
	p.t.Helper()
	select {
	case <-p.exited:
		p.mu.Lock()
		looked := p.looked
		p.mu.Unlock()
		if !looked && !p.state.Success() {
			p.t.Errorf("shmtest: %s: %v", p.title, p.state)
		}
	default:
		p.cmd.Process.Kill()
		<-p.exited
	}
	p.finish()
}

func (p *Process) deadline() time.Time { return deadline(p.t) }

func (p *Process) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("shmtest: %s: %s", p.title, fmt.Sprintf(format, args...))
}
