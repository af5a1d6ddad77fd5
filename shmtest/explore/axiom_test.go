package explore

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// This file is the memory model of arm64 a second time, as the manual has it:
// not by steps but by what must not go round in circles. An execution is which
// store each load sees (rf) and in which order the stores to each word come
// (co). It is allowed if
//
//   - each word by itself is consistent: po-loc, rf, co and fr have no circle;
//   - what is between threads has none: rfe, coe, fre and what barriers order;
//   - nothing comes between the two halves of a swap.
//
// Programs are short, so all executions are tried.

// event is a load or a store. A swap is both, one behind the other.
type event struct {
	thread, at int // at: which operation of the thread; equal for both halves of a swap
	loc        string
	store      bool
	strong     bool // release, acquire
	swap       bool
	val        int    // of a store
	reg        string // of a load
	initial    bool
}

// fence stands behind the operations before it.
type fence struct {
	thread, at int
	kind       string
}

// axioms gives all outcomes of a litmus program without dependencies.
func axioms(l litmus, o Options) []string {
	var (
		events []event
		fences []fence
		words  []string
	)
	for i, text := range strings.Split(l.program, "||") {
		for k, op := range strings.Split(text, ";") {
			op = strings.TrimSpace(op)
			left, right, _ := strings.Cut(op, "=")
			loc := right
			switch {
			case len(op) == 1:
				fences = append(fences, fence{i, k, op})
				continue
			case strings.Contains("xyz", left):
				loc = left
				events = append(events, event{thread: i, at: k, loc: loc, store: true, val: int(right[0] - '0'), strong: o.Strong || strings.HasSuffix(right, "R")})
			case strings.Contains(right, "<"):
				loc = right[:1]
				events = append(events,
					event{thread: i, at: k, loc: loc, reg: left, strong: true, swap: true},
					event{thread: i, at: k, loc: loc, store: true, val: int(right[2] - '0'), strong: true, swap: true})
			default:
				loc = right[:1]
				events = append(events, event{thread: i, at: k, loc: loc, reg: left, strong: o.Strong || strings.HasSuffix(right, "A")})
			}
			if !slices.Contains(words, loc) {
				words = append(words, loc)
			}
		}
	}
	for _, w := range words {
		events = append(events, event{thread: -1, loc: w, store: true, initial: true})
	}
	x := &axiomatic{events: events, ordered: o.Ordered, final: strings.Fields(l.final), found: map[string]bool{}}
	n := len(events)
	x.po, x.bob = newRelation(n), newRelation(n)
	for a := range events {
		for b := range events {
			ea, eb := &events[a], &events[b]
			if ea.thread != eb.thread || ea.initial || a >= b {
				continue
			}
			x.po[a][b] = true
			for _, f := range fences {
				if f.thread != ea.thread || f.at < ea.at || f.at > eb.at {
					continue
				}
				switch f.kind {
				case "F":
					x.bob[a][b] = true
				case "S":
					x.bob[a][b] = x.bob[a][b] || ea.store && eb.store
				case "L":
					x.bob[a][b] = x.bob[a][b] || !ea.store
				}
			}
			switch {
			case !ea.store && ea.strong, eb.store && eb.strong, ea.store && ea.strong && !eb.store && eb.strong && o.Ordered:
				x.bob[a][b] = true
			case ea.loc == eb.loc && eb.store:
				x.bob[a][b] = true // in the one memory that there is
			case ea.swap:
				// All of a swap that acquires and releases, and within it
				// the load before the store.
				x.bob[a][b] = true
			}
		}
	}
	x.rf = make([]int, n)
	x.reads(0)
	out := make([]string, 0, len(x.found))
	for o := range x.found {
		out = append(out, o)
	}
	slices.Sort(out)
	return out
}

type relation [][]bool

func newRelation(n int) relation {
	r := make(relation, n)
	for i := range r {
		r[i] = make([]bool, n)
	}
	return r
}

// acyclic reports whether no way along r leads back.
func (r relation) acyclic() bool {
	state := make([]byte, len(r))
	var visit func(int) bool
	visit = func(a int) bool {
		state[a] = 1
		for b, yes := range r[a] {
			if yes && (state[b] == 1 || state[b] == 0 && !visit(b)) {
				return false
			}
		}
		state[a] = 2
		return true
	}
	for a := range r {
		if state[a] == 0 && !visit(a) {
			return false
		}
	}
	return true
}

type axiomatic struct {
	events  []event
	po, bob relation
	ordered bool
	rf      []int    // for each load the store that it sees
	co      []int    // the stores, word by word, in their order
	final   []string // words in the outcome
	found   map[string]bool
}

// reads tries all stores for each load.
func (x *axiomatic) reads(from int) {
	for a := from; a < len(x.events); a++ {
		if x.events[a].store {
			continue
		}
		for b := range x.events {
			if e := &x.events[b]; e.store && e.loc == x.events[a].loc {
				x.rf[a] = b
				x.reads(a + 1)
			}
		}
		return
	}
	x.orders(nil)
}

