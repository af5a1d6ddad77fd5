package bench

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed c/limit.c
var limitSource string

// errNoCompiler: there is nothing to build the limit in C with.
var errNoCompiler = errors.New("no C compiler here")

// twin is the limit in C: a process that forks its own peer.
type twin struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	pids  []int
}

// newTwin builds and starts it. The program has no name any more once it
// runs.
func newTwin(ctx context.Context, cpu [2]int) (*twin, error) {
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		if compiler, err = exec.LookPath("cc"); err != nil {
			return nil, errNoCompiler
		}
	}
	dir, err := os.MkdirTemp("", "shm-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "limit")
	cc := exec.CommandContext(ctx, compiler, "-O2", "-xc", "-", "-o", program)
	cc.Stdin = strings.NewReader(limitSource)
	if out, err := cc.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w: %s", compiler, err, strings.TrimSpace(string(out)))
	}
	t := &twin{cmd: exec.Command(program, strconv.Itoa(cpu[0]), strconv.Itoa(cpu[1]))}
	if t.stdin, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	t.out = bufio.NewReader(stdout)
	line, err := t.out.ReadString('\n')
	if err != nil {
		t.end()
		return nil, fmt.Errorf("the limit in C did not start: %w", err)
	}
	t.pids = make([]int, 2)
	fmt.Sscan(line, &t.pids[0], &t.pids[1])
	return t, nil
}

// run gives the time and the quantiles of one run of n.
func (t *twin) run(ctx context.Context, s *Spec, n int) (m measurement, err error) {
	defer context.AfterFunc(ctx, func() { t.cmd.Process.Kill() })()
	what := "stream"
	if s.Pattern == latency {
		what = "rtt"
	}
	begun := time.Now()
	if _, err = fmt.Fprintf(t.stdin, "%s %d\n", what, n); err == nil {
		var line string
		if line, err = t.out.ReadString('\n'); err == nil {
			if s.Pattern == latency {
				_, err = fmt.Sscan(line, &m.P50, &m.P99, &m.P999)
			} else {
				_, err = fmt.Sscan(line, &m.Rate)
			}
		}
	}
	m.elapsed = time.Since(begun)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m, err
}

func (t *twin) end() {
	t.stdin.Close()
	t.cmd.Wait()
}
