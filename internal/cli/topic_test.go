package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-298b2b26/shm/topic"
)

// readAllSamples gives what a form makes of an input.
func readAllSamples(t testing.TB, in io.Reader, f form) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	full, free := batches(ctx, in, f)
	var got []string
	var all [][]byte
	for b := range full {
		all = b.samples(all)
		for _, s := range all {
			got = append(got, string(s))
		}
		if b.err != nil {
			return got, b.err
		}
		free <- b
	}
	panic("it ends with an error, or io.EOF")
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 100_000) // more than is read ahead
	for _, c := range []struct {
		in   string
		most int
		want []string
		err  error
	}{
		{"", 10, nil, io.EOF},
		{"\n", 10, []string{""}, io.EOF},
		{"a", 10, []string{"a"}, io.EOF},
		{"a\n", 10, []string{"a"}, io.EOF},
		{"a\n\nb\r\n", 10, []string{"a", "", "b\r"}, io.EOF},
		{"12345\n1", 5, []string{"12345", "1"}, io.EOF},
		{"1\n123456\n2", 5, []string{"1"}, syscall.EMSGSIZE},
		{"1\n123456", 5, []string{"1"}, syscall.EMSGSIZE},
		{long + "\n" + long, 100_000, []string{long, long}, io.EOF},
		{long + "\n", 99_999, nil, syscall.EMSGSIZE},
		{strings.Repeat("y\n", 1000), 10, strings.Split(strings.TrimSuffix(strings.Repeat("y\n", 1000), "\n"), "\n"), io.EOF},
	} {
		for _, in := range []io.Reader{strings.NewReader(c.in), iotest.HalfReader(strings.NewReader(c.in)), iotest.DataErrReader(strings.NewReader(c.in))} {
			got, err := readAllSamples(t, in, &lines{most: c.most})
			if d := cmp.Diff(c.want, got); d != "" || !errors.Is(err, c.err) {
				t.Errorf("%.20q: %v, want %v\n%s", c.in, err, c.err, d)
			}
		}
	}
	// A line without an end is no reason to read without one.
	endless := io.MultiReader(strings.NewReader(long), neverEnding{})
	if _, err := readAllSamples(t, endless, &lines{most: 1000}); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("an endless line: %v", err)
	}
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

func TestFrames(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		err  error
	}{
		{"", nil, io.EOF},
		{"\x00\x00\x00\x00", []string{""}, io.EOF},
		{"\x01\x00\x00\x00a\x03\x00\x00\x00b\nc", []string{"a", "b\nc"}, io.EOF},
		{"\x01", nil, io.ErrUnexpectedEOF},
		{"\x01\x00\x00\x00", nil, io.ErrUnexpectedEOF},
		{"\x01\x00\x00\x00a\x02\x00\x00\x00b", []string{"a"}, io.ErrUnexpectedEOF},
		{"\x01\x00\x00\x00a\x0b\x00\x00\x00", []string{"a"}, syscall.EMSGSIZE},
		{"\xff\xff\xff\xff", nil, syscall.EMSGSIZE},
	} {
		for _, in := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			got, err := readAllSamples(t, in, &frames{most: 10})
			if d := cmp.Diff(c.want, got); d != "" || !errors.Is(err, c.err) {
				t.Errorf("%q: %v, want %v\n%s", c.in, err, c.err, d)
			}
		}
	}
}

// FuzzFrames: what can be read as frames is what sub would write.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00a\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readAllSamples(t, bytes.NewReader(in), &frames{most: 100})
		var out []byte
		for _, s := range got {
			out = append(out, byte(len(s)), 0, 0, 0)
			out = append(out, s...)
		}
		if !bytes.HasPrefix(in, out) || err == io.EOF && len(in) != len(out) {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	})
}

// FuzzLines: the lines, joined again, are the input.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\n\nb"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readAllSamples(t, bytes.NewReader(in), &lines{most: len(in)})
		if err != io.EOF {
			t.Fatal(err)
		}
		want := strings.Split(string(in), "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		if d := cmp.Diff(want, got); len(want)+len(got) > 0 && d != "" {
			t.Error(d)
		}
	})
}

