package explore

import (
	"fmt"
	"slices"
)

// op is one operation of a thread.
type op struct {
	kind     opKind
	strong   bool // acquire, release
	loc      int
	val, old uint64
	label    string
}

type opKind uint8

const (
	opDone opKind = iota
	opLoad
	opStore
	opFullFence
	opStoreFence
	opLoadFence
	opSwap
	opCAS
	opAdd
	opWait
	opWake
	opBarrier
	opChoose
)

// program is a thread as a graph that grows while it is explored: a node is
// where a thread stands, with one operation, and its edges are the values that
// the operation can give. So a round is run once for each way through it, not
// once for each state of the system.
type program struct {
	name  string
	start any
	round func(t *Thread, local any) (after any, more bool)

	nodes []node
	begun map[beginning]int32 // nodes at which rounds begin
}

// beginning is all that a thread takes into a round.
type beginning struct {
	local any
	notes string
	fail  string
}

type node struct {
	beginning
	log  []uint64 // of this round
	op   op
	note string // notes so far
	bad  string // the assertion that has failed
	next []edge
}

type edge struct {
	val uint64
	to  int32
}

// first gives the node at which the thread begins.
func (p *program) first() int32 {
	if p.begun == nil {
		p.begun = make(map[beginning]int32)
	}
	return p.node(beginning{local: p.start}, nil)
}

// after gives the node behind the operation of a node that has given val.
func (p *program) after(at int32, val uint64) int32 {
	n := &p.nodes[at]
	for _, e := range n.next {
		if e.val == val {
			return e.to
		}
	}
	to := p.node(n.beginning, append(slices.Clip(n.log), val))
	n = &p.nodes[at]
	n.next = append(n.next, edge{val, to})
	return to
}

func (p *program) node(b beginning, log []uint64) int32 {
	var begun []beginning
	id := int32(-1)
	for id < 0 {
		if len(log) == 0 {
			if known, ok := p.begun[b]; ok {
				id = known
				break
			}
			if slices.Contains(begun, b) {
				panic(fmt.Sprintf("explore: thread %s goes round without an operation", p.name))
			}
			begun = append(begun, b)
		}
		t := &Thread{log: log, notes: b.notes, fail: b.fail}
		local, more, ended := p.run(t, b.local)
		switch {
		case ended && t.at < len(log):
			panic(fmt.Sprintf("explore: thread %s does not do the same again", p.name))
		case ended && more:
			b, log = beginning{local, t.notes, t.fail}, nil
		case ended:
			end := beginning{nil, t.notes, t.fail}
			known, ok := p.begun[end]
			if !ok {
				known = p.add(node{beginning: end, note: t.notes, bad: t.fail})
				p.begun[end] = known
			}
			id = known
		default:
			id = p.add(node{beginning: b, log: log, op: t.op, note: t.notes, bad: t.fail})
		}
	}
	for _, b := range begun {
		p.begun[b] = id
	}
	return id
}

func (p *program) add(n node) int32 {
	p.nodes = append(p.nodes, n)
	return int32(len(p.nodes) - 1)
}

// run runs a round as far as it is known; not ended: t.op comes next.
func (p *program) run(t *Thread, local any) (after any, more, ended bool) {
	defer func() {
		if e := recover(); e != nil {
			if _, is := e.(stop); !is {
				panic(e)
			}
		}
	}()
	after, more = p.round(t, local)
	return after, more, true
}
