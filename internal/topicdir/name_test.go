package topicdir

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"x": true, "with space": true, " ": true, "emoji \U0001F600": true, "a.b": true, "x.topic": true, "-": true, "%s": true,
		strings.Repeat("x", 200): true, strings.Repeat("ü", 100): true,
		"": false, ".": false, "..": false, ".x": false, "a/b": false, "/x": false, "x\n": false, "x\x00": false,
		"\x1b[31m": false, "x\x7f": false, "\u0085": false, "x" + string([]byte{0xff}): false,
		strings.Repeat("x", 201): false, strings.Repeat("x", 300): false, strings.Repeat("ü", 101): false,
	} {
		err := CheckName(name)
		if (err == nil) != ok || err != nil && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == utf8.RuneError }) {
			t.Errorf("%q: the error is not printable: %q", name, err)
		}
	}
}

func TestParseID(t *testing.T) {
	id := NewID()
	if got, ok := ParseID(id.String()); !ok || got != id || len(id.String()) != 32 {
		t.Errorf("%v came back as %v, %v", id, got, ok)
	}
	for _, s := range []string{"", "0", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("A", 32), strings.Repeat("g", 32)} {
		if _, ok := ParseID(s); ok {
			t.Errorf("%q is an ID", s)
		}
	}
	if other := NewID(); other == id {
		t.Error("the same ID twice")
	}
}
