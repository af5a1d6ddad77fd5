// Package bench is the project's own measurements, for its users: topics
// beside a pipe, a Unix socket, a bare futex, and a ring that is nothing but
// loads and stores, which is the limit. It is what `shm bench` runs.
//
// Every cell is measured between two processes at least, which are this
// program, executed again as Worker. Processors change their distance and
// their speed within seconds, on virtual machines above all. So the cells of
// a group are measured in turns, in many short rounds, and what is compared
// are medians of ratios within a round.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Bench is one run.
type Bench struct {
	Out      io.Writer               // the tables, or with JSON an object a line
	Progress io.Writer               // told what is being measured; nil is silent
	Dir      string                  // of topics; "" for /dev/shm
	Self     func() (Command, error) // how to execute this program again as Worker
	JSON     bool
	Quick    bool   // some seconds in place of minutes
	Only     string // groups whose title has this in it; "" for all

	cpus    int
	allowed []int
	twin    *twin
	noTwin  error
}

// Command is a program and its leading arguments.
type Command struct {
	Path string
	Args []string // with the program's name first
}

// measurement is what one round of one cell gave.
type measurement struct {
	P50, P99, P999 float64
	Rate           float64 // messages a second
	CPU            float64 // ns a sample
	Lost           uint64
	elapsed        time.Duration
}

// main gives the measure that cells are compared by. Small is good where
// less is true.
func (m *measurement) main(s *Spec) float64 {
	switch s.Pattern {
	case throughput:
		return m.Rate
	case paced:
		return m.CPU
	}
	return m.P50
}

// Run measures everything. A context that ends ends it, cleaned up.
func (b *Bench) Run(ctx context.Context) (err error) {
	if b.allowed, err = sys.GetAffinity(0); err != nil {
		return fmt.Errorf("cannot tell which processors there are: %w", err)
	}
	b.cpus = len(b.allowed)
	cpu := [2]int{-1, -1}
	if b.cpus > 1 {
		cpu = [2]int{b.cpu(0), b.cpu(1)}
	}
	if b.twin, b.noTwin = newTwin(ctx, cpu); b.twin != nil {
		defer b.twin.end()
	} else if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	report := b.newReport()
	report.begin()
	crew, err := b.muster(ctx, 4)
	if err != nil {
		return err
	}
	defer func() {
		if e := crew.dismiss(); err == nil && ctx.Err() == nil {
			err = e
		}
	}()
	for i, g := range plan() {
		if !g.matches(b.Only) {
			continue
		}
		if b.Progress != nil {
			fmt.Fprintf(b.Progress, "measuring: %s\n", g.title)
		}
		if err := b.group(ctx, crew, report, i, &g); err != nil {
			return fmt.Errorf("%s: %w", g.title, err)
		}
	}
	return report.end()
}

// cpu gives the processor of worker i.
func (b *Bench) cpu(i int) int { return b.allowed[i%len(b.allowed)] }

// turn is a cell in its turns.
type turn struct {
	spec    Spec
	skipped error
	order   order
	members int
	n       int // messages in a round
	rounds  []measurement
	pids    []int
}

// group measures the cells of a group in turns.
func (b *Bench) group(ctx context.Context, c *crew, report *report, number int, g *group) error {
	turns := make([]*turn, len(g.cells))
	defer func() {
		for _, t := range turns {
			if t != nil && t.skipped == nil && t.spec.Transport != limitC {
				if ctx.Err() == nil {
					t.order.Do = "close"
					c.each(ctx, t.members, t.order)
				}
			}
		}
	}()
	for i, s := range g.cells {
		t := &turn{spec: s, members: 2, skipped: b.skip(&s)}
		if s.Subscribers > 1 && s.Pattern != paced {
			t.members = 1 + s.Subscribers
		}
		t.order = order{Spec: s, Dir: b.Dir, Cell: 100*number + i, Name: fmt.Sprintf("bench-%d-%d-%d", os.Getpid(), number, i)}
		turns[i] = t
		if t.skipped != nil {
			continue
		}
		if s.Transport == limitC {
			t.pids = b.twin.pids
		} else {
			for _, h := range c.hands[:t.members] {
				t.pids = append(t.pids, h.pid)
			}
			for _, do := range []string{"open", "join", "admit"} {
				t.order.Do = do
				if err := c.each(ctx, t.members, t.order); err != nil {
					return err
				}
			}
		}
		if err := b.warm(ctx, c, t); err != nil {
			return fmt.Errorf("%s: %w", s.Transport, err)
		}
	}
	for round := range b.rounds(g) {
		for i := range turns {
			// Nobody is always the first, or always after the same.
			t := turns[(i+round)%len(turns)]
			if t.skipped != nil {
				continue
			}
			m, err := b.once(ctx, c, t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.spec.Transport, err)
			}
			t.rounds = append(t.rounds, m)
		}
	}
	return report.group(g, turns)
}

func (b *Bench) rounds(g *group) int {
	if b.Quick {
		return 5
	}
	return 25
}

// skip says why a cell cannot be measured here.
func (b *Bench) skip(s *Spec) error {
	switch {
	case s.Transport == limitC && b.twin == nil:
		return b.noTwin
	case s.Wait == spin && b.cpus < 2:
		return errors.New("one processor: nobody can spin")
	}
	return nil
}

// span is how long a round of one cell takes about.
func (b *Bench) span() time.Duration {
	if b.Quick {
		return 15 * time.Millisecond
	}
	return 40 * time.Millisecond
}

// warm runs a cell until it is known how many messages make a round.
func (b *Bench) warm(ctx context.Context, c *crew, t *turn) error {
	switch {
	case t.spec.Pattern == paced:
		// A millisecond for each thousand, some rounds of the ring at least.
		t.n = int(4*b.span()/time.Millisecond) * 1000
		_, err := b.once(ctx, c, t)
		return err
	case t.spec.Idle > 0:
		t.n = max(int(4*b.span()/t.spec.Idle), 4)
		_, err := b.once(ctx, c, t)
		return err
	}
	for t.n = 16; ; t.n *= 4 {
		m, err := b.once(ctx, c, t)
		if err != nil {
			return err
		}
		if m.elapsed > b.span()/8 || t.n > 1<<24 {
			t.n = max(int(float64(t.n)*float64(b.span())/float64(m.elapsed)), 16)
			t.n = (t.n + 15) &^ 15 // whole batches
			return nil
		}
	}
}

// once runs a cell for one round.
func (b *Bench) once(ctx context.Context, c *crew, t *turn) (measurement, error) {
	if t.spec.Transport == limitC {
		return b.twin.run(ctx, &t.spec, t.n)
	}
	t.order.N = t.n
	replies, err := c.run(ctx, t.members, t.order)
	if err != nil {
		return measurement{}, err
	}
	m := measurement{CPU: replies[0].CPU}
	ended := replies[0].Ended
	for i, r := range replies {
		ended = max(ended, r.Ended)
		m.Lost += r.Lost
		if r.P50 != 0 {
			m.P50, m.P99, m.P999 = r.P50, r.P99, r.P999
		}
		if r.Rate != 0 && i > 0 {
			m.Rate = r.Rate
		}
	}
	m.elapsed = time.Duration(ended - replies[0].Begun)
	if m.Rate == 0 {
		m.Rate = float64(t.n) / m.elapsed.Seconds()
	}
	return m, nil
}

func pidList(pids []int) string {
	s := ""
	for i, p := range pids {
		if i > 0 {
			s += " "
		}
		s += strconv.Itoa(p)
	}
	return s
}
