package explore

// move is one step of a thread that others may notice, or one of several that
// it may do. Everything else is done at once, by settle.
type move struct {
	thread int
	kind   moveKind
	arg    int // a moment, an index, a choice
}

type moveKind uint8

const (
	moveLoad   moveKind = iota // arg: the moment of the store that is seen, or forwarded
	moveChoose                 // arg: the choice
	moveShow                   // arg: which pending store becomes visible
	moveEarly                  // arg: which of those that may be early
	moveWhole                  // what is one step and a full fence
)

// forwarded is the argument of a load that sees an own store which is not
// visible yet.
const forwarded = 1<<24 - 1

func (m move) pack() uint32 { return uint32(m.thread)<<28 | uint32(m.kind)<<24 | uint32(m.arg) }

func unpack(v uint32) move { return move{int(v >> 28), moveKind(v >> 24 & 15), int(v & (1<<24 - 1))} }

// successors appends the moves that are possible in the present state.
//
// Nobody notices a load; so loads can be put off until just before the next
// store of their thread that becomes visible. Once a thread has loaded something it
// therefore runs alone until one of its stores, behind that load in its
// program, is visible, or until its end. The others go on from there; after an
// end without such a store only other ends may follow. Where a store behind the
// load is visible already, early, there is nothing to wait for. A thread that never
// stores anything begins when the others are through.
func (x *explorer) successors(into []move) []move {
	st := &x.cur
	quiet := true // nothing can become visible any more
	for i := range st.threads {
		if p := &st.threads[i]; x.writers>>i&1 != 0 && (len(p.pending) > 0 || !x.done(i) && p.asleep == 0) {
			quiet = false
		}
	}
	looks := false // a thread that never stores is on its way
	for i := range st.threads {
		if st.running >= 0 && st.running != i {
			continue
		}
		p := &st.threads[i]
		if x.writers>>i&1 == 0 && !x.done(i) && !x.barriers {
			if !quiet || looks {
				continue
			}
			looks = true
		}
		if !st.ending {
			for k := range p.pending {
				if p.ready(k) && (!p.pending[k].late || x.barriers) {
					into = append(into, move{i, moveShow, k})
				}
			}
		}
		if p.asleep != 0 {
			continue
		}
		o := x.op(i)
		switch o.kind {
		case opLoad:
			if !x.mayLoad(i, o) {
				if !st.ending && !x.opts.NotEarly {
					into = x.mayEarly(into, i)
				}
				continue
			}
			if _, ok := p.forward(o.loc); ok {
				into = append(into, move{i, moveLoad, forwarded})
			} else {
				x.moments = st.readable(x.moments[:0], p, o.loc, x.earliest(p, o), o.strong)
				for _, m := range x.moments {
					into = append(into, move{i, moveLoad, m})
				}
			}
			if !st.ending && !x.opts.NotEarly {
				into = x.mayEarly(into, i)
			}
		case opChoose:
			if !x.mayLoad(i, o) {
				continue
			}
			for c := range int(o.val) {
				into = append(into, move{i, moveChoose, c})
			}
		case opBarrier:
			if len(p.pending) == 0 && !st.ending && x.between() {
				into = append(into, move{i, moveWhole, 0})
			}
		case opSwap, opCAS, opAdd, opWait, opWake:
			if len(p.pending) == 0 && !st.ending {
				into = append(into, move{i, moveWhole, 0})
			}
		}
	}
	return into
}

// mayLoad reports whether a thread may go on to a load. Where none of its stores
// can become visible before those that it came to earlier, it waits until those
// are: it can see as much then, and nobody misses anything.
func (x *explorer) mayLoad(thread int, o *op) bool {
	p := &x.cur.threads[thread]
	if x.passers>>thread&1 == 0 {
		return len(p.pending) == 0
	}
	return !(o.strong && x.ordered && p.releases())
}

