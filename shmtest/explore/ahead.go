package explore

// A processor may make a store visible before loads that stand before it in the
// program, where nothing orders the two and where it will be stored whatever
// the loads give: then it does not depend on them. What is asked here is
// weaker, whether it will be stored for some values that the loads can give
// now; the thread must come to it in the end.

// aheadMost is how many operations ahead is looked.
const aheadMost = 24

// mayEarly appends a move for each store that may become visible early.
func (x *explorer) mayEarly(into []move, thread int) []move {
	if x.plainLoads&x.plainStores>>thread&1 == 0 {
		return into // it has nothing that passes, or nothing to be passed
	}
	x.early = x.early[:0]
	x.ahead(thread, nil)
	for k := range x.early {
		into = append(into, move{thread, moveEarly, k})
	}
	return into
}

// ahead looks at what the thread can come to. With want it reports whether it
// can come to all of these stores; without it collects in x.early those that
// may become visible now.
func (x *explorer) ahead(thread int, want []early) bool {
	p := &x.cur.threads[thread]
	l := lookahead{x: x, thread: thread, p: p, certify: want != nil, seen: make(map[crossing]int)}
	var left [8]early
	n := copy(left[:], p.early)
	before := len(p.pending)
	fenced := before > 0 && (p.fenced || p.pending[0].fences < p.pending[before-1].fences)
	return l.walk(p.node, left[:n], false, 0, before > 0, fenced, aheadMost)
}

type lookahead struct {
	x       *explorer
	thread  int
	p       *place
	certify bool
	stored  []early // stores on the way, for loads behind them

	released bool // one of them was a release

	seen map[crossing]int // how many operations were still allowed there
}

// crossing is all that the way behind it depends on.
type crossing struct {
	node                     int32
	left                     int
	loads                    bool
	stores, stored           uint64
	before, fenced, released bool
}

// walk goes on from a node. left are the early stores that it has not come to;
// loads says that there were plain loads on the way, stores are the words on the way; before says that a store on the
// way or before it is not visible, fenced that a store fence stands behind it.
func (l *lookahead) walk(at int32, left []early, loads bool, stores uint64, before, fenced bool, most int) bool {
	if l.certify && len(left) == 0 {
		return true
	}
	key := crossing{node: at, left: len(left), loads: loads, stores: stores, before: before, fenced: fenced, released: l.released}
	for _, e := range l.stored {
		key.stored = (key.stored ^ (uint64(e.loc)<<56 ^ e.val)) * 0x9e3779b97f4a7c15
	}
	if most <= l.seen[key] {
		return false // it came here with no less to go
	}
	l.seen[key] = most
	x := l.x
	prog := x.sys.threads[l.thread]
	o := x.weaken(prog.nodes[at].op)
	switch o.kind {
	case opLoad:
		x.read(l.thread, o.loc)
		if o.strong && x.ordered && (l.p.releases() || l.released) {
			return false
		}
		// Who acquires is satisfied before the store all the same.
		loads = loads || !o.strong
		for i := len(l.stored) - 1; i >= 0; i-- {
			if l.stored[i].loc == o.loc {
				return l.walk(prog.after(at, l.stored[i].val), left, loads, stores, before, fenced, most-1)
			}
		}
		if v, ok := l.p.forward(o.loc); ok {
			return l.walk(prog.after(at, v), left, loads, stores, before, fenced, most-1)
		}
		for _, m := range x.cur.readable(nil, l.p, o.loc, l.p.since, o.strong) {
			v, _ := x.cur.at(o.loc, m)
			if l.walk(prog.after(at, v), left, loads, stores, before, fenced, most-1) {
				return true
			}
		}
		return false
	case opChoose:
		for c := range o.val {
			if l.walk(prog.after(at, c), left, loads, stores, before, fenced, most-1) {
				return true
			}
		}
		return false
	case opStore:
		if k := find(left, o.loc); k >= 0 {
			if left[k].val != o.val || o.strong {
				return false
			}
			rest := append(append([]early(nil), left[:k]...), left[k+1:]...)
			l.stored = append(l.stored, left[k])
			found := l.walk(prog.after(at, 0), rest, loads, stores, before, fenced, most-1)
			l.stored = l.stored[:len(l.stored)-1]
			return found
		}
		if !l.certify && !o.strong && loads && stores>>o.loc&1 == 0 && !fenced && x.noticed(l.thread, o.loc) && len(l.p.early) < 8 {
			e := early{loc: o.loc, val: o.val}
			if _, ok := l.p.forward(o.loc); !ok && find(x.early, o.loc) < 0 {
				x.early = append(x.early, e)
			} else if k := find(x.early, o.loc); !ok && x.early[k].val != o.val {
				x.early = append(x.early, e)
			}
		}
		n, released := len(l.stored), l.released
		l.stored = append(l.stored, early{loc: o.loc, val: o.val})
		l.released = released || o.strong
		found := l.walk(prog.after(at, 0), left, loads, stores|1<<o.loc, true, fenced, most-1)
		l.stored, l.released = l.stored[:n], released
		return found
	case opStoreFence:
		return l.walk(prog.after(at, 0), left, loads, stores, before, fenced || before, most-1)
	}
	return false
}

func find(list []early, loc int) int {
	for i := range list {
		if list[i].loc == loc {
			return i
		}
	}
	return -1
}
