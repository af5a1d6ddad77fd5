package procfs

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s with everything that could disturb a terminal or a
// table shown as Go escapes it: control characters as \n or \x1b, bytes that
// are no UTF-8 as \xff, invisible and direction-changing characters as \u202e.
// Text that needs no change is returned as it is. A backslash stays single, so
// the result is for people and cannot be turned back.
func Printable(s string) string {
	i := strings.IndexFunc(s, unprintable)
	if i < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			writeHex(&b, 'x', uint32(s[0]), 2)
		case !unprintable(r):
			b.WriteString(s[:n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x80:
			writeHex(&b, 'x', uint32(r), 2)
		case r < 0x10000:
			writeHex(&b, 'u', uint32(r), 4)
		default:
			writeHex(&b, 'U', uint32(r), 8)
		}
		s = s[n:]
	}
	return b.String()
}

// unprintable reports whether r is shown escaped. Of the spaces only U+0020 is
// shown as it is.
func unprintable(r rune) bool {
	return !unicode.IsPrint(r)
}

// writeHex writes a backslash, the kind and v with the given number of digits.
func writeHex(b *strings.Builder, kind byte, v uint32, digits int) {
	const hex = "0123456789abcdef"
	b.WriteByte('\\')
	b.WriteByte(kind)
	for i := digits - 1; i >= 0; i-- {
		b.WriteByte(hex[v>>(4*i)&0xf])
	}
}
