package explore

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
)

// Options say how a System is explored. The zero value is what spec/topic.md
// asks for, which is weaker than any processor.
type Options struct {
	// Ordered makes an acquire load wait for the release stores before it, as
	// LDAR and STLR of arm64 do. LDAPR does not, and the specification does
	// not ask for it.
	Ordered bool

	// Strong makes every load an acquire and every store a release: with
	// that, and without Ordered, the processor is an amd64.
	Strong bool

	// NotEarly lets no store become visible before a load that stands before
	// it in the program.
	NotEarly bool

	// MaxStates ends the exploration with ErrStates when there are more; 0
	// means 50 million. A state takes some 40 bytes.
	MaxStates int
}

// ErrStates says that there are more states than Options allow.
var ErrStates = errors.New("there are more states than allowed")

// Result is what an exploration has found.
type Result struct {
	// States is how many were looked at.
	States int

	// Outcomes are the ways in which all threads can come to their ends: what
	// they noted (Thread.Note) and what the final words hold (System.Final),
	// sorted. Where there is a Violation there may be more.
	Outcomes []string

	// Violation is nil if nothing is wrong.
	Violation *Violation
}

// Explore goes through all that can happen and stops at the first thing that is
// wrong: an Assert that fails, or threads that sleep when nobody is left to
// wake them. The trace that leads there is one of the shortest. opts may be
// nil. The error is ErrStates or the context's.
func (s *System) Explore(ctx context.Context, opts *Options) (*Result, error) {
	x := newExplorer(s, opts)
	for {
		r, err := x.explore(ctx)
		if err != nil || !x.again {
			return r, err
		}
	}
}

// explorer is one exploration.
type explorer struct {
	sys     *System
	opts    Options
	ordered bool

	readers []uint64 // for each word, which threads look at it
	storers []uint64 // for each word, which threads store to it
	writers uint64   // which threads do something that others notice
	// Which threads load, and store, plainly.
	plainLoads, plainStores uint64

	passers uint64 // which threads have stores that may pass earlier ones, with loads between them
	// barriers says that there is a Membarrier. Then it is not the same when
	// a thread loads something, and loads cannot be put off.
	barriers bool

	// Which threads have a fence that stands behind a load, or behind a
	// store with something between. For the others it makes no difference
	// when they loaded and stored last.
	keepLoaded, keepStored uint64

	final uint64 // words that outcomes name
	again bool   // readers or writers were not complete

	cur   state
	shown int  // the thread of which the present move has made a store visible, or -1
	dead  bool // the present state leads nowhere
	trace *[]Step

	seen  set
	from  []uint32 // for each state the one before
	moves []uint32 // and the move that led there

	// Scratch.
	ops     []op
	kept    []bool
	moment  []int
	moments []int
	oldest  []int
	early   []early
}

func newExplorer(s *System, opts *Options) *explorer {
	x := &explorer{sys: s, readers: make([]uint64, len(s.words)), storers: make([]uint64, len(s.words)), ops: make([]op, len(s.threads))}
	if opts != nil {
		x.opts = *opts
	}
	x.ordered = x.opts.Ordered
	if x.opts.MaxStates == 0 {
		x.opts.MaxStates = 50_000_000
	}
	for _, w := range s.final {
		x.final |= 1 << w.loc
	}
	x.cur.base = make([]uint64, len(s.words))
	x.cur.threads = make([]place, len(s.threads))
	for i := range x.cur.threads {
		x.cur.threads[i].seen = make([]int, len(s.words))
	}
	return x
}

// begin makes the present state the first one.
func (x *explorer) begin() {
	st := &x.cur
	st.running, st.ending, st.log = -1, false, st.log[:0]
	for i, w := range x.sys.words {
		st.base[i] = w.init
	}
	for i, p := range x.sys.threads {
		seen := st.threads[i].seen
		clear(seen)
		st.threads[i] = place{node: p.first(), seen: seen}
	}
	x.dead, x.shown = false, -1
	x.settle()
}

func (x *explorer) node(thread int) *node {
	return &x.sys.threads[thread].nodes[x.cur.threads[thread].node]
}

