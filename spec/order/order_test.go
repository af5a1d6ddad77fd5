package order

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest/explore"
)

var (
	long   = flag.Bool("long", false, "also the runs that take minutes and gibibytes")
	update = flag.Bool("update", false, "write the tables of "+page)
)

// run is one way to run a protocol.
type run struct {
	name   string
	what   string
	system func(mutant) *explore.System
	short  bool // also with -short
	long   bool // only with -long
}

var runs = []run{
	{name: "observer", short: true,
		what:   "2 slots; 3 numbers lent; an observer that goes through 3",
		system: func(m mutant) *explore.System { return hold(m, 2, 0, 3, 3) }},
	{name: "observer of two", short: true,
		what:   "2 slots; 2 numbers lent; an observer that goes through 2",
		system: func(m mutant) *explore.System { return hold(m, 2, 0, 2, 2) }},
	{name: "one", short: true,
		what:   "4 slots; 2 numbers lent; one subscriber, that goes through 2",
		system: func(m mutant) *explore.System { return hold(m, 4, 1, 2, 2) }},
	{name: "two",
		what:   "4 slots; 2 numbers lent; two subscribers, that go through 2 and 1",
		system: func(m mutant) *explore.System { return hold(m, 4, 2, 2, 2, 1) }},
	{name: "two, one observes",
		what:   "4 slots; 2 numbers lent; a subscriber and an observer, that go through 2 each",
		system: func(m mutant) *explore.System { return hold(m, 4, 1, 2, 2, 2) }},
	{name: "round", short: true,
		what:   "3 slots; 4 numbers lent, so that one slot is used twice; one subscriber, that goes through 2",
		system: func(m mutant) *explore.System { return hold(m, 3, 1, 4, 2) }},
	{name: "again",
		what: "3 slots; 3 numbers lent; one subscriber, that goes through 3, is demoted and admitted again",
		system: func(m mutant) *explore.System {
			return (&holding{mutant: m, slots: 3, subs: 1, loans: 3, takes: []int{3}, holds: true, readmit: true}).system()
		}},
	{name: "two, two each", long: true,
		what:   "4 slots; 2 numbers lent; two subscribers, that go through 2 each",
		system: func(m mutant) *explore.System { return hold(m, 4, 2, 2, 2, 2) }},
	{name: "two, three numbers", long: true,
		what:   "4 slots; 3 numbers lent; two subscribers, that go through 2 and 1",
		system: func(m mutant) *explore.System { return hold(m, 4, 2, 3, 2, 1) }},
	{name: "entry", short: true,
		what:   "an entry of the table that passes from one subscriber to a second and a third, and who reads it meanwhile",
		system: func(m mutant) *explore.System { return (&entry{mutant: m}).system() }},
	{name: "sleep", short: true,
		what:   "2 samples; one sleeper",
		system: func(m mutant) *explore.System { return (&sleeping{mutant: m, sleepers: 1, samples: 2}).system() }},
	{name: "two sleep", short: true,
		what: "2 samples; two sleepers, that may give up",
		system: func(m mutant) *explore.System {
			return (&sleeping{mutant: m, sleepers: 2, samples: 2, gives: true}).system()
		}},
	{name: "fencefree", short: true,
		what: "2 samples, whose publisher is registered with membarrier; one sleeper",
		system: func(m mutant) *explore.System {
			return (&sleeping{mutant: m, sleepers: 1, samples: 2, free: true}).system()
		}},
	{name: "block",
		what: "block: 2 slots; 4 samples; one subscriber; both sleep",
		system: func(m mutant) *explore.System {
			return (&blocking{sleeping: sleeping{mutant: m, samples: 4}, slots: 2}).system()
		}},
	{name: "block, fencefree",
		what: "block: 2 slots; 3 samples; one subscriber; both sleep, and both fence for each other by membarrier",
		system: func(m mutant) *explore.System {
			return (&blocking{sleeping: sleeping{mutant: m, samples: 3, free: true}, slots: 2}).system()
		}},
}

// hold is drop oldest; takes are those of the subscribers and then of observers.
func hold(m mutant, slots uint64, subs, loans int, takes ...int) *explore.System {
	return (&holding{mutant: m, slots: slots, subs: subs, observers: len(takes) - subs, loans: loans, takes: takes, holds: true}).system()
}

// wrong is a mutant: one order that is left out.
type wrong struct {
	point string // the SYNC POINT that it breaks
	name  mutant
	run   string // the run that shows it
	holds string // why it holds all the same; empty: it must fail
}

