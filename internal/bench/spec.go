package bench

import (
	"fmt"
	"time"
)

// Transports.
const (
	limit  = "limit"   // a ring with nothing but loads and stores
	limitC = "limit_c" // its twin in C
	futex  = "futex"   // two words and futex(2), no data
	buffer = "buffer"  // memory that another processor has just written
	topics = "topic"
	unix   = "unix"
	pipe   = "pipe"
)

// Patterns.
const (
	latency    = "latency"    // there and back again
	throughput = "throughput" // one way, as fast as it goes
	paced      = "paced"      // one way, a million samples a second
	wakeup     = "wakeup"     // one way, after a time of idleness
)

// Ways of waiting.
const (
	spin     = "spin"
	sleep    = "sleep"
	adaptive = "adaptive"
)

// Spec is one cell: what is sent how. The names are those of the JSON output.
type Spec struct {
	Transport   string        `json:"transport"`
	Policy      string        `json:"policy,omitempty"` // of a topic: block or drop
	Pattern     string        `json:"pattern"`
	Wait        string        `json:"wait,omitempty"`
	Size        int           `json:"size"`
	Subscribers int           `json:"subscribers"`
	Batch       int           `json:"batch"`
	Read        string        `json:"read"` // all, touch
	Slots       int           `json:"slots,omitempty"`
	Idle        time.Duration `json:"idle_ns,omitempty"`
}

// group is cells that are measured in turns, within the same second, so that
// they can be compared.
type group struct {
	title string
	cells []Spec
	goals []goal
}

// goal compares two cells of a group by their index.
type goal struct {
	ours, theirs int
	what         string  // what theirs is called
	ratio        float64 // ours divided by theirs in the main measure
	least        bool    // the ratio is to be reached; else it must not be exceeded
	absolute     float64 // in place of theirs: a number to be reached
}

// plan is what is measured.
func plan() []group {
	topic := func(policy, pattern, wait string, batch, subs, slots int) Spec {
		return Spec{Transport: topics, Policy: policy, Pattern: pattern, Wait: wait, Size: 64, Subscribers: subs, Batch: batch, Read: "all", Slots: slots}
	}
	other := func(transport, pattern, wait string) Spec {
		return Spec{Transport: transport, Pattern: pattern, Wait: wait, Size: 64, Subscribers: 1, Batch: 1, Read: "all"}
	}
	sized := func(s Spec, size int, read string) Spec {
		s.Size, s.Read = size, read
		return s
	}
	groups := []group{
		{
			title: "round trip, 64 B, both sides spinning",
			cells: []Spec{
				topic("drop", latency, spin, 1, 1, 1024), topic("block", latency, spin, 1, 1, 1024),
				other(limit, latency, spin), other(limitC, latency, spin),
				other(unix, latency, sleep), other(pipe, latency, sleep),
			},
			goals: []goal{
				{ours: 0, theirs: 2, what: "limit", ratio: 1.5},
				{ours: 1, theirs: 2, what: "limit", ratio: 1.5},
			},
		},
		{
			title: "round trip, 64 B, both sides sleeping",
			cells: []Spec{
				topic("drop", latency, sleep, 1, 1, 1024), topic("drop", latency, adaptive, 1, 1, 1024),
				other(futex, latency, sleep), other(unix, latency, sleep), other(pipe, latency, sleep),
			},
			goals: []goal{
				{ours: 0, theirs: 2, what: "futex", ratio: 1.15},
				{ours: 0, theirs: 3, what: "Unix socket", ratio: 1},
			},
		},
		{
			title: "stream, 64 B, one to one",
			cells: []Spec{
				topic("block", throughput, spin, 1, 1, 1024), topic("block", throughput, spin, 16, 1, 1024),
				topic("block", throughput, adaptive, 1, 1, 1024),
				other(limit, throughput, spin), other(limitC, throughput, spin),
				other(unix, throughput, sleep), other(pipe, throughput, sleep),
			},
			goals: []goal{
				{ours: 0, theirs: 3, what: "limit", ratio: 0.6, least: true},
				{ours: 0, theirs: 4, what: "limit in C", ratio: 0.3, least: true},
				{ours: 0, theirs: 5, what: "Unix socket", ratio: 40, least: true},
				{ours: 1, theirs: 3, what: "limit", ratio: 1, least: true},
			},
		},
		{
			title: "stream, 64 B, one to three",
			cells: []Spec{
				topic("block", throughput, adaptive, 1, 3, 16384), topic("block", throughput, adaptive, 16, 3, 16384),
				other(limit, throughput, spin), other(unix, throughput, sleep), other(pipe, throughput, sleep),
			},
			goals: []goal{
				{ours: 0, what: "20 M/s", absolute: 20e6, ratio: 1, least: true},
				{ours: 1, what: "20 M/s", absolute: 20e6, ratio: 1, least: true},
			},
		},
		{
			title: "publisher's processor time a sample, 64 B, drop oldest, a million a second",
			cells: []Spec{
				topic("drop", paced, sleep, 1, 32, 16384), topic("drop", paced, sleep, 1, 1, 16384),
			},
			goals: []goal{{ours: 0, theirs: 1, what: "1 subscriber", ratio: 1.3}},
		},
		{
			title: "stream, 1 MiB",
			cells: []Spec{
				sized(topic("block", throughput, adaptive, 1, 1, 8), 1<<20, "all"),
				sized(topic("block", throughput, adaptive, 1, 1, 8), 1<<20, "touch"),
				sized(topic("block", throughput, adaptive, 1, 1, 8), 64, "touch"),
				sized(other(buffer, throughput, spin), 1<<20, "all"),
				sized(other(unix, throughput, sleep), 1<<20, "all"), sized(other(pipe, throughput, sleep), 1<<20, "all"),
			},
			goals: []goal{
				{ours: 0, theirs: 3, what: "reading a buffer just written", ratio: 0.9, least: true},
				{ours: 1, theirs: 2, what: "the same with 64 B", ratio: 0.9, least: true},
			},
		},
	}
	for _, idle := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		g := group{
			title: fmt.Sprintf("wake-up, 64 B, after %v of idleness", idle),
			cells: []Spec{
				topic("drop", wakeup, sleep, 1, 1, 1024), topic("drop", wakeup, adaptive, 1, 1, 1024),
				other(futex, wakeup, sleep), other(unix, wakeup, sleep), other(pipe, wakeup, sleep),
			},
			goals: []goal{{ours: 0, theirs: 2, what: "futex", ratio: 1.15}, {ours: 1, theirs: 2, what: "futex", ratio: 1.15}},
		}
		for i := range g.cells {
			g.cells[i].Idle = idle
		}
		groups = append(groups, g)
	}
	return groups
}