// between reports whether every thread stands between what it has done and what
// it has not: nothing was done behind a store that is not visible, and no store before
// its turn.
func (x *explorer) between() bool {
	for i := range x.cur.threads {
		p := &x.cur.threads[i]
		if len(p.early) > 0 {
			return false
		}
		for k := range p.pending {
			if p.pending[k].late {
				return false
			}
		}
	}
	return true
}

// releases reports whether a release store is not visible yet.
func (p *place) releases() bool {
	for i := range p.pending {
		if p.pending[i].release {
			return true
		}
	}
	return false
}

// earliest is the moment before which a load is not satisfied.
func (x *explorer) earliest(p *place, o *op) int {
	if o.strong && x.ordered {
		return max(p.since, p.release)
	}
	return p.since
}

// apply does a move. False: it leads nowhere.
func (x *explorer) apply(m move) bool {
	st := &x.cur
	p := &st.threads[m.thread]
	o := x.op(m.thread)
	x.shown = -1
	switch m.kind {
	case moveLoad:
		x.load(m, p, o)
	case moveChoose:
		x.note(m, "chooses %d", m.arg)
		x.step(m.thread, uint64(m.arg))
		x.runAlone(m.thread)
	case moveShow:
		e := p.pending[m.arg]
		x.note(m, "%s = %s becomes visible", x.sys.words[e.loc], x.sys.words[e.loc].value(e.val))
		if x.barriers {
			for k := range p.pending[:m.arg] {
				p.pending[k].late = true
			}
		}
		p.pending = append(p.pending[:m.arg], p.pending[m.arg+1:]...)
		x.show(m.thread, e.loc, e.val)
		if e.release {
			p.release = st.now()
		}
	case moveEarly:
		x.early = x.early[:0]
		x.ahead(m.thread, nil)
		e := x.early[m.arg]
		x.note(m, "%s = %s becomes visible, early", x.sys.words[e.loc], x.sys.words[e.loc].value(e.val))
		seen := p.seen[e.loc]
		x.show(m.thread, e.loc, e.val)
		p.seen[e.loc], e.moment = seen, st.now()
		p.early = append(p.early, e)
	case moveWhole:
		x.whole(m, p, o)
	}
	return x.settle()
}

// load sees a store, and learns as much of the time as it must.
func (x *explorer) load(m move, p *place, o *op) {
	st := &x.cur
	w := x.sys.words[o.loc]
	from := x.earliest(p, o)
	v, fwd := p.forward(o.loc)
	moment := p.since
	if !fwd {
		var by int
		v, by = st.at(o.loc, m.arg)
		if by != m.thread {
			moment = max(from, m.arg)
		} else if o.strong {
			moment = from
		}
		p.seen[o.loc] = m.arg
	}
	p.loaded = max(p.loaded, moment)
	if x.trace != nil {
		name, rest := "Load64", ""
		if o.strong {
			name = "LoadAcquire64"
		}
		if fwd {
			rest = " (its own, not visible yet)"
		} else if now := st.newest(o.loc); st.oldest(p, o.loc, st.now()) != m.arg {
			rest = " (before " + w.value(now) + ")"
		}
		x.note(m, "%s %s: %s%s", name, w, w.value(v), rest)
	}
	if o.strong {
		p.since = max(p.since, moment)
	}
	x.step(m.thread, v)
	x.runAlone(m.thread)
}

// runAlone notes that a load was done: the thread runs alone, and what it
// stored before does not become visible before a store behind the load.
func (x *explorer) runAlone(thread int) {
	p := &x.cur.threads[thread]
	p.loadedSince = p.loadedSince || p.wrote
	if len(p.early) > 0 {
		return // a store behind the load is visible already
	}
	if !x.barriers {
		x.cur.running = thread
	}
	for i := range p.pending {
		p.pending[i].late = true
	}
}

