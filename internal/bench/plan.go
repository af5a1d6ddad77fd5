package bench

import (
	"fmt"
	"slices"
	"time"
)

// sizes are those that everything is measured with. The goals are about two
// of them.
var sizes = []int{8, small, 512, 4 << 10, 64 << 10, large, 16 << 20}

const (
	small = 64
	large = 1 << 20
)

// slotsFor is how many messages of a size the memory holds: 8 MiB of them, a
// power of two, and 1,024 at most.
func slotsFor(size int) int {
	n := 1024
	for n > 4 && n*size > 8<<20 {
		n /= 2
	}
	return n
}

// topicCell is a topic with one subscriber whose samples are read.
func topicCell(policy, pattern, wait string, size int) Spec {
	return Spec{Transport: topics, Policy: policy, Pattern: pattern, Wait: wait, Size: size, Subscribers: 1, Batch: 1, Read: "all", Slots: slotsFor(size)}
}

// cell is any other transport.
func cell(transport, pattern, wait string, size int) Spec {
	return Spec{Transport: transport, Pattern: pattern, Wait: wait, Size: size, Subscribers: 1, Batch: 1, Read: "all"}
}

// inC is a topic whose both ends are programs in C.
func inC(pattern string) Spec {
	s := topicCell("block", pattern, spin, small)
	s.Transport = topicC
	return s
}

func (s Spec) batch(n int) Spec           { s.Batch = n; return s }
func (s Spec) slots(n int) Spec           { s.Slots = n; return s }
func (s Spec) to(n int) Spec              { s.Subscribers = n; return s }
func (s Spec) after(d time.Duration) Spec { s.Idle = d; return s }
func (s Spec) touched() Spec              { s.Read = "touch"; return s }

func (s Spec) inPlace() Spec { s.InPlace = true; return s }

// beside marks a cell that is measured in a group for the comparison alone:
// it has a group where it is at home.
func (s Spec) beside() Spec { s.guest = true; return s }

func (g *group) has(s Spec) bool { return slices.Contains(g.cells, s) }

// beats adds a goal between two cells of the group, over a Unix socket the
// other.
func (g *group) beats(ours, theirs Spec, ratio float64) {
	g.goals = append(g.goals, goal{
		ours: slices.Index(g.cells, ours), theirs: slices.Index(g.cells, theirs), what: "Unix socket",
		ratio: ratio, least: ours.Pattern == throughput || ours.callers() > 1,
	})
}

// plan is what is measured: what has goals first, and then the other sizes,
// and more subscribers.
func plan() []group {
	groups := []group{
		spinning(small), sleeping(small), streamed(small), oneToThree(), atRate(), streamedLarge(),
		idle(time.Millisecond), idle(10 * time.Millisecond),
	}
	for _, size := range callSizes {
		groups = append(groups, gets(size), unaries(size))
	}
	groups = append(groups, getsAtOnce(64, 1<<10), unariesAtOnce(64, 1<<10))
	for _, n := range sizes {
		switch n {
		case small:
			groups = append(groups, touched(n))
		case large:
			groups = append(groups, spinning(n), sleeping(n)) // see streamedLarge
		default:
			groups = append(groups, spinning(n), sleeping(n), streamed(n), touched(n))
		}
	}
	return append(groups, toMany(small), toMany(64<<10), requests(64, 1<<10))
}

func spinning(size int) group {
	g := group{title: "round trip, " + sized(size) + ", both sides spinning"}
	g.cells = []Spec{topicCell("drop", latency, spin, size), topicCell("block", latency, spin, size), cell(limit, latency, spin, size)}
	if size == small {
		g.cells = append(g.cells, cell(limitC, latency, spin, size))
		g.goals = []goal{
			{ours: 0, theirs: 2, what: "limit", ratio: 1.5},
			{ours: 1, theirs: 2, what: "limit", ratio: 1.5},
		}
	}
	g.cells = append(g.cells, cell(segment, latency, spin, size), cell(unix, latency, sleep, size).beside(), cell(pipe, latency, sleep, size).beside())
	if size == small {
		g.cells = append(g.cells, inC(latency))
	}
	return g
}