var mutants = []wrong{
	{point: "copy", run: "observer of two", name: "no store fence after busy"},
	{point: "copy", run: "one", name: "no store fence after busy"},
	{point: "copy", run: "observer", name: "no load fence after the copy"},
	{point: "copy", run: "observer", name: "stamp and head stored plainly"},
	{point: "copy", run: "observer", name: "sample's stamp stored plainly",
		holds: "the release of head comes after it, and nobody looks at stamps at or past head"},
	{point: "copy", run: "block", name: "head stored plainly"},
	{point: "copy", run: "observer", name: "copier loads the stamp plainly",
		holds: "the acquire load of head comes before it, and the load fence after it"},
	{point: "copy", run: "one", name: "taker loads the stamp plainly",
		holds: "the full fence comes before it, and what the pin protects does not change after that"},

	{point: "pin", run: "one", name: "no full fence after the pin"},
	{point: "pin", run: "one", name: "state is not looked at after the pin"},
	{point: "pin", run: "one", name: "state loaded plainly",
		holds: "the full fence comes before it: it is not loaded too early, and loaded late it says more"},
	{point: "pin", run: "one", name: "cursor, then pin"},
	{point: "pin", run: "one", name: "pin cleared plainly"},
	{point: "pin", run: "one", name: "cursor stored plainly",
		holds: "the full fence stands between the pin and it"},
	{point: "pin", run: "one", name: "pins, then cursor"},
	{point: "pin", run: "one", name: "look loads the cursor plainly"},
	{point: "pin", run: "one", name: "look loads the pins plainly",
		holds: "whether the payload is written depends on them, and no store is made before it is known that it is made; the specification does not build on that"},
	{point: "pin", run: "one", name: "no full fence after demoted"},
	{point: "pin", run: "one", name: "look, then demoted"},
	{point: "pin", run: "one", name: "no last look"},
	{point: "pin", run: "one", name: "demoted stored plainly",
		holds: "the full fence after it is what counts"},
	{point: "pin", run: "round", name: "old pins are ignored"},
	{point: "pin", run: "again", name: "admitted though a pin stands"},
	{point: "pin", run: "round", name: "no full fence between busy and look",
		holds: "the second line of section 6: cursor, pins and state are enough"},
	{point: "pin", run: "round", name: "look, then busy", holds: "the same"},
	{point: "pin", run: "round", name: "stamp, then pin", holds: "the same"},

	{point: "entry", run: "entry", name: "no store fence after kind 0"},
	{point: "entry", run: "entry", name: "no load fence before state again"},
	{point: "entry", run: "entry", name: "kind 1 stored plainly"},
	{point: "entry", run: "entry", name: "state loaded plainly"},
	{point: "entry", run: "entry", name: "kind 0 stored plainly",
		holds: "the store fence after it is what counts; what it is released after is for the pins"},
	{point: "entry", run: "entry", name: "state loaded plainly again",
		holds: "the load fence comes before it"},

	{point: "sleep", run: "sleep", name: "no full fence after head"},
	{point: "sleep", run: "sleep", name: "no full fence after sleepers"},
	{point: "sleep", run: "sleep", name: "look, then sleepers"},
	{point: "sleep", run: "sleep", name: "wake loaded after the look"},
	{point: "sleep", run: "sleep", name: "sleepers, then wake"},
	{point: "sleep", run: "sleep", name: "wake and sleepers plainly"},
	{point: "sleep", run: "two sleep", name: "wake loaded plainly",
		holds: "the release store of sleepers comes after it"},
	{point: "sleep", run: "two sleep", name: "sleepers stored plainly",
		holds: "the acquire load of wake comes before it, and the full fence after it"},
	{point: "sleep", run: "sleep", name: "sleeps on head"},
	{point: "sleep", run: "sleep", name: "woken, then wake + 1"},
	{point: "sleep", run: "sleep", name: "woken, then 0"},
	{point: "sleep", run: "two sleep", name: "wake + 1, then 0"},
	{point: "sleep", run: "two sleep", name: "wake stored plainly"},
	{point: "sleep", run: "two sleep", name: "0 stored plainly",
		holds: "the release of wake comes after it"},
	{point: "sleep", run: "two sleep", name: "who gives up stores 0"},
	{point: "sleep", run: "fencefree", name: "no membarrier after sleepers"},

	{point: "want", run: "block", name: "want loaded, then cursor"},
	{point: "want", run: "block", name: "no full fence after the cursor"},
	{point: "want", run: "block, fencefree", name: "no membarrier after want"},
	{point: "want", run: "block", name: "no full fence after want",
		holds: "FUTEX_WAIT looks at the cursor itself, and is a full fence: the kernel sees what the look would have missed"},
	{point: "want", run: "block", name: "cursor loaded, then want",
		holds: "FUTEX_WAIT compares the cursor with what was loaded, and the cursor is the condition itself"},
	{point: "want", run: "block", name: "cursor loaded plainly after want", holds: "the same"},
}

// The limits are no part of what is shown: whoever exceeds them is stopped.
const (
	mostStates = 40_000_000
	mostTime   = 8 * time.Minute
)

// known is what was explored already: the page asks for it a second time.
var known = map[string]*explore.Result{}

