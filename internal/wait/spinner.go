package wait

// Spinner is what comes before a sleep that is not a Sleeper's: a bounded
// look again and again, which learns whether it pays. The zero Spinner is
// ready. It must not be copied.
type Spinner struct{ s spinner }

// Spin looks until ready says yes, which it reports, or until looking longer
// would cost more than to sleep. It does not look at all where that has
// proved useless. ready must not block. In a crowd it lets others run first.
func (s *Spinner) Spin(c *Crowd, ready func() bool) bool {
	if c.members.Load() > int64(processors.ours()) {
		done, others := s.s.giveWay(c, ready)
		if done || others {
			return done
		}
	}
	return s.s.spin(ready)
}

// Counts are the spins that spared a sleep, and those for nothing.
func (s *Spinner) Counts() (hits, misses uint64) { return s.s.hits.Load(), s.s.misses.Load() }
