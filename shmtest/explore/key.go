package explore

import "encoding/binary"

// key encodes what the present state is to its threads, each by itself: what it
// can see of the history, in order, and where it stands in that. In which order
// two stores became visible is no difference where no thread looks at both.
// What happens next depends on nothing else, so states with equal keys are one.
func (x *explorer) key(b []byte) []byte {
	st := &x.cur
	num := func(v uint64) { b = binary.AppendUvarint(b, v) }
	b = append(b, byte(st.running+1))
	if st.ending {
		b = append(b, 1)
	}
	for _, w := range x.sys.final {
		num(st.newest(w.loc))
	}
	for i := range st.threads {
		p := &st.threads[i]
		num(uint64(p.node))
		num(uint64(p.asleep))
		b = p.appendPending(b)
		if x.done(i) {
			continue
		}
		oldest := x.oldest[:0]
		for loc := range st.base {
			o := len(st.log) + 1
			if x.readers[loc]>>i&1 != 0 {
				o = st.oldest(p, loc, p.since)
				if o <= p.since {
					v, _ := st.at(loc, o)
					num(v + 1)
				} else {
					num(0)
				}
			}
			oldest = append(oldest, o)
		}
		x.oldest = oldest
		// moment[m-since] is moment m for this thread.
		moment, at := append(x.moment[:0], 0), 0
		for m := p.since + 1; m <= len(st.log); m++ {
			if e := &st.log[m-1]; m >= oldest[e.loc] {
				own := byte(0)
				if e.by == i {
					own = 128
				}
				b = append(b, byte(e.loc)+1|own)
				num(e.val)
				at++
			}
			moment = append(moment, at)
		}
		x.moment = moment
		b = append(b, 0)
		later := func(m int) {
			if m <= p.since {
				num(0)
			} else {
				num(uint64(moment[m-p.since]))
			}
		}
		if x.keepLoaded>>i&1 != 0 {
			later(p.loaded)
		}
		if x.keepStored>>i&1 != 0 {
			later(p.stored)
		}
		if x.ordered {
			later(p.release)
		}
		num(uint64(len(p.early)))
		for _, e := range p.early {
			bits := byte(0)
			if e.crossed {
				bits = 1
			}
			b = append(b, byte(e.loc), bits)
			num(e.val)
			later(e.moment)
		}
	}
	return b
}