// show makes a store visible, which ends that the thread runs alone.
func (x *explorer) show(thread, loc int, v uint64) {
	x.shown = thread
	st := &x.cur
	p := &st.threads[thread]
	if x.noticed(thread, loc) {
		st.log = append(st.log, visible{loc, thread, v})
		p.seen[loc] = st.now()
		p.stored = st.now()
	} else {
		st.base[loc] = v
	}
	x.rest(thread)
}

// noticed reports whether it makes a difference when a store of the thread
// becomes visible.
func (x *explorer) noticed(thread, loc int) bool {
	others := uint64(1)<<thread ^ ^uint64(0)
	return x.final>>loc&1 != 0 || x.readers[loc]&others != 0 || x.readers[loc] != 0 && x.storers[loc]&others != 0
}

func (x *explorer) rest(thread int) {
	p := &x.cur.threads[thread]
	x.cur.running = -1
	for i := range p.pending {
		p.pending[i].late = p.pending[i].late && x.barriers
	}
}

// fence puts everything that comes later behind everything that was.
func (p *place) fence() {
	p.since = max(p.since, p.loaded, p.stored)
	p.wrote, p.loadedSince = false, false
}

// keep notes that it makes a difference when a thread loaded or stored last.
func (x *explorer) keep(thread int, loaded, stored bool) {
	if loaded {
		x.learn(&x.keepLoaded, thread)
	}
	if stored {
		x.learn(&x.keepStored, thread)
	}
}

// whole does an operation that is one step and a full fence.
func (x *explorer) whole(m move, p *place, o *op) {
	st := &x.cur
	if o.kind == opBarrier {
		x.note(m, "Membarrier")
		for i := range st.threads {
			st.threads[i].fence()
			st.threads[i].since = st.now()
		}
		x.step(m.thread, 0)
		return
	}
	w := x.sys.words[o.loc]
	if len(p.early) > 0 {
		x.dead = true
	}
	x.read(m.thread, o.loc)
	p.fence()
	v := st.newest(o.loc)
	switch o.kind {
	case opSwap:
		x.note(m, "Swap64 %s: %s -> %s", w, w.value(v), w.value(o.val))
		x.show(m.thread, o.loc, o.val)
	case opAdd:
		v += o.val
		x.note(m, "Add64 %s: %s", w, w.value(v))
		x.show(m.thread, o.loc, v)
	case opCAS:
		if v != o.old {
			x.note(m, "CompareAndSwap64 %s: is %s, not %s", w, w.value(v), w.value(o.old))
			v = 0
			break
		}
		x.note(m, "CompareAndSwap64 %s: %s -> %s", w, w.value(v), w.value(o.val))
		x.show(m.thread, o.loc, o.val)
		v = 1
	case opWait:
		if v == o.val {
			x.note(m, "FutexWait %s = %s: falls asleep", w, w.value(v))
			p.asleep = 1 + o.loc
			p.since = st.now()
			x.rest(m.thread)
			return
		}
		x.note(m, "FutexWait %s = %s: is %s, goes on", w, w.value(o.val), w.value(v))
		v = 0
	case opWake:
		v = 0
		for i := range st.threads {
			if q := &st.threads[i]; q.asleep == 1+o.loc {
				q.asleep = 0
				x.step(i, 1)
				v++
			}
		}
		x.note(m, "FutexWake %s: wakes %d", w, v)
	}
	p.since = st.now()
	x.step(m.thread, v)
	x.rest(m.thread)
}

// settle lets every thread do what nobody notices and what can be done in one
// way only. False: the state leads nowhere.
func (x *explorer) settle() bool {
	for i := range x.cur.threads {
		x.local(i)
	}
	st := &x.cur
	if r := st.running; r >= 0 && x.done(r) && len(st.threads[r].pending) == 0 {
		st.running = -1
		st.ending = true
	}
	for i := range st.threads {
		p := &st.threads[i]
		if st.ending && len(p.pending) > 0 {
			return false
		}
		if len(p.early) > 0 && !x.dead && !x.ahead(i, p.early) {
			return false // what was early would never come
		}
	}
	return !x.dead
}

