package bench

import (
	"math"
	"slices"
)

// series is one line of the chart, and which cells it is made of.
type series struct {
	name  string // in the legend
	class string // in the style
	mark  string // shape of the points
	is    func(s *Spec) bool
}

// charted are the lines, in the order of the legend.
var charted = []series{
	{"topic, spinning", "topic", "circle", func(s *Spec) bool { return isTopic(s, spin, "all") }},
	{"topic, sleeping", "topic dash", "square", func(s *Spec) bool { return isTopic(s, sleep, "all") }},
	{"topic, touched only", "topic dots", "diamond", func(s *Spec) bool { return isTopic(s, spin, "touch") }},
	{"limit: bare ring, spinning", "limit dash", "none", isOther(limit, spin)},
	{"shmnet, adaptive", "shmnet", "circle", func(s *Spec) bool { return isOther(shmnets, adaptive)(s) && !s.InPlace }},
	{"segment and semaphores", "segment", "triangle", isOther(segment, sleep)},
	{"pipe", "pipe", "circle", isOther(pipe, sleep)},
	{"Unix stream", "unix", "square", isOther(unix, sleep)},
	{"Unix packets", "unixpacket", "diamond", isOther(unixpacket, sleep)},
	{"TCP loopback", "tcp", "triangle", isOther(tcp, sleep)},
}

func isTopic(s *Spec, wait, read string) bool {
	return s.Transport == topics && s.Policy == "block" && s.Wait == wait && s.Read == read
}

func isOther(transport, wait string) func(s *Spec) bool {
	return func(s *Spec) bool { return s.Transport == transport && s.Wait == wait && s.Read == "all" }
}

// point is a size and what was measured with it.
type point struct {
	size  int
	value float64
}

// chart is the two diagrams: the round trip in ns and the messages a second,
// both over the size.
type chart struct {
	machine string
	panels  [2]panel
}

type panel struct {
	title string
	lines [][]point // by series
	unit  func(v float64) string
}

func newChart(rows []Row, machine string) *chart {
	c := &chart{machine: machine}
	c.panels[0] = panel{title: "Round trip by size, median", unit: spoken, lines: make([][]point, len(charted))}
	c.panels[1] = panel{title: "Messages a second by size, one to one", unit: counted, lines: make([][]point, len(charted))}
	for i := range rows {
		r := &rows[i]
		at, n := place(&r.Spec)
		value := r.P50
		if at == 1 {
			value = r.Msgs
		}
		if n < 0 || r.guest || value <= 0 {
			continue
		}
		line := &c.panels[at].lines[n]
		if !slices.ContainsFunc(*line, func(p point) bool { return p.size == r.Size }) {
			*line = append(*line, point{r.Size, value})
		}
	}
	for i := range c.panels {
		for _, line := range c.panels[i].lines {
			slices.SortFunc(line, func(a, b point) int { return a.size - b.size })
		}
	}
	return c
}

// place says in which diagram and which line a cell is; -1 for none.
func place(s *Spec) (panel, line int) {
	switch {
	case s.Batch != 1 || s.Subscribers != 1 || s.callers() > 1 || s.Request > 0 || s.Free:
		return 0, -1
	case s.Pattern == throughput:
		panel = 1
	case s.Pattern != latency:
		return 0, -1
	}
	return panel, slices.IndexFunc(charted, func(c series) bool { return c.is(s) })
}

// draws reports whether there is anything for the chart in these groups.
func draws(groups []group) bool {
	return slices.ContainsFunc(groups, func(g group) bool {
		return slices.ContainsFunc(g.cells, func(s Spec) bool {
			_, n := place(&s)
			return n >= 0 && !s.guest
		})
	})
}

// decades gives the powers of ten that a diagram spans.
func (p *panel) decades() (low, high int) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, line := range p.lines {
		for _, pt := range line {
			least, most = min(least, pt.value), max(most, pt.value)
		}
	}
	if least > most {
		return 0, 1
	}
	low, high = int(math.Floor(math.Log10(least))), int(math.Ceil(math.Log10(most)))
	return low, max(high, low+1)
}

// spoken writes a power of ten of nanoseconds.
func spoken(v float64) string {
	switch {
	case v >= 1e9:
		return number(v/1e9) + " s"
	case v >= 1e6:
		return number(v/1e6) + " ms"
	case v >= 1e3:
		return number(v/1e3) + " µs"
	}
	return number(v) + " ns"
}

// counted writes a power of ten of messages.
func counted(v float64) string {
	switch {
	case v >= 1e9:
		return number(v/1e9) + " G"
	case v >= 1e6:
		return number(v/1e6) + " M"
	case v >= 1e3:
		return number(v/1e3) + " k"
	}
	return number(v)
}
