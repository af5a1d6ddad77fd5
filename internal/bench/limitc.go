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

	"github.com/seed-298b2b26/shm/clients"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/topic"
)

//go:embed c/limit.c
var limitSource string

//go:embed c/topic.c
var topicSource string

// errNoCompiler: there is nothing to build programs in C with.
var errNoCompiler = errors.New("no C compiler here")

// twin is a cell in C: a process that forks its own peer.
type twin struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    *bufio.Reader
	stderr strings.Builder
	pids   []int
	after  func() // clears up, should it have been killed
}

// twins starts those that there are. Why one is not there is its own error.
func (b *Bench) newTwins(ctx context.Context, need func(transport string) bool) (all map[string]*twin, missing map[string]error) {
	all, missing = map[string]*twin{}, map[string]error{}
	start := func(transport string, f func() (*twin, error)) {
		if !need(transport) {
			return
		}
		if t, err := f(); err != nil {
			missing[transport] = err
		} else {
			all[transport] = t
		}
	}
	cpus := []string{"-1", "-1"}
	if b.cpus > 1 {
		cpus = []string{strconv.Itoa(b.cpu(0)), strconv.Itoa(b.cpu(1))}
	}
	start(limitC, func() (*twin, error) { return newTwin(ctx, map[string]string{"twin.c": limitSource}, cpus...) })
	start(topicC, func() (*twin, error) {
		dir := b.Dir
		if dir == "" {
			dir = posix.DefaultDir
		}
		name := fmt.Sprintf("bench-%d-c", os.Getpid())
		after := func() { removeTopics(dir, name+"-there", name+"-back") }
		t, err := newTwin(ctx, map[string]string{"twin.c": topicSource, "shm_topic.h": clients.Header}, append(cpus, dir, name)...)
		if err != nil {
			after()
			return nil, err
		}
		t.after = after
		return t, nil
	})
	return all, missing
}

// newTwin builds and starts it. The program has no name any more once it
// runs.
func newTwin(ctx context.Context, files map[string]string, args ...string) (*twin, error) {
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
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	program := filepath.Join(dir, "twin")
	cc := exec.CommandContext(ctx, compiler, "-std=gnu11", "-O2", "-o", program, filepath.Join(dir, "twin.c"))
	cc.Env = append(os.Environ(), "TMPDIR="+dir) // it leaves files there when it is killed
	if out, err := cc.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%s: %w: %s", compiler, err, strings.TrimSpace(string(out)))
	}
	t := &twin{cmd: exec.Command(program, args...)}
	t.cmd.Stderr = &t.stderr
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
		return nil, fmt.Errorf("the program in C did not start: %w %s", err, strings.TrimSpace(t.stderr.String()))
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

// end ends it. What it has made it removes, if it was not killed.
func (t *twin) end() {
	t.stdin.Close()
	t.cmd.Wait()
	if t.after != nil {
		t.after()
	}
}

// removeTopics removes those that are there, as soon as their publishers have
// gone: one was killed, or its parent was.
func removeTopics(dir string, names ...string) {
	for _, name := range names {
		for range 1000 {
			if err := topic.Remove(name, &topic.RemoveOptions{Dir: dir}); !errors.Is(err, topic.ErrBusy) {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}