// orders tries all orders of the stores to each word.
func (x *axiomatic) orders(co []int) {
	full := true
	for a := range x.events {
		if !x.events[a].store || slices.Contains(co, a) {
			continue
		}
		full = false
		// Word by word, the initial store first.
		first := true
		for _, b := range co {
			if x.events[b].loc == x.events[a].loc {
				first = false
			}
		}
		if first != x.events[a].initial {
			continue
		}
		x.orders(append(slices.Clip(co), a))
	}
	if full {
		x.co = co
		x.judge()
	}
}

func (x *axiomatic) judge() {
	n := len(x.events)
	place := make([]int, n)
	for i, a := range x.co {
		place[a] = i
	}
	com := func(a, b int) bool { // rf, co or fr
		ea, eb := &x.events[a], &x.events[b]
		switch {
		case ea.loc != eb.loc || a == b:
			return false
		case ea.store && eb.store:
			return place[a] < place[b]
		case ea.store:
			return x.rf[b] == a
		case eb.store:
			return place[x.rf[a]] < place[b]
		}
		return false
	}
	coherent, order := newRelation(n), newRelation(n)
	for a := range n {
		for b := range n {
			ea, eb := &x.events[a], &x.events[b]
			c := com(a, b)
			coherent[a][b] = c || x.po[a][b] && ea.loc == eb.loc
			order[a][b] = c && ea.thread != eb.thread || x.bob[a][b]
			// The store half of a swap forwards to nobody.
			if c && ea.swap && ea.store && !eb.store && eb.strong {
				order[a][b] = true
			}
		}
	}
	if !coherent.acyclic() || !order.acyclic() {
		return
	}
	for a := range n {
		if e := &x.events[a]; e.swap && !e.store {
			for _, b := range x.co {
				if x.events[b].loc == e.loc && place[x.rf[a]] < place[b] && place[b] < place[a+1] {
					return
				}
			}
		}
	}
	var out []string
	for a := range n {
		if e := &x.events[a]; !e.store {
			out = append(out, fmt.Sprintf("%s=%d", e.reg, x.events[x.rf[a]].val))
		}
	}
	for _, w := range x.final {
		v := 0
		for _, a := range x.co {
			if x.events[a].loc == w {
				v = x.events[a].val
			}
		}
		out = append(out, fmt.Sprintf("%s=%d", w, v))
	}
	x.found[strings.Join(out, " ")] = true
}

var programs = flag.Int("programs", 100, "how many programs TestAxioms makes at random")

var memories = []struct {
	name string
	opts Options
}{
	{"spec", Options{}},
	{"arm64", Options{Ordered: true}},
	{"amd64", Options{Strong: true}},
}

// agree compares the explorer with the axioms.
func agree(t *testing.T, l litmus) {
	t.Helper()
	for _, m := range memories {
		r, err := parse(l).Explore(context.Background(), &m.opts)
		if err != nil {
			t.Fatal(err)
		}
		if want := axioms(l, m.opts); !slices.Equal(r.Outcomes, want) {
			t.Errorf("%s: %s (%s):\nexplored %q\naxioms   %q", m.name, l.program, l.final, r.Outcomes, want)
		}
	}
}

// TestAxioms compares all outcomes of the litmus programs and of some thousand
// others, made at random, with what the axioms allow.
func TestAxioms(t *testing.T) {
	for _, l := range litmuses {
		if !strings.ContainsAny(l.program, "?M") && !strings.Contains(l.name, "data") {
			agree(t, l)
		}
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	n := *programs
	if testing.Short() {
		n = min(n, 20)
	}
	for range n {
		agree(t, random(rnd))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// random makes a program of two or three threads.
func random(rnd *rand.Rand) litmus {
	threads, ops := 2, 4
	words := "xyz"[:2+rnd.IntN(2)]
	if rnd.IntN(2) == 0 {
		threads, ops = 3, 2
	}
	reg, val := 'a', 0
	var all []string
	for range threads {
		var one []string
		for range ops + rnd.IntN(2) {
			w := string(words[rnd.IntN(len(words))])
			switch k := rnd.IntN(12); {
			case k < 5 && val < 4:
				val++
				s := fmt.Sprintf("%s=%d", w, val)
				if rnd.IntN(3) == 0 {
					s += "R"
				}
				one = append(one, s)
			case k == 5 && val < 4:
				val++
				one = append(one, fmt.Sprintf("%c=%s<%d", reg, w, val))
				reg++
			case k < 10 && reg < 'e':
				s := fmt.Sprintf("%c=%s", reg, w)
				if rnd.IntN(3) == 0 {
					s += "A"
				}
				reg++
				one = append(one, s)
			default:
				one = append(one, string("FSL"[rnd.IntN(3)]))
			}
		}
		all = append(all, strings.Join(one, "; "))
	}
	// The last values of the words that occur.
	var final []string
	for _, w := range words {
		if strings.ContainsRune(strings.Join(all, ";"), w) && rnd.IntN(4) != 0 {
			final = append(final, string(w))
		}
	}
	return litmus{program: strings.Join(all, " || "), final: strings.Join(final, " ")}
}
