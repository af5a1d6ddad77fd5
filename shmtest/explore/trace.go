package explore

import (
	"fmt"
	"strings"
)

// Violation is something that is wrong, and how it came about.
type Violation struct {
	// Reason is what a thread asserted, or that it sleeps for ever.
	Reason string

	// Steps lead from the beginning to it.
	Steps []Step
}

// Step is one step of one thread.
type Step struct {
	Thread string
	What   string // the operation, its word and its value
	Label  string // what Thread.Say has said of it
}

// String gives the reason and the steps, a line each. A store stands where the
// thread comes to it, and again where it becomes visible.
func (v *Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", v.Reason)
	name, what := 0, 0
	for _, s := range v.Steps {
		name, what = max(name, len(s.Thread)), max(what, len(s.What))
	}
	for i, s := range v.Steps {
		line := fmt.Sprintf("%4d  %-*s  %-*s  %s", i+1, name, s.Thread, min(what, 60), s.What, s.Label)
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	return b.String()
}

// note records a step, when a trace is wanted.
func (x *explorer) note(m move, format string, args ...any) {
	if x.trace == nil {
		return
	}
	label := x.node(m.thread).op.label
	if m.kind == moveShow || m.kind == moveEarly {
		label = ""
	}
	*x.trace = append(*x.trace, Step{x.sys.threads[m.thread].name, fmt.Sprintf(format, args...), label})
}

// retrace goes the way to a state again and writes it down.
func (x *explorer) retrace(id int) []Step {
	var way []move
	for ; id != 0; id = int(x.from[id]) {
		way = append(way, unpack(x.moves[id]))
	}
	var steps []Step
	x.trace = &steps
	defer func() { x.trace = nil }()
	x.begin()
	x.tidy()
	for i := len(way) - 1; i >= 0; i-- {
		x.dead = false
		x.apply(way[i])
		x.tidy()
	}
	return steps
}
