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
	"slices"
	"strconv"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Bench is one run.
type Bench struct {
	Out      io.Writer               // the tables, or with JSON an object a line
	Progress func(text string)       // told what is being measured, "" before something is printed; nil is silent
	Dir      string                  // of topics and segments; "" for /dev/shm
	Self     func() (Command, error) // how to execute this program again as Worker
	JSON     bool
	Quick    bool   // some seconds in place of minutes
	Only     string // groups whose title has this in it; "" for all
	SVG      string // a file for the chart; "" for none

	cpus    int
	allowed []int
	twins   map[string]*twin   // by transport
	others  map[string]Command // whose processes are another program's, by transport
	missing map[string]error   // why there is none
}

// ErrNothing is the answer of Run to a wish that leaves nothing to measure.
var ErrNothing = errors.New("there is nothing")

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
	laps           []int64 // where they are few
}

// main gives the measure that cells are compared by. Small is good where
// less is true.
func (m *measurement) main(s *Spec) float64 {
	switch {
	case s.Pattern == throughput || s.callers() > 1:
		return m.Rate
	case s.Pattern == paced:
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
	groups := plan()
	groups = slices.DeleteFunc(groups, func(g group) bool { return !g.matches(b.Only) })
	if len(groups) == 0 {
		return fmt.Errorf("%w: no group has %q in its title", ErrNothing, b.Only)
	}
	if b.SVG != "" && !draws(groups) {
		return fmt.Errorf("%w for a chart in groups with %q in their title", ErrNothing, b.Only)
	}
	report, err := b.newReport()
	if err != nil {
		return err
	}
	b.build(ctx, groups)
	for _, t := range b.twins {
		defer t.end()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	budget := newBudget(b.Quick, groups)
	report.begin()
	crews := &crews{b: b, all: map[roster]*crew{}}
	defer func() {
		if e := crews.dismiss(0); err == nil && ctx.Err() == nil {
			err = e
		}
	}()
	defer b.progress("")
	for i := range groups {
		g := &groups[i]
		b.progress(fmt.Sprintf("measuring %d of %d: %s", i+1, len(groups), g.title))
		turns, err := b.group(ctx, crews, budget.next(), i, g)
		if err != nil {
			return fmt.Errorf("%s: %w", g.title, err)
		}
		b.progress("")
		if err := report.group(g, turns); err != nil {
			return err
		}
	}
	return report.end()
}

// build builds what is not in this program, before the time counts.
func (b *Bench) build(ctx context.Context, groups []group) {
	type found struct {
		Command
		err error
	}
	grpc := make(chan found, 1)
	need := func(transport string) bool {
		return slices.ContainsFunc(groups, func(g group) bool {
			return slices.ContainsFunc(g.cells, func(s Spec) bool { return s.Transport == transport })
		})
	}
	wanted := need(grpcUnary)
	if wanted {
		limit := buildTime
		if b.Quick {
			limit = quickBuildTime
		}
		b.progress("building " + programGRPC)
		go func() {
			c, err := b.findGRPC(ctx, limit)
			grpc <- found{c, err}
		}()
	}
	b.twins, b.missing = b.newTwins(ctx, need)
	b.others = map[string]Command{}
	if wanted {
		f := <-grpc
		if f.err != nil {
			b.missing[grpcUnary] = f.err
		} else {
			b.others[grpcUnary] = f.Command
		}
		b.progress("")
	}
}

func (b *Bench) progress(text string) {
	if b.Progress != nil {
		b.Progress(text)
	}
}

// cpu gives the processor of worker i.
func (b *Bench) cpu(i int) int { return b.allowed[i%len(b.allowed)] }

// turn is a cell in its turns.
type turn struct {
	spec    Spec
	skipped error
	order   order
	crew    *crew // nil for what is in C
	members int
	n       int // messages in a round
	rounds  []measurement
	pids    []int
}

// group measures the cells of a group in turns.
func (b *Bench) group(ctx context.Context, all *crews, share share, number int, g *group) (turns []*turn, err error) {
	turns = make([]*turn, len(g.cells))
	for i, s := range g.cells {
		turns[i] = &turn{spec: s, members: s.members(), skipped: b.skip(&s)}
		turns[i].order = order{Spec: s, Dir: b.Dir, Cell: 100*number + i, Name: fmt.Sprintf("bench-%d-%d-%d", os.Getpid(), number, i)}
	}
	defer func() {
		for _, t := range turns {
			if ctx.Err() == nil {
				err = errors.Join(err, t.close(ctx))
			}
		}
		err = errors.Join(err, all.dismiss(2))
	}()
	for _, t := range turns {
		if t.skipped == nil && share.over() {
			t.skipped = errNoTime
		}
		if t.skipped != nil {
			continue
		}
		err := b.open(ctx, all, t)
		if errors.As(err, new(skipped)) {
			t.skipped = err
			continue
		}
		if err == nil {
			err = b.warm(ctx, t, share.span)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.spec.Transport, err)
		}
	}
	for round := range share.rounds {
		if share.used(round) || round > 0 && share.over() {
			break
		}
		for i := range turns {
			// Nobody is always the first, or always after the same.
			t := turns[(i+round)%len(turns)]
			if t.skipped != nil {
				continue
			}
			m, err := b.once(ctx, t)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.spec.Transport, err)
			}
			t.rounds = append(t.rounds, m)
		}
	}
	return turns, nil
}