func sleeping(size int) group {
	g := group{title: "round trip, " + sized(size) + ", both sides sleeping"}
	g.cells = []Spec{topicCell("drop", latency, sleep, size), topicCell("drop", latency, adaptive, size)}
	if size == small {
		g.cells = append(g.cells, cell(futex, latency, sleep, size))
		g.goals = []goal{
			{ours: 0, theirs: 2, what: "futex", ratio: 1.15},
			{ours: 0, theirs: 3, what: "Unix socket", ratio: 1},
		}
	}
	g.cells = append(g.cells,
		cell(unix, latency, sleep, size), cell(pipe, latency, sleep, size), cell(unixpacket, latency, sleep, size), cell(tcp, latency, sleep, size),
		cell(segment, latency, sleep, size), topicCell("block", latency, sleep, size), topicCell("block", latency, adaptive, size),
		cell(shmnets, latency, sleep, size), cell(shmnets, latency, adaptive, size), cell(shmnets, latency, adaptive, size).inPlace(),
		cell(limit, latency, spin, size).beside())
	switch size {
	case small:
		g.beats(cell(shmnets, latency, sleep, size), cell(unix, latency, sleep, size), 1.05)
		g.beats(cell(shmnets, latency, adaptive, size), cell(unix, latency, sleep, size), 0.1)
	case 4 << 10:
		g.beats(cell(shmnets, latency, sleep, size), cell(unix, latency, sleep, size), 1)
		g.beats(cell(shmnets, latency, adaptive, size), cell(unix, latency, sleep, size), 0.2)
	case large:
		g.beats(cell(shmnets, latency, sleep, size), cell(unix, latency, sleep, size), 1)
	}
	return g
}

func streamed(size int) group {
	g := group{title: "stream, " + sized(size) + ", one to one"}
	g.cells = []Spec{
		topicCell("block", throughput, spin, size), topicCell("block", throughput, spin, size).batch(batchMost),
		topicCell("block", throughput, adaptive, size), cell(limit, throughput, spin, size),
	}
	if slotsFor(size) < 4*batchMost {
		g.cells = append(g.cells[:1], g.cells[2:]...)
	}
	if size == small {
		g.cells = append(g.cells, cell(limitC, throughput, spin, size))
		g.goals = []goal{
			{ours: 0, theirs: 3, what: "limit", ratio: 0.6, least: true},
			{ours: 0, theirs: 4, what: "limit in C", ratio: 0.3, least: true},
			{ours: 0, theirs: 5, what: "Unix socket", ratio: 40, least: true},
			{ours: 1, theirs: 3, what: "limit", ratio: 1, least: true},
		}
	}
	g.cells = append(g.cells,
		cell(unix, throughput, sleep, size), cell(pipe, throughput, sleep, size), cell(unixpacket, throughput, sleep, size), cell(tcp, throughput, sleep, size),
		cell(segment, throughput, sleep, size), cell(segment, throughput, spin, size),
		topicCell("block", throughput, sleep, size), topicCell("drop", throughput, adaptive, size),
		cell(shmnets, throughput, sleep, size), cell(shmnets, throughput, adaptive, size), cell(shmnets, throughput, adaptive, size).inPlace())
	switch size {
	case small:
		g.beats(cell(shmnets, throughput, adaptive, size), cell(unix, throughput, sleep, size), 15)
		g.cells = append(g.cells, inC(throughput))
	case 64 << 10:
		g.outrun(size)
	}
	return g
}

// outrun is what connections shall be worth with large messages, copied and in
// place.
func (g *group) outrun(size int) {
	s := cell(shmnets, throughput, adaptive, size)
	g.beats(s, cell(unix, throughput, sleep, size), 3)
	g.beats(s.inPlace(), cell(unix, throughput, sleep, size), 3)
}

func oneToThree() group {
	return group{
		title: "stream, 64 B, one to three",
		cells: []Spec{
			topicCell("block", throughput, adaptive, small).to(3).slots(16384),
			topicCell("block", throughput, adaptive, small).to(3).slots(16384).batch(batchMost),
			cell(limit, throughput, spin, small).beside(), cell(unix, throughput, sleep, small).beside(), cell(pipe, throughput, sleep, small).beside(),
		},
		goals: []goal{
			{ours: 0, what: "20 M/s", absolute: 20e6, ratio: 1, least: true},
			{ours: 1, what: "20 M/s", absolute: 20e6, ratio: 1, least: true},
		},
	}
}