func (x *explorer) done(thread int) bool { return x.node(thread).op.kind == opDone }

// op is what a thread does next.
func (x *explorer) op(thread int) *op {
	x.ops[thread] = x.weaken(x.node(thread).op)
	return &x.ops[thread]
}

func (x *explorer) weaken(o op) op {
	o.strong = o.strong || x.opts.Strong
	return o
}

func (x *explorer) step(thread int, v uint64) {
	p := &x.cur.threads[thread]
	p.node = x.sys.threads[thread].after(p.node, v)
}

// wrong says what is wrong with the present state.
func (x *explorer) wrong() string {
	st := &x.cur
	all, asleep := true, -1
	for i := range st.threads {
		p := &st.threads[i]
		if bad := x.node(i).bad; bad != "" && len(p.early) == 0 {
			return fmt.Sprintf("%s: %s", x.sys.threads[i].name, bad)
		}
		if p.asleep != 0 {
			asleep = i
		} else if !x.done(i) {
			all = false
		}
		if len(p.pending) > 0 {
			all = false
		}
	}
	if all && asleep >= 0 {
		return fmt.Sprintf("%s: sleeps on %s for ever", x.sys.threads[asleep].name, x.sys.words[st.threads[asleep].asleep-1])
	}
	return ""
}

// outcome describes the present state if it is an end.
func (x *explorer) outcome() (text string, ok bool) {
	for i := range x.cur.threads {
		if !x.done(i) || len(x.cur.threads[i].pending) > 0 {
			return "", false
		}
	}
	add := func(s string) {
		if s != "" && text != "" {
			text += " "
		}
		text += s
	}
	for i := range x.cur.threads {
		add(x.node(i).note)
	}
	for _, w := range x.sys.final {
		add(w.name + "=" + w.value(x.cur.newest(w.loc)))
	}
	return text, true
}

// explore goes through all states, the nearest first.
func (x *explorer) explore(ctx context.Context) (*Result, error) {
	r := &Result{}
	x.again = false
	x.seen.reset()
	x.from, x.moves = x.from[:0], x.moves[:0]
	outcomes := make(map[string]bool)
	defer func() { r.Outcomes = slices.Sorted(maps.Keys(outcomes)) }()

	var (
		seeds     = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
		text      []byte
		next      layer
		todo      []move
		violation = -1
	)
	reach := func(from int, m move) {
		x.tidy()
		text = x.key(text[:0])
		if !x.seen.add([2]uint64{maphash.Bytes(seeds[0], text), maphash.Bytes(seeds[1], text)}) {
			return
		}
		id := len(x.from)
		x.from, x.moves = append(x.from, uint32(from)), append(x.moves, m.pack())
		if why := x.wrong(); why != "" && violation < 0 {
			violation = id
			r.Violation = &Violation{Reason: why}
		}
		if o, ok := x.outcome(); ok {
			outcomes[o] = true
		}
		text = x.cur.append(text[:0])
		next.add(id, text)
	}
	x.begin()
	if x.dead {
		return r, nil
	}
	reach(0, move{})
	for next.len() > 0 {
		level := next
		next = layer{}
		for id, text := range level.all() {
			if id&1023 == 0 && ctx.Err() != nil {
				return r, ctx.Err()
			}
			x.cur.read(text)
			todo = x.successors(todo[:0])
			for k, m := range todo {
				if k > 0 {
					x.cur.read(text)
				}
				x.dead = false
				if x.apply(m) {
					reach(id, m)
				}
			}
			if x.again {
				return r, nil
			}
			if violation >= 0 {
				r.States = len(x.from)
				r.Violation.Steps = x.retrace(violation)
				return r, nil
			}
			if len(x.from) > x.opts.MaxStates {
				r.States = len(x.from)
				return r, fmt.Errorf("%d: %w", r.States, ErrStates)
			}
		}
	}
	r.States = len(x.from)
	if violation >= 0 {
		r.Violation.Steps = x.retrace(violation)
	}
	return r, nil
}
