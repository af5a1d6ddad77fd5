package procfs

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseCmdline(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Cmdline
		text string
	}{
		{fixture(t, "cmdline"), Cmdline{"./fixture", "two words", "esc\x1b[31m", ""}, `./fixture two words esc\x1b[31m `},
		{"", nil, ""},
		{"\x00", Cmdline{""}, ""},
		{"a\x00\x00", Cmdline{"a", ""}, "a "},
		{"nginx: worker\x00\x00\x00\x00\x00", Cmdline{"nginx: worker"}, "nginx: worker"},
		{"\x00\x00\x00\x00", nil, ""},
		{"a\x00\x00\x00\x00b\x00", Cmdline{"a", "", "", "", "b"}, "a    b"},
		{"no nul", Cmdline{"no nul"}, "no nul"},
	} {
		got, err := ParseCmdline(strings.NewReader(c.in))
		if err != nil {
			t.Fatal(err)
		}
		diff(t, c.want, got)
		if got.String() != c.text {
			t.Errorf("%q shows as %q, want %q", c.in, got, c.text)
		}
	}
	got, err := ParseCmdline(endless{})
	if err != nil || len(got.String()) != MaxCmdline {
		t.Errorf("an endless command line: %d bytes, %v", len(got.String()), err)
	}
}

func TestParseComm(t *testing.T) {
	for in, want := range map[string]string{
		fixture(t, "comm"): "a) R 1 (b\nc", "x\n": "x", "x": "x", "\n": "", "": "", "x\n\n": "x\n",
	} {
		if got, err := ParseComm(strings.NewReader(in)); err != nil || got != want {
			t.Errorf("ParseComm(%q) = %q, %v", in, got, err)
		}
	}
	_, err := ParseComm(endless{})
	wantParseError(t, err, "comm", 1, "at most")
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		`plain \ text`:         `plain \ text`,
		"Grüße, 世界":            "Grüße, 世界",
		"a\nb\tc\rd\x00e\x7f":  `a\nb\tc\rd\x00e\x7f`,
		"\x1b]0;title\a":       `\x1b]0;title\x07`,
		"\xff\xfe ok \xc3":     `\xff\xfe ok \xc3`,
		"\u202e rtl \u200b":    `\u202e rtl \u200b`,
		"\u00a0\u2028\u0085":   `\u00a0\u2028\u0085`,
		"\U000e0001":           `\U000e0001`,
		"\ufffd is a real one": "\ufffd is a real one",
	} {
		if got := Printable(in); got != want || !utf8.ValidString(got) {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}
