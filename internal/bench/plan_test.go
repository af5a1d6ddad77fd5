package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGoals holds the goals where they are. None may become easier.
func TestGoals(t *testing.T) {
	want := []string{
		"round trip, 64 B, both sides spinning: topic, drop, spin <= 1.5 limit (ring in Go)",
		"round trip, 64 B, both sides spinning: topic, block, spin <= 1.5 limit (ring in Go)",
		"round trip, 64 B, both sides sleeping: topic, drop, sleep <= 1.15 bare futex",
		"round trip, 64 B, both sides sleeping: topic, drop, sleep <= 1 Unix socket",
		"round trip, 64 B, both sides sleeping: shmnet, sleep <= 1.05 Unix socket",
		"round trip, 64 B, both sides sleeping: shmnet, adaptive <= 0.1 Unix socket",
		"stream, 64 B, one to one: topic, block, spin >= 0.6 limit (ring in Go)",
		"stream, 64 B, one to one: topic, block, spin >= 0.3 limit (ring in C)",
		"stream, 64 B, one to one: topic, block, spin >= 40 Unix socket",
		"stream, 64 B, one to one: topic, block, spin, batches of 16 >= 1 limit (ring in Go)",
		"stream, 64 B, one to one: shmnet, adaptive >= 15 Unix socket",
		"stream, 64 B, one to three: topic, block, adaptive, 3 subscribers >= 1 20 M/s",
		"stream, 64 B, one to three: topic, block, adaptive, batches of 16, 3 subscribers >= 1 20 M/s",
		"publisher's processor time a sample, 64 B, drop oldest, a million a second: topic, drop, sleep, 32 subscribers <= 1.3 topic, drop, sleep",
		"stream, 1 MiB: topic, block, adaptive >= 0.9 buffer just written",
		"stream, 1 MiB: topic, block, adaptive, 1 MiB touched only >= 0.9 topic, block, adaptive, 64 B touched only",
		"stream, 1 MiB: shmnet, adaptive >= 3 Unix socket",
		"stream, 1 MiB: shmnet, adaptive, in place >= 3 Unix socket",
		"wake-up, 64 B, after 1ms of idleness: topic, drop, sleep <= 1.15 bare futex",
		"wake-up, 64 B, after 1ms of idleness: topic, drop, adaptive <= 1.15 bare futex",
		"wake-up, 64 B, after 1ms of idleness: shmnet, sleep <= 1.05 Unix socket",
		"wake-up, 64 B, after 10ms of idleness: topic, drop, sleep <= 1.15 bare futex",
		"wake-up, 64 B, after 10ms of idleness: topic, drop, adaptive <= 1.15 bare futex",
		"wake-up, 64 B, after 10ms of idleness: shmnet, sleep <= 1.05 Unix socket",
	}
	for _, size := range []string{"64 B", "4 KiB", "1 MiB"} {
		for _, s := range []string{"net/http GET, ", "gRPC unary, "} {
			name, _, _ := strings.Cut(s, " ")
			want = append(want,
				s+size+", one after the other: "+name+" over shmnet, sleep <= 1 "+name+" over Unix socket",
				s+size+", one after the other: "+name+" over shmnet, adaptive, anywhere <= 1 "+name+" over Unix socket, anywhere")
		}
	}
	want = append(want,
		"net/http GET, 1 KiB, on 64 connections at once: net/http over shmnet, sleep >= 1 net/http over Unix socket",
		"net/http GET, 1 KiB, on 64 connections at once: net/http over shmnet, adaptive, anywhere >= 1 net/http over Unix socket, anywhere",
		"gRPC unary, 1 KiB, 64 callers on one connection: gRPC over shmnet, sleep >= 1 gRPC over Unix socket",
		"gRPC unary, 1 KiB, 64 callers on one connection: gRPC over shmnet, adaptive, anywhere >= 1 gRPC over Unix socket, anywhere",
	)
	want = append(want,
		"round trip, 4 KiB, both sides sleeping: shmnet, sleep <= 1 Unix socket",
		"round trip, 4 KiB, both sides sleeping: shmnet, adaptive <= 0.2 Unix socket",
		"stream, 64 KiB, one to one: shmnet, adaptive >= 3 Unix socket",
		"stream, 64 KiB, one to one: shmnet, adaptive, in place >= 3 Unix socket",
		"round trip, 1 MiB, both sides sleeping: shmnet, sleep <= 1 Unix socket",
		"requests and responses of 1 KiB on 64 connections at once: shmnet, sleep >= 2 Unix socket",
		"requests and responses of 1 KiB on 64 connections at once: shmnet, adaptive, anywhere >= 2 Unix socket, anywhere",
	)
	var got []string
	for _, g := range plan() {
		for _, goal := range g.goals {
			sign, theirs := "<=", goal.what
			if goal.least {
				sign = ">="
			}
			if goal.absolute == 0 {
				theirs = named(g.cells[goal.theirs])
			} else if goal.absolute != 20e6 {
				theirs = fmt.Sprint(goal.absolute)
			}
			got = append(got, fmt.Sprintf("%s: %s %s %v %s", g.title, named(g.cells[goal.ours]), sign, goal.ratio, theirs))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the goals are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// named is a cell's name, of many at once without how many there were.
func named(s Spec) string {
	s.Conns, s.Callers = 0, 0
	return (&Row{Spec: s}).name()
}

// TestCalls: each call is compared with itself over a Unix socket, and with
// the same bytes without it.
func TestCalls(t *testing.T) {
	found := map[string]int{}
	for _, g := range plan() {
		for _, s := range g.cells {
			if s.Over == "" {
				continue
			}
			found[fmt.Sprintf("%s over %s of %d by %d", s.Transport, s.Over, s.Size, s.callers())]++
			count := func(what string, f func(o *Spec) bool, want int) {
				t.Helper()
				n := 0
				for _, o := range g.cells {
					if f(&o) {
						n++
					}
				}
				if n != want {
					t.Errorf("%s: %s has %d %s, want %d", g.title, named(s), n, what, want)
				}
			}
			alone := 1
			if s.Callers > 0 {
				alone = 0
			}
			count("of the same bytes", s.alone, alone)
			over := 1
			if s.Over == unix {
				over = 0
			}
			count("of the same over a Unix socket", func(o *Spec) bool { return s.comparable(unix, o) }, over)
		}
	}
	for _, service := range []string{httpGET, grpcUnary} {
		for _, over := range []string{unix, shmnets} {
			for _, size := range callSizes {
				if n := found[fmt.Sprintf("%s over %s of %d by 1", service, over, size)]; n != 2 {
					t.Errorf("%d cells are %s over %s of %d bytes, want one bound and one anywhere", n, service, over, size)
				}
			}
			if n := found[fmt.Sprintf("%s over %s of 1024 by 64", service, over)]; n != 2 {
				t.Errorf("%d cells are %s over %s, 64 at once, want one bound and one anywhere", n, service, over)
			}
		}
	}
}

// TestPlan: everything is measured, and at one place.
func TestPlan(t *testing.T) {
	at := map[Spec]string{}
	titles := map[string]bool{}
	for _, g := range plan() {
		if titles[g.title] {
			t.Errorf("there are two groups %q", g.title)
		}
		titles[g.title] = true
		for _, s := range g.cells {
			if s.guest {
				continue
			}
			if at[s] != "" {
				t.Errorf("%s and %s both have %+v", at[s], g.title, s)
			}
			at[s] = g.title
		}
		// What a group is compared with is in it.
		for _, transport := range []string{limit, unix} {
			if strings.HasPrefix(g.title, "round trip") || strings.HasPrefix(g.title, "stream") {
				if !slices.ContainsFunc(g.cells, func(s Spec) bool { return s.Transport == transport }) {
					t.Errorf("%s: no %s", g.title, transport)
				}
			}
		}
	}
	has := func(s Spec) {
		t.Helper()
		if at[s] == "" {
			t.Errorf("nobody measures %+v", s)
		}
	}
	for _, n := range sizes {
		for _, pattern := range []string{latency, throughput} {
			for _, transport := range []string{pipe, unix, unixpacket, tcp, segment} {
				has(cell(transport, pattern, sleep, n))
			}
			has(cell(segment, pattern, spin, n))
			has(cell(shmnets, pattern, sleep, n))
			has(cell(shmnets, pattern, adaptive, n))
			has(cell(shmnets, pattern, adaptive, n).inPlace())
			has(cell(limit, pattern, spin, n))
			for _, wait := range []string{spin, sleep, adaptive} {
				has(topicCell("block", pattern, wait, n))
			}
		}
		for _, transport := range []string{pipe, unix, unixpacket, tcp, segment} {
			has(cell(transport, throughput, sleep, n).touched())
		}
		has(topicCell("drop", latency, spin, n))
		has(topicCell("drop", latency, sleep, n))
		has(topicCell("drop", throughput, adaptive, n))
		has(topicCell("block", throughput, spin, n).touched())
	}
	has(inC(latency))
	has(inC(throughput))
	for _, n := range []int{1, 3, 8, 32} {
		has(topicCell("block", throughput, adaptive, small).to(n))
		has(topicCell("drop", throughput, adaptive, small).to(n))
	}
}

// TestBudget: shares end when the time does, however long one took.
func TestBudget(t *testing.T) {
	groups := plan()
	for _, quick := range []bool{false, true} {
		b := newBudget(quick, groups)
		most, total := longestSpan, time.Duration(0)
		if quick {
			most = quickSpan
		}
		for i := range groups {
			s := b.next()
			if s.span < shortestSpan || s.span > most || s.rounds < leastRounds || s.until.After(b.end.Add(time.Second)) {
				t.Errorf("quick %v: %s has %+v of %v", quick, groups[i].title, s, b.end)
			}
			total += s.span * time.Duration(s.rounds*len(groups[i].cells))
		}
		if limit := map[bool]time.Duration{false: fullTime, true: quickTime}[quick]; total > limit {
			t.Errorf("quick %v: rounds alone take %v of %v", quick, total, limit)
		}
	}
	b := newBudget(true, groups)
	b.end = time.Now()
	if s := b.next(); !s.over() || !s.used(leastRounds) || !s.used(fewestRounds) || s.used(fewestRounds-1) || s.span != shortestSpan {
		t.Errorf("when the time is over there is %+v", s)
	}
}

func TestQuantiles(t *testing.T) {
	var d []int64
	for i := range int64(1000) {
		d = append(d, 999-i)
	}
	if a, b, c := quantiles(d); a != 500 || b != 990 || c != 999 {
		t.Errorf("%v, %v, %v, want 500, 990, 999", a, b, c)
	}
	if a, b, c := quantiles([]int64{7}); a != 7 || b != 7 || c != 7 {
		t.Errorf("of one: %v, %v, %v", a, b, c)
	}
}

// TestSum: every byte counts.
func TestSum(t *testing.T) {
	for n := range 200 {
		b := make([]byte, n)
		for i := range b {
			b[i] = 1
			if sum(b) == 0 {
				t.Errorf("byte %d of %d was not read", i, n)
			}
			b[i] = 0
		}
	}
}
