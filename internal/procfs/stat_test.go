package procfs

import (
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	got := parseFixture(t, "stat", ParseStat)
	diff(t, &Stat{
		PID: 11614, Comm: "a) R 1 (b\nc", State: 'S', PPID: 11600,
		StartTicks: 75402, VSize: 5373419520, RSSPages: 364,
	}, got)
	if got.Zombie() {
		t.Error("it sleeps")
	}
	boot := parseFixture(t, "procstat", ParseBootTime)
	if want := time.Unix(1795307720+754, 20e6); !got.StartTime(boot).Equal(want) {
		t.Errorf("started %v, want %v", got.StartTime(boot), want)
	}
	got.StartTicks = 1<<64 - 1
	if got.StartTime(boot).Before(boot) {
		t.Error("an absurd start time overflows")
	}
}

func TestParseStatErrors(t *testing.T) {
	good := "1 (x) Z 0" + strings.Repeat(" 0", 20) + "\n"
	if s, err := ParseStat(strings.NewReader(good)); err != nil || !s.Zombie() {
		t.Fatal(s, err)
	}
	for _, c := range []struct{ in, want string }{
		{"", "PID (NAME)"},
		{"1 x Z", "PID (NAME)"},
		{"1 (x Z", "PID (NAME)"},
		{"a (x) Z", "a process id"},
		{"1 (x)", "a state"},
		{"1 (x) ZZ 0", "a state"},
		{"1 (x) Z p", "the parent"},
		{strings.TrimSuffix(good, " 0 0 0 0\n"), "field 21"},
		{strings.TrimSuffix(good, " 0 0 0\n") + " -1 0 0", "a start time"},
		{strings.Repeat("x", maxStat+1), "at most"},
	} {
		_, err := ParseStat(strings.NewReader(c.in))
		wantParseError(t, err, "stat", 1, c.want)
	}
}

func TestParseBootTime(t *testing.T) {
	for _, c := range []struct {
		in   string
		line int
		want string
	}{
		{"", 1, "a line btime"},
		{"cpu 1\n", 2, "a line btime"},
		{"cpu 1\nbtime x\n", 2, "seconds"},
	} {
		_, err := ParseBootTime(strings.NewReader(c.in))
		wantParseError(t, err, "stat", c.line, c.want)
	}
}

func TestParseBootID(t *testing.T) {
	const id = "73baf9d9-fa3f-4cc5-9155-f30255589795"
	got, err := ParseBootID(strings.NewReader(id + "\n"))
	if err != nil || got.String() != id || got[0] != 0x73 || got[15] != 0x95 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, in := range []string{"", "x", id[1:], id + "0", "0" + id, strings.ReplaceAll(id, "-", ""), strings.Replace(id, "f", "g", 1), strings.Repeat("-", 36), strings.Repeat("a", 65)} {
		if _, err := ParseBootID(strings.NewReader(in)); err == nil {
			t.Errorf("ParseBootID(%q) gives no error", in)
		}
	}
}
