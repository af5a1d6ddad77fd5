package explore

import "math"

// tidy forgets what no thread can tell any more, so that states which differ in
// nothing else become one: stores that nobody can see, moments between which
// nothing lies, what a finished thread has seen.
func (x *explorer) tidy() {
	st := &x.cur
	// all is the moment that no thread goes behind any more.
	all := math.MaxInt
	for i := range st.threads {
		if p := &st.threads[i]; !x.done(i) {
			all = min(all, p.since)
		}
	}
	keep := x.kept[:0]
	for range st.log {
		keep = append(keep, false)
	}
	x.kept = keep
	for loc := range st.base {
		from := math.MaxInt
		for i := range st.threads {
			if p := &st.threads[i]; x.readers[loc]>>i&1 != 0 && !x.done(i) {
				from = min(from, st.oldest(p, loc, p.since))
			}
		}
		if x.final>>loc&1 != 0 {
			for i := len(st.log); i > 0 && from > i; i-- {
				if st.log[i-1].loc == loc {
					from = i
				}
			}
			if from == math.MaxInt {
				from = 0
			}
		}
		if from == math.MaxInt {
			st.base[loc] = 0
			continue
		}
		for i := max(from, 1); i <= len(st.log); i++ {
			if st.log[i-1].loc == loc {
				keep[i-1] = true
			}
		}
		if from > 0 {
			st.base[loc] = 0
			if from <= all {
				// Whoever sees it learns nothing of the time.
				st.base[loc] = st.log[from-1].val
				keep[from-1] = false
			}
		}
	}
	// moment[i] is what the old moment i is now.
	moment := append(x.moment[:0], 0)
	log := st.log[:0]
	for i, m := range st.log {
		if keep[i] {
			log = append(log, m)
		}
		moment = append(moment, len(log))
	}
	x.moment = moment
	st.log = log
	for i := range st.threads {
		p := &st.threads[i]
		if x.done(i) {
			p.since, p.loaded, p.stored, p.release = 0, 0, 0, 0
			clear(p.seen)
			continue
		}
		since := moment[p.since]
		later := func(m int) int {
			if m = moment[m]; m > since {
				return m
			}
			return 0
		}
		p.loaded, p.stored, p.release = later(p.loaded), later(p.stored), later(p.release)
		for loc, m := range p.seen {
			if m == 0 {
				continue
			}
			if x.readers[loc]>>i&1 == 0 {
				m = 0
			}
			p.seen[loc] = later(m)
		}
		for k := range p.early {
			p.early[k].moment = moment[p.early[k].moment]
		}
		p.since = since
		// Numbers of fences count only where they differ.
		last, n := -1, -1
		for k := range p.pending {
			if e := &p.pending[k]; e.fences != last {
				last = e.fences
				n++
				e.fences = n
			} else {
				e.fences = n
			}
		}
	}
}
