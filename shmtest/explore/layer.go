package explore

import "iter"

// layer is a list of states that are to be looked at, encoded one behind the
// other.
type layer struct {
	text []byte
	ends []int
	ids  []int
}

func (l *layer) len() int { return len(l.ids) }

func (l *layer) add(id int, text []byte) {
	l.text = append(l.text, text...)
	l.ends = append(l.ends, len(l.text))
	l.ids = append(l.ids, id)
}

func (l *layer) all() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		from := 0
		for i, id := range l.ids {
			if !yield(id, l.text[from:l.ends[i]]) {
				return
			}
			from = l.ends[i]
		}
	}
}

// set is a set of states, of which it keeps 128 bits each: that two of a
// billion states agree in them has a probability below 10^-20.
type set struct {
	slots [][2]uint64 // a power of two; zero is free
	n     int
}

func (s *set) reset() {
	s.slots, s.n = make([][2]uint64, 1<<12), 0
}

// add reports whether h is new.
func (s *set) add(h [2]uint64) bool {
	h[1] |= 1
	if s.n*4 > len(s.slots)*3 {
		old := s.slots
		s.slots = make([][2]uint64, 2*len(old))
		for _, h := range old {
			if h[1] != 0 {
				s.slots[s.find(h)] = h
			}
		}
	}
	i := s.find(h)
	if s.slots[i] == h {
		return false
	}
	s.slots[i] = h
	s.n++
	return true
}

func (s *set) find(h [2]uint64) int {
	mask := uint64(len(s.slots) - 1)
	for i := h[0] & mask; ; i = (i + 1) & mask {
		if s.slots[i][1] == 0 || s.slots[i] == h {
			return int(i)
		}
	}
}