func atRate() group {
	return group{
		title: "publisher's processor time a sample, 64 B, drop oldest, a million a second",
		cells: []Spec{
			topicCell("drop", paced, sleep, small).to(32).slots(16384), topicCell("drop", paced, sleep, small).slots(16384),
		},
		goals: []goal{{ours: 0, theirs: 1, what: "1 subscriber", ratio: 1.3}},
	}
}

func streamedLarge() group {
	g := group{
		title: "stream, " + sized(large),
		cells: []Spec{
			topicCell("block", throughput, adaptive, large), topicCell("block", throughput, adaptive, large).touched(),
			topicCell("block", throughput, adaptive, small).touched().slots(slotsFor(large)),
			cell(buffer, throughput, spin, large),
		},
		goals: []goal{
			{ours: 0, theirs: 3, what: "reading a buffer just written", ratio: 0.9, least: true},
			{ours: 1, theirs: 2, what: "the same with 64 B", ratio: 0.9, least: true},
		},
	}
	for _, s := range append(streamed(large).cells, touched(large).cells...) {
		if !g.has(s) {
			g.cells = append(g.cells, s)
		}
	}
	g.outrun(large)
	return g
}

// touched is streams whose receiver reads a byte of each message: what it
// costs to deliver them and nothing else.
func touched(size int) group {
	return group{
		title: "stream, " + sized(size) + ", touched only",
		cells: []Spec{
			topicCell("block", throughput, adaptive, size).touched(), topicCell("block", throughput, spin, size).touched(),
			cell(limit, throughput, spin, size).touched(), cell(segment, throughput, sleep, size).touched(),
			cell(unix, throughput, sleep, size).touched(), cell(pipe, throughput, sleep, size).touched(),
			cell(unixpacket, throughput, sleep, size).touched(), cell(tcp, throughput, sleep, size).touched(),
		},
	}
}

func toMany(size int) group {
	g := group{title: "stream, " + sized(size) + ", one to many"}
	many := []int{1, 3, 8, 32}
	for _, policy := range []string{"block", "drop"} {
		for _, n := range many {
			s := topicCell(policy, throughput, adaptive, size).to(n)
			if n == 1 {
				s = s.beside()
			}
			g.cells = append(g.cells, s)
		}
	}
	for _, n := range many[1:] {
		g.cells = append(g.cells, topicCell("block", throughput, spin, size).to(n))
	}
	g.cells = append(g.cells, cell(limit, throughput, spin, size).beside(), cell(unix, throughput, sleep, size).beside())
	return g
}

// requests is what servers see: many connections at once, on each a request
// and its response.
func requests(conns, size int) group {
	g := group{title: fmt.Sprintf("requests and responses of %s on %d connections at once", sized(size), conns)}
	for _, s := range append(ways(true), cell(unixpacket, latency, sleep, 0)) {
		s.Size, s.Conns = size, conns
		g.cells = append(g.cells, s)
	}
	g.beats(g.cells[1], g.cells[0], 2)
	g.beats(g.cells[4], g.cells[3], 2)
	return g
}

func idle(d time.Duration) group {
	g := group{
		title: fmt.Sprintf("wake-up, 64 B, after %v of idleness", d),
		cells: []Spec{
			topicCell("drop", wakeup, sleep, small).after(d), topicCell("drop", wakeup, adaptive, small).after(d),
			cell(futex, wakeup, sleep, small).after(d), cell(unix, wakeup, sleep, small).after(d), cell(pipe, wakeup, sleep, small).after(d),
			cell(shmnets, wakeup, sleep, small).after(d),
		},
		goals: []goal{{ours: 0, theirs: 2, what: "futex", ratio: 1.15}, {ours: 1, theirs: 2, what: "futex", ratio: 1.15}},
	}
	g.beats(cell(shmnets, wakeup, sleep, small).after(d), cell(unix, wakeup, sleep, small).after(d), 1.05)
	return g
}

// sized gives a size as people write it.
func sized(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