// explored explores a run, as it is or as a mutant; strong: on an amd64.
func explored(t *testing.T, r run, m mutant, strong bool) *explore.Result {
	t.Helper()
	key := fmt.Sprint(r.name, "|", m, "|", strong)
	if got := known[key]; got != nil {
		return got
	}
	ctx, cancel := context.WithTimeout(context.Background(), mostTime)
	defer cancel()
	start := time.Now()
	got, err := r.system(m).Explore(ctx, &explore.Options{MaxStates: mostStates, Strong: strong})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s: %d states, %v", r.name, m, got.States, time.Since(start).Round(time.Millisecond))
	known[key] = got
	return got
}

func find(t *testing.T, name string) run {
	t.Helper()
	k := slices.IndexFunc(runs, func(r run) bool { return r.name == name })
	if k < 0 {
		t.Fatalf("no run %q", name)
	}
	return runs[k]
}

// TestOrder goes through all that can happen in each run, where everything that
// the specification does not forbid may.
func TestOrder(t *testing.T) {
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			if r.long && !*long || testing.Short() && !r.short {
				return // see the flags
			}
			got := explored(t, r, "", false)
			if got.Violation != nil {
				t.Error(got.Violation)
			}
			if len(got.Outcomes) == 0 {
				t.Error("no way leads to the end")
			}
		})
	}
}

// TestMutants leaves out one order after the other: what is wrong must be
// found, and what is a second line must hold.
func TestMutants(t *testing.T) {
	for _, m := range mutants {
		t.Run(fmt.Sprintf("%s/%s/%s", m.point, m.run, m.name), func(t *testing.T) {
			r := find(t, m.run)
			if testing.Short() && !r.short {
				return
			}
			got := explored(t, r, m.name, false)
			switch {
			case m.holds == "" && got.Violation == nil:
				t.Errorf("nothing is wrong with it, in %d states", got.States)
			case m.holds != "" && got.Violation != nil:
				t.Errorf("it does not hold:\n%v", got.Violation)
			case got.Violation != nil:
				t.Logf("\n%v", got.Violation)
			}
		})
	}
}

// TestSyncPoints asks for a mutant of each SYNC POINT of the specification.
func TestSyncPoints(t *testing.T) {
	text, err := os.ReadFile("../topic.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`SYNC POINT: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		names[m[1]] = true
		if m[1] == "prune" {
			continue // of locks and names in the file system, not of memory
		}
		if !slices.ContainsFunc(mutants, func(w wrong) bool { return w.point == m[1] && w.holds == "" }) {
			t.Errorf("SYNC POINT %s has no mutant that fails", m[1])
		}
	}
	for _, w := range mutants {
		if !names[w.point] {
			t.Errorf("%s: the specification has no SYNC POINT %s", w.name, w.point)
		}
	}
}

const page = "../../docs/memory-order.md"

// TestPage holds the page to the tables.
func TestPage(t *testing.T) {
	if testing.Short() {
		return // the states are counted
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := text
	want = part(t, want, "runs", func(b *bytes.Buffer) {
		fmt.Fprintf(b, "| run | what | states |\n|---|---|---:|\n")
		for _, r := range runs {
			states := "on request (`-long`)"
			if !r.long {
				states = fmt.Sprint(explored(t, r, "", false).States)
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", r.name, r.what, states)
		}
	})
	want = part(t, want, "mutants", func(b *bytes.Buffer) {
		fmt.Fprintf(b, "| SYNC POINT | left out or turned round | run | found | on amd64 |\n|---|---|---|---|---|\n")
		for _, m := range mutants {
			r := find(t, m.run)
			found, amd64 := "no: "+m.holds, "no"
			if m.holds == "" {
				found = "yes: " + reason(explored(t, r, m.name, false))
				if explored(t, r, m.name, true).Violation != nil {
					amd64 = "yes"
				}
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", m.point, m.name, m.run, found, amd64)
		}
	})
	want = part(t, want, "trace", func(b *bytes.Buffer) {
		r := explored(t, find(t, "one"), "no store fence after busy", false)
		fmt.Fprintf(b, "```\n%v```\n", r.Violation)
	})
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(text, want) {
		t.Error("the tables are old: go test ./spec/order -run TestPage -update")
	}
}

// reason is what was found, in a few words.
func reason(r *explore.Result) string {
	switch {
	case r.Violation == nil:
		return "nothing"
	case strings.Contains(r.Violation.Reason, "for ever"):
		return "a sleeper is not woken"
	case strings.Contains(r.Violation.Reason, "is not there"):
		return "a sample is lost"
	case strings.Contains(r.Violation.Reason, "has copied"):
		return "a torn copy"
	case strings.Contains(r.Violation.Reason, "it holds"):
		return "a held sample changes"
	case strings.Contains(r.Violation.Reason, "has the ID"):
		return "half of one entry, half of another"
	}
	return r.Violation.Reason
}

// part gives the page with what stands between two marks written anew.
func part(t *testing.T, text []byte, name string, write func(*bytes.Buffer)) []byte {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("no marks of %s", name)
	}
	var b bytes.Buffer
	b.WriteString(before + begin)
	write(&b)
	b.WriteString(end + after)
	return b.Bytes()
}