// TestMeter: rate, gaps and jitter of samples whose times are known.
func TestMeter(t *testing.T) {
	var out bytes.Buffer
	m := &meter{env: &Env{Stdout: &out}, json: true}
	start := time.Unix(1700000000, 0)
	at := func(seq uint64, ms float64) {
		m.note(&topic.Sample{Seq: seq, UnixNano: start.UnixNano() + int64(ms*1e6), Data: make([]byte, 50)})
	}
	next := func() window {
		t.Helper()
		out.Reset()
		if err := m.write(start); err != nil {
			t.Fatal(err)
		}
		var w window
		if err := json.Unmarshal(out.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := next(); w.Rate != 0 || w.Samples != 0 || w.Period != nil {
		t.Errorf("nothing gives %+v", w)
	}
	for i := range 11 {
		at(uint64(i), float64(10*i))
	}
	w := next()
	if w.Rate != 100 || w.Bytes != 5000 || w.Samples != 11 || w.Missed != 0 || *w.Period != 10*time.Millisecond || *w.JitterMax != 0 {
		t.Errorf("a sample every 10 ms gives %+v", w)
	}
	// From 100 ms on: three are missed, one comes late.
	at(14, 140)
	at(15, 150)
	at(16, 165)
	at(17, 175)
	at(18, 185)
	at(19, 195)
	at(20, 200)
	w = next()
	if w.Rate != 100 || w.Samples != 10 || w.Gaps != 1 || w.Missed != 3 || *w.Period != 10*time.Millisecond ||
		*w.JitterP50 != 0 || *w.JitterMax != 5*time.Millisecond {
		t.Errorf("gaps and jitter: %+v", w)
	}
	if w := next(); w.Rate != 0 || w.Samples != 0 {
		t.Errorf("silence gives %+v", w)
	}
	// A rate below one an interval is that of the last two.
	at(21, 4200)
	if w := next(); w.Rate != 0.25 {
		t.Errorf("rate %v, want 0.25", w.Rate)
	}
	// Clocks that go back, and numbers that do, harm nobody.
	at(5, 10)
	next()
	m.json = false
	at(6, 11)
	at(9, 14)
	out.Reset()
	if err := m.write(start); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "missed 2 in 1 gap") || !strings.Contains(s, "period 1ms") {
		t.Error(s)
	}
}

// TestReservoir: many intervals take no more memory than some.
func TestReservoir(t *testing.T) {
	m := &meter{env: &Env{Stdout: io.Discard}}
	for i := range 3 * intervalsMost {
		m.interval(time.Duration(i))
	}
	if len(m.intervals) != intervalsMost {
		t.Errorf("%d are kept, want %d", len(m.intervals), intervalsMost)
	}
	if err := m.write(time.Now()); err != nil {
		t.Fatal(err)
	}
	if m.w.Period != nil || len(m.intervals) != 0 {
		t.Error("the window was not begun anew")
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		in   string
		want topic.Sharing
		gid  int
	}{{"private", topic.Private, 0}, {"all", topic.All, 0}, {"observe", topic.ObserveOnly, 0}, {"group=7", topic.Group, 7}, {"group=root", topic.Group, 0}} {
		got, gid, err := parseShare(c.in)
		if got != c.want || gid != c.gid || err != nil {
			t.Errorf("parseShare(%q) = %v, %d, %v", c.in, got, gid, err)
		}
	}
	for _, in := range []string{"", "group", "group=", "group=no such", "everybody", "group=-1"} {
		if _, _, err := parseShare(in); err == nil {
			t.Errorf("parseShare(%q) gives no error", in)
		}
	}
}

func TestRates(t *testing.T) {
	for _, c := range []struct {
		in   float64
		want string
	}{{0, "0.0/s"}, {0.25, "0.2/s"}, {99.94, "99.9/s"}, {1234.5, "1234/s"}, {12345, "12.3k/s"}, {2.5e6, "2.5M/s"}} {
		if got := rateText(c.in); got != c.want {
			t.Errorf("rateText(%v) = %s, want %s", c.in, got, c.want)
		}
	}
	if got := grown(5, 3, time.Second); got != 0 {
		t.Errorf("a counter that went back gives %v", got)
	}
	if got := grown(5, 15, 2*time.Second); got != 5 {
		t.Errorf("10 in 2 s are %v", got)
	}
}
