package bench

import (
	"errors"
	"time"
)

// How long a run takes. What is left when the time is over is skipped, and
// says so; so a busy machine gets fewer and shorter rounds, not a longer run.
const (
	fullTime  = 14 * time.Minute
	quickTime = 52 * time.Second
)

// leastRounds is how many rounds every cell has, and those have that are
// compared with no goal; fewestRounds where the machine is so busy that other
// groups would have none.
const (
	leastRounds  = 5
	fewestRounds = 3
)

// goalRounds is how many there are where a goal is.
const goalRounds = 25

// longestSpan and shortestSpan are bounds of what a round of one cell takes.
const (
	longestSpan  = 40 * time.Millisecond
	quickSpan    = 15 * time.Millisecond
	shortestSpan = 2 * time.Millisecond
)

var errNoTime = errors.New("no time was left")

// budget divides the time among groups.
type budget struct {
	quick  bool
	end    time.Time
	groups []group
	cost   int // of the groups to come, in cells and rounds
}

func newBudget(quick bool, groups []group) *budget {
	b := &budget{quick: quick, end: time.Now().Add(fullTime), groups: groups}
	if quick {
		b.end = time.Now().Add(quickTime)
	}
	for i := range groups {
		b.cost += b.costOf(&groups[i])
	}
	return b
}

func (b *budget) rounds(g *group) int {
	if b.quick || len(g.goals) == 0 {
		return leastRounds
	}
	return goalRounds
}

// costOf counts rounds, and what opening and warming up take, which is about
// as much as three.
func (b *budget) costOf(g *group) int { return len(g.cells) * (b.rounds(g) + 3) }

// share is the time of one group.
type share struct {
	span   time.Duration // of a round of one cell, about
	rounds int
	mine   time.Duration
	until  time.Time // for this group
	end    time.Time // for all
}

// next gives the next group its share of what is left.
func (b *budget) next() share {
	g := &b.groups[0]
	cost := b.costOf(g)
	left := max(time.Until(b.end), 0)
	mine := time.Duration(float64(left) * float64(cost) / float64(b.cost))
	s := share{rounds: b.rounds(g), mine: mine, until: time.Now().Add(mine), end: b.end}
	most := longestSpan
	if b.quick {
		most = quickSpan
	}
	s.span = min(max(mine/time.Duration(cost), shortestSpan), most)
	b.cost -= cost
	b.groups = b.groups[1:]
	return s
}

// used reports whether the group has had its time, after so many rounds. The
// last of those that it should have at least it gives up when it has had its
// time twice.
func (s *share) used(rounds int) bool {
	late := time.Since(s.until)
	return late > 0 && rounds >= leastRounds || late > s.mine && rounds >= fewestRounds
}

// over reports whether the run has.
func (s *share) over() bool { return time.Now().After(s.end) }
