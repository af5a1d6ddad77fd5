package wait

// creditMost is how many failures in a row it takes to unlearn.
const creditMost = 8

// way is a way of waiting that can be learned.
type way struct {
	// probe is how many waits in a row are tried when it did not pay before.
	probe int
	// restFirst and restMost are how many waits lie between two such tries.
	// They double, so that in the end tries take little of each wait.
	restFirst, restMost int
}

// credit is what was learned about a way of waiting: whether to try it.
type credit struct {
	left int // try while it is positive
	skip int // waits until the next try
	rest int // what skip is set to next
}

// pays reports whether to try, and whether that is after a rest.
func (c *credit) pays(w *way) (yes, anew bool) {
	if c.left > 0 {
		return true, false
	}
	if c.skip > 0 {
		c.skip--
		return false, false
	}
	c.left = w.probe
	return true, true
}

// more is a success.
func (c *credit) more() {
	c.left = min(c.left+1, creditMost)
	c.rest /= 2
}

// less is a failure.
func (c *credit) less(w *way) {
	if c.left--; c.left == 0 {
		c.rest = min(max(2*c.rest, w.restFirst), w.restMost)
		c.skip = c.rest
	}
}
