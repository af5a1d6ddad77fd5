package procfs

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// lines returns all that a lineReader returns.
func lines(r io.Reader) ([]string, error) {
	lr := newLineReader(r, "f")
	defer lr.close()
	var all []string
	for {
		line, ok := lr.next()
		if !ok {
			return all, lr.err
		}
		all = append(all, string(line))
	}
}

func TestLineReader(t *testing.T) {
	long := strings.Repeat("x", 3*lineBuffer)
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"empty", "", nil},
		{"no newline", "a", []string{"a"}},
		{"blank lines", "\n\na\n", []string{"", "", "a"}},
		{"longer than the buffer", long + "\nb\n" + long, []string{long, "b", long}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(c.in),
				iotest.HalfReader(strings.NewReader(c.in)),
				iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				got, err := lines(r)
				if err != nil {
					t.Fatal(err)
				}
				diff(t, c.want, got)
			}
		})
	}
}

func TestLineReaderLimits(t *testing.T) {
	most := strings.Repeat("x", MaxLine)
	got, err := lines(strings.NewReader("a\n" + most + "\nb"))
	if err != nil || len(got) != 3 {
		t.Errorf("a line of MaxLine bytes: %d lines, %v", len(got), err)
	}
	_, err = lines(strings.NewReader("a\n" + most + "x\nb"))
	wantParseError(t, err, "f", 2, "at most")
	// An endless line ends the reading instead of filling the memory.
	_, err = lines(endless{})
	wantParseError(t, err, "f", 1, "at most")
	if _, err := lines(idle{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that returns nothing: %v", err)
	}
	if _, err := lines(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("ab")))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// endless is a reader of one line that never ends.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// idle is a reader that never returns anything.
type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		in   string
		base uint64
		want uint64
		ok   bool
	}{
		{"0", 10, 0, true}, {"18446744073709551615", 10, 1<<64 - 1, true}, {"18446744073709551616", 10, 0, false},
		{"99999999999999999999", 10, 0, false}, {"ffffffffffffffff", 16, 1<<64 - 1, true},
		{"10000000000000000", 16, 0, false}, {"FF", 16, 255, true}, {"02666", 8, 0o2666, true}, {"8", 8, 0, false},
		{"a", 10, 0, false}, {"", 10, 0, false}, {"-1", 10, 0, false}, {"+1", 10, 0, false}, {"1_0", 10, 0, false},
	} {
		got, ok := parseUint([]byte(c.in), c.base)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("parseUint(%q, %d) = %d, %v", c.in, c.base, got, ok)
		}
	}
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"-9223372036854775808", -1 << 63, true}, {"-9223372036854775809", 0, false},
		{"9223372036854775807", 1<<63 - 1, true}, {"9223372036854775808", 0, false},
		{"-", 0, false}, {"--1", 0, false}, {"-0", 0, true},
	} {
		got, ok := parseInt([]byte(c.in))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("parseInt(%q) = %d, %v", c.in, got, ok)
		}
	}
	for _, c := range []struct {
		in   string
		want uint64
		ok   bool
	}{
		{"4 kB", 4096, true}, {"   4 kB", 4096, true}, {"7", 7, true}, {"4 MB", 0, false}, {"4 kB x", 0, false},
		{"18014398509481983 kB", 18014398509481983 << 10, true}, {"18014398509481984 kB", 0, false}, {"", 0, false},
	} {
		got, ok := parseSize([]byte(c.in))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("parseSize(%q) = %d, %v", c.in, got, ok)
		}
	}
}
