package explore

import "encoding/binary"

// state is the memory, as a history of stores in the order in which they became
// visible, and where each thread stands in its program and in that history.
//
// A moment in the history is a number: 0 is the beginning, i+1 is when log[i]
// became visible. Only what a thread can still tell apart is kept, see tidy.
type state struct {
	base    []uint64 // what the words hold at moment 0
	log     []visible
	threads []place
	running int  // the thread that alone may move, or -1; see successors
	ending  bool // nothing becomes visible any more
}

// visible is a store that has become visible.
type visible struct {
	loc, by int
	val     uint64
}

// place is where a thread stands. Loads are satisfied at a moment between since
// and now.
type place struct {
	node    int32
	asleep  int       // 1 + the word that it sleeps on
	since   int       // no later load is satisfied before this moment
	loaded  int       // the latest moment of a load so far
	stored  int       // the latest moment of an own store
	release int       // the same of release stores
	seen    []int     // for each word the moment of the store that was seen last
	pending []pending // stores that are not visible yet, in the program's order
	fenced  bool      // a store fence stands behind the last of them
	early   []early   // stores that are visible before the program comes to them

	// wrote says that no fence stands behind the last store, loadedSince that
	// a load does: see explorer.mayLoad.
	wrote, loadedSince bool
}

// pending is a store that is not visible yet.
type pending struct {
	loc     int
	val     uint64
	release bool
	fences  int  // how many store fences stand before it
	late    bool // a load behind it was done since this thread runs alone; with barriers: anything
}

// early is a store that is visible already. crossed says that the thread has
// come to another store since.
type early struct {
	loc     int
	val     uint64
	moment  int // when it became visible; loads before it in the program saw what was before
	crossed bool
}

func (st *state) now() int { return len(st.log) }

// newest gives what the word holds now.
func (st *state) newest(loc int) uint64 {
	for i := len(st.log) - 1; i >= 0; i-- {
		if st.log[i].loc == loc {
			return st.log[i].val
		}
	}
	return st.base[loc]
}

// at gives what became visible of a word at that moment.
func (st *state) at(loc, moment int) (v uint64, by int) {
	if moment == 0 {
		return st.base[loc], -1
	}
	return st.log[moment-1].val, st.log[moment-1].by
}

// oldest gives the moment of the oldest store to loc that a load may see which
// is satisfied at the moment from or later.
func (st *state) oldest(p *place, loc, from int) int {
	o := p.seen[loc]
	for i := from; i > o; i-- {
		if st.log[i-1].loc == loc {
			return i
		}
	}
	return o
}

// readable appends the moments of the stores that such a load may see: none
// that came after an own store to the word which stands behind it in the
// program, and if it acquires after any own store that does.
func (st *state) readable(into []int, p *place, loc, from int, acquire bool) []int {
	end := len(st.log)
	for k := range p.early {
		if e := &p.early[k]; acquire || e.loc == loc {
			end = min(end, e.moment-1)
		}
	}
	if acquire && from > end {
		return into
	}
	o := st.oldest(p, loc, from)
	if o > end {
		return into
	}
	into = append(into, o)
	for i := o; i < end; i++ {
		if st.log[i].loc == loc {
			into = append(into, i+1)
		}
	}
	return into
}

// forward finds the newest own store to loc that is not visible yet.
func (p *place) forward(loc int) (v uint64, ok bool) {
	for i := len(p.pending) - 1; i >= 0; i-- {
		if p.pending[i].loc == loc {
			return p.pending[i].val, true
		}
	}
	return 0, false
}

// ready reports whether a pending store may become visible.
func (p *place) ready(i int) bool {
	e := &p.pending[i]
	for _, before := range p.pending[:i] {
		if e.release || before.loc == e.loc || before.fences < e.fences {
			return false
		}
	}
	return true
}

// append encodes a tidy state.
func (st *state) append(b []byte) []byte {
	num := func(v uint64) { b = binary.AppendUvarint(b, v) }
	flags := uint64(st.running+1) << 1
	if st.ending {
		flags |= 1
	}
	num(flags)
	for _, v := range st.base {
		num(v)
	}
	num(uint64(len(st.log)))
	for _, m := range st.log {
		b = append(b, byte(m.loc), byte(m.by))
		num(m.val)
	}
	for i := range st.threads {
		p := &st.threads[i]
		num(uint64(p.node))
		num(uint64(p.asleep))
		num(uint64(p.since))
		num(uint64(p.loaded))
		num(uint64(p.stored))
		num(uint64(p.release))
		for loc, m := range p.seen {
			if m != 0 {
				b = append(b, byte(loc)+1)
				num(uint64(m))
			}
		}
		b = append(b, 0)
		b = p.appendPending(b)
		num(uint64(len(p.early)))
		for _, e := range p.early {
			bits := byte(0)
			if e.crossed {
				bits = 1
			}
			b = append(b, byte(e.loc), bits)
			num(e.val)
			num(uint64(e.moment))
		}
	}
	return b
}

// read decodes what append has written into st, whose slices it uses again.
func (st *state) read(b []byte) {
	num := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	flags := num()
	st.running, st.ending = int(flags>>1)-1, flags&1 != 0
	for i := range st.base {
		st.base[i] = num()
	}
	st.log = st.log[:0]
	for n := num(); n > 0; n-- {
		m := visible{loc: int(b[0]), by: int(b[1])}
		b = b[2:]
		m.val = num()
		st.log = append(st.log, m)
	}
	for i := range st.threads {
		p := &st.threads[i]
		p.node = int32(num())
		p.asleep, p.since, p.loaded, p.stored, p.release = int(num()), int(num()), int(num()), int(num()), int(num())
		clear(p.seen)
		for b[0] != 0 {
			loc := b[0] - 1
			b = b[1:]
			p.seen[loc] = int(num())
		}
		b = b[1:]
		p.pending = p.pending[:0]
		n := num()
		p.fenced = n&1 != 0
		p.wrote, p.loadedSince = b[0]&1 != 0, b[0]&2 != 0
		b = b[1:]
		for n >>= 1; n > 0; n-- {
			e := pending{loc: int(b[0]), release: b[1]&1 != 0, late: b[1]&2 != 0, fences: int(b[1] >> 2)}
			b = b[2:]
			e.val = num()
			p.pending = append(p.pending, e)
		}
		p.early = p.early[:0]
		for n := num(); n > 0; n-- {
			e := early{loc: int(b[0]), crossed: b[1] != 0}
			b = b[2:]
			e.val, e.moment = num(), int(num())
			p.early = append(p.early, e)
		}
	}
}

func (p *place) flags() (bits byte) {
	if p.wrote {
		bits |= 1
	}
	if p.loadedSince {
		bits |= 2
	}
	return bits
}

// appendPending adds the stores that are still to become visible, and what is
// beside them.
func (p *place) appendPending(b []byte) []byte {
	n := uint64(len(p.pending)) << 1
	if p.fenced {
		n |= 1
	}
	b = append(binary.AppendUvarint(b, n), p.flags())
	for _, e := range p.pending {
		bits := e.fences << 2
		if e.release {
			bits |= 1
		}
		if e.late {
			bits |= 2
		}
		b = binary.AppendUvarint(append(b, byte(e.loc), byte(bits)), e.val)
	}
	return b
}
