package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm/memfd"
)

// hand is the parent's end of a worker.
type hand struct {
	pid     int
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	orders  *json.Encoder
	replies chan reply
	done    chan struct{}
	err     error // after done
	stderr  strings.Builder
}

// crew is the processes of a measurement: the first drives, the others
// answer.
type crew struct {
	hands []*hand
}

// crews are the processes of a run, by their number: what is measured between
// two has processors of its own where others are measured between many.
type crews struct {
	b   *Bench
	all map[roster]*crew
}

// roster is what a crew is made of.
type roster struct {
	program string // "" for this one
	n       int
	free    bool // not bound to processors
}

// of gives the processes that measure a cell.
func (c *crews) of(ctx context.Context, s *Spec) (*crew, error) {
	program, other := c.b.others[s.Transport]
	m := roster{program.Path, s.members(), s.Free}
	if c.all[m] == nil {
		var err error
		if !other {
			if program, err = c.b.Self(); err != nil {
				return nil, err
			}
		}
		if c.all[m], err = c.b.muster(ctx, program, m); err != nil {
			delete(c.all, m)
			return nil, err
		}
	}
	return c.all[m], nil
}

// dismiss ends those of more than most processes.
func (c *crews) dismiss(most int) error {
	var err error
	for m, crew := range c.all {
		if m.n > most {
			err = errors.Join(err, crew.dismiss())
			delete(c.all, m)
		}
	}
	return err
}

// muster starts workers, each on a processor of its own where there are enough.
func (b *Bench) muster(ctx context.Context, program Command, m roster) (*crew, error) {
	memory, err := memfd.CreateSized("shm-bench", memSize, nil)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	shared, err := memory.OSFile()
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	var r, w [2]*os.File
	for i := range 2 {
		if r[i], w[i], err = os.Pipe(); err != nil {
			return nil, err
		}
		defer r[i].Close()
		defer w[i].Close()
	}
	c := &crew{}
	for i := range m.n {
		// Only two of them talk through pipes.
		files := []*os.File{shared, r[i%2], w[1-i%2]}
		cpu := anywhere
		if !m.free && m.n <= b.cpus && b.cpus > 1 {
			cpu = strconv.Itoa(b.cpu(i))
		}
		h, err := start(ctx, program, files, cpu)
		if err != nil {
			c.dismiss()
			return nil, err
		}
		c.hands = append(c.hands, h)
	}
	return c, nil
}

func start(ctx context.Context, program Command, files []*os.File, args ...string) (*hand, error) {
	h := &hand{cmd: exec.Command(program.Path), replies: make(chan reply, 16), done: make(chan struct{})}
	h.cmd.Args = append(append([]string{}, program.Args...), args...)
	h.cmd.ExtraFiles = files
	h.cmd.Stderr = &h.stderr
	var err error
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start another process: %w", err)
	}
	h.pid = h.cmd.Process.Pid
	h.orders = json.NewEncoder(h.stdin)
	go func() {
		d := json.NewDecoder(bufio.NewReader(stdout))
		for {
			var r reply
			if d.Decode(&r) != nil {
				break
			}
			h.replies <- r
		}
		h.err = h.cmd.Wait()
		close(h.done)
	}()
	return h, nil
}

// tell gives an order to worker i.
func (c *crew) tell(i int, o order) error {
	o.Role = i
	return c.hands[i].orders.Encode(&o)
}

// hear gives what worker i answers.
func (c *crew) hear(ctx context.Context, i int) (reply, error) {
	h := c.hands[i]
	select {
	case r := <-h.replies:
		switch {
		case r.Skip != "":
			return r, skipped{errors.New(r.Skip)}
		case r.Err != "":
			return r, fmt.Errorf("process %d: %s", h.pid, r.Err)
		}
		return r, nil
	case <-h.done:
		return reply{}, fmt.Errorf("process %d ended too early: %v %s", h.pid, h.err, strings.TrimSpace(h.stderr.String()))
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	}
}

// ask gives an order to worker i and hears the answer.
func (c *crew) ask(ctx context.Context, i int, o order) (reply, error) {
	if err := c.tell(i, o); err != nil {
		return reply{}, err
	}
	return c.hear(ctx, i)
}

// run runs a cell once and gives what the workers found.
func (c *crew) run(ctx context.Context, members int, o order) ([]reply, error) {
	o.Do = "run"
	for i := 1; i < members; i++ {
		if _, err := c.ask(ctx, i, o); err != nil {
			return nil, err
		}
	}
	if err := c.tell(0, o); err != nil {
		return nil, err
	}
	replies := make([]reply, members)
	for i := range members {
		var err error
		if replies[i], err = c.hear(ctx, i); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// dismiss ends the workers, which clean up behind themselves. Who does not
// end is killed.
func (c *crew) dismiss() error {
	for _, h := range c.hands {
		h.stdin.Close()
	}
	var err error
	for _, h := range c.hands {
		select {
		case <-h.done:
		case <-time.After(5 * time.Second):
			h.cmd.Process.Kill()
			<-h.done
		}
		if h.err != nil {
			err = errors.Join(err, fmt.Errorf("process %d: %w %s", h.pid, h.err, strings.TrimSpace(h.stderr.String())))
		}
	}
	return err
}
