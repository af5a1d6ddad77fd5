package wait

const (
	// creditMost is how many failures in a row it takes to unlearn.
	creditMost = 8
	// probe is how many waits in a row are tried when it did not pay before.
	// More than one, because two peers that both sleep find out together or
	// not at all: who is woken late by the other sees no gain in spinning.
	probe = 4
	// restFirst and restMost are how many waits lie between two such tries.
	// They double, so that in the end a try takes 0.1 us of each wait.
	restFirst, restMost = 16, 1024
)

// credit is what was learned about a way of waiting: whether to try it.
type credit struct {
	left int // try while it is positive
	skip int // waits until the next try
	rest int // what skip is set to next
}

// pays reports whether to try, and whether that is after a rest.
func (c *credit) pays() (yes, anew bool) {
	if c.left > 0 {
		return true, false
	}
	if c.skip > 0 {
		c.skip--
		return false, false
	}
	c.left = probe
	return true, true
}

// more is a success.
func (c *credit) more() {
	c.left = min(c.left+1, creditMost)
	c.rest /= 2
}

// less is a failure. It never rests for longer than most.
func (c *credit) less(most int) {
	if c.left--; c.left == 0 {
		c.rest = min(max(2*c.rest, restFirst), most)
		c.skip = c.rest
	}
}