// local does the operations of a thread that nobody notices.
func (x *explorer) local(i int) {
	st := &x.cur
	p := &st.threads[i]
	m := move{thread: i}
	for p.asleep == 0 {
		o := x.op(i)
		switch o.kind {
		case opStore:
			x.write(i, o.loc)
			if !o.strong {
				x.learn(&x.plainStores, i)
			}
			x.stores(m, p, o)
		case opStoreFence:
			for _, e := range p.early {
				if e.crossed {
					x.dead = true
				}
			}
			x.note(m, "StoreFence")
			p.fenced = len(p.pending) > 0
			p.wrote, p.loadedSince = false, false
		case opLoadFence:
			x.note(m, "LoadFence")
			if len(p.early) > 0 {
				x.dead = true
			}
			x.keep(i, true, false)
			p.since = max(p.since, p.loaded)
		case opFullFence:
			if len(p.pending) > 0 {
				return
			}
			x.note(m, "FullFence")
			if len(p.early) > 0 {
				x.dead = true
			}
			// A store that became visible just now is later than all else.
			x.keep(i, x.shown != i, x.shown != i)
			p.fence()
		case opDone:
			if len(p.early) > 0 {
				x.dead = true
			}
			return
		case opLoad:
			x.read(i, o.loc)
			if !o.strong {
				x.learn(&x.plainLoads, i)
			}
			return
		case opChoose:
			return
		case opBarrier:
			x.write(i, -1)
			if !x.barriers {
				x.barriers, x.again = true, true
			}
			return
		default:
			x.write(i, o.loc)
			x.read(i, o.loc)
			return
		}
		x.step(i, 0)
		if x.dead {
			return
		}
	}
}

// stores puts a store behind the pending ones, or finds that it was early.
func (x *explorer) stores(m move, p *place, o *op) {
	for k, e := range p.early {
		if e.loc == o.loc {
			if e.val != o.val || o.strong {
				x.dead = true
			}
			p.seen[o.loc] = max(p.seen[o.loc], e.moment)
			p.early = append(p.early[:k], p.early[k+1:]...)
			x.note(m, "(here is the store %s = %s)", x.sys.words[o.loc], x.sys.words[o.loc].value(o.val))
			return
		}
	}
	for k := range p.early {
		p.early[k].crossed = true
	}
	if !o.strong && p.loadedSince {
		x.learn(&x.passers, m.thread)
	}
	p.wrote = true
	e := pending{loc: o.loc, val: o.val, release: o.strong}
	if n := len(p.pending); n > 0 {
		e.fences = p.pending[n-1].fences
		if p.fenced {
			e.fences++
		}
	}
	p.fenced = false
	name := "Store64"
	if o.strong {
		name = "StoreRelease64"
	}
	x.note(m, "%s %s = %s", name, x.sys.words[o.loc], x.sys.words[o.loc].value(o.val))
	p.pending = append(p.pending, e)
	if len(p.pending) > mostPending {
		panic("explore: thread " + x.sys.threads[m.thread].name + " stores on and on without waiting for anything")
	}
}

const mostPending = 48

// learn notes something about a thread. What was explored before that was known
// is explored again.
func (x *explorer) learn(set *uint64, thread int) {
	if *set>>thread&1 == 0 {
		*set |= 1 << thread
		x.again = true
	}
}

// read learns that a thread looks at a word.
func (x *explorer) read(thread, loc int) { x.learn(&x.readers[loc], thread) }

// write learns that a thread does something that others notice: it stores to a
// word, or loc is -1.
func (x *explorer) write(thread, loc int) {
	if loc >= 0 {
		x.learn(&x.storers[loc], thread)
	}
	x.learn(&x.writers, thread)
}