// open has the processes of a cell make what they need.
func (b *Bench) open(ctx context.Context, all *crews, t *turn) (err error) {
	if twin := b.twins[t.spec.Transport]; twin != nil {
		t.pids = twin.pids
		return nil
	}
	if t.crew, err = all.of(ctx, &t.spec); err != nil {
		return err
	}
	for _, h := range t.crew.hands {
		t.pids = append(t.pids, h.pid)
	}
	for _, t.order.Do = range []string{"open", "join", "admit"} {
		for i := range t.members {
			r, err := t.crew.ask(ctx, i, t.order)
			if err != nil {
				return err
			}
			if r.Address != "" {
				t.order.Address = r.Address
			}
		}
	}
	return nil
}

// close has them give it back.
func (t *turn) close(ctx context.Context) error {
	if t.crew == nil {
		return nil
	}
	var err error
	t.order.Do = "close"
	for i := range t.members {
		_, e := t.crew.ask(ctx, i, t.order)
		err = errors.Join(err, e)
	}
	return err
}

// skip says why a cell cannot be measured here.
func (b *Bench) skip(s *Spec) error {
	switch {
	case b.missing[s.Transport] != nil:
		return b.missing[s.Transport]
	case s.Wait == spin && b.cpus < 2:
		return errors.New("one processor: nobody can spin")
	case s.Wait == spin && s.members() > b.cpus:
		return fmt.Errorf("%d processes cannot spin on %d processors", s.members(), b.cpus)
	}
	return nil
}

// warm runs a cell until it is known how many messages make a round.
func (b *Bench) warm(ctx context.Context, t *turn, span time.Duration) error {
	switch {
	case t.spec.Pattern == paced:
		// A millisecond for each thousand, some rounds of the ring at least.
		t.n = max(int(4*span/time.Millisecond), 60) * 1000
		_, err := b.once(ctx, t)
		return err
	case t.spec.Idle > 0:
		t.n = max(int(4*span/t.spec.Idle), 4)
		_, err := b.once(ctx, t)
		return err
	}
	if t.spec.callers() > 1 {
		span *= 4 // each of them has its turns, and all of them begin
	}
	whole := max(t.spec.Batch, t.spec.callers()) // what n is a multiple of
	least := max(16, whole)
	if t.spec.Size >= large {
		least = 4
	}
	for t.n = least; ; t.n *= 4 {
		m, err := b.once(ctx, t)
		if err != nil {
			return err
		}
		if m.elapsed > span/8 || t.n > 1<<24 {
			t.n = max(int(float64(t.n)*float64(span)/float64(m.elapsed)), least)
			t.n = (t.n + whole - 1) / whole * whole
			return nil
		}
	}
}

// once runs a cell for one round.
func (b *Bench) once(ctx context.Context, t *turn) (measurement, error) {
	if twin := b.twins[t.spec.Transport]; twin != nil {
		return twin.run(ctx, &t.spec, t.n)
	}
	t.order.N = t.n
	replies, err := t.crew.run(ctx, t.members, t.order)
	if err != nil {
		return measurement{}, err
	}
	m := measurement{CPU: replies[0].CPU}
	ended := replies[0].Ended
	for i, r := range replies {
		ended = max(ended, r.Ended)
		m.Lost += r.Lost
		m.laps = append(m.laps, r.Laps...)
		if r.P50 != 0 {
			m.P50, m.P99, m.P999 = r.P50, r.P99, r.P999
		}
		if r.Rate != 0 && i > 0 {
			m.Rate = r.Rate
		}
	}
	m.elapsed = time.Duration(ended - replies[0].Begun)
	if m.Rate == 0 {
		// What was lost was not sent: each counts who got it.
		receivers := float64(t.members - 1)
		m.Rate = (float64(t.n) - float64(m.Lost)/receivers) / m.elapsed.Seconds()
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
