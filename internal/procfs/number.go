package procfs

import (
	"bytes"
	"math"
)

// These parsers work on bytes, so that a scan of many thousand lines allocates
// nothing, and accept digits only: no signs (but parseInt), no underscores, no
// prefixes, as strconv would.

// parseUint parses an unsigned number in base 8, 10 or 16.
func parseUint(b []byte, base uint64) (uint64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	limit := math.MaxUint64 / base
	var v uint64
	for _, c := range b {
		var d uint64
		switch {
		case c >= '0' && c <= '9':
			d = uint64(c - '0')
		case c >= 'a' && c <= 'f':
			d = uint64(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = uint64(c-'A') + 10
		default:
			return 0, false
		}
		if d >= base || v > limit {
			return 0, false
		}
		v *= base
		if v+d < v {
			return 0, false
		}
		v += d
	}
	return v, true
}

// parseUint32 is parseUint for numbers below 1<<32.
func parseUint32(b []byte, base uint64) (uint32, bool) {
	v, ok := parseUint(b, base)
	return uint32(v), ok && v <= math.MaxUint32
}

// parseInt parses a decimal number that may carry a minus sign.
func parseInt(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	v, ok := parseUint(b, 10)
	switch {
	case !ok:
		return 0, false
	case neg && v <= 1<<63:
		return -int64(v), true // -int64(1<<63) is itself, the least int64
	case !neg && v <= math.MaxInt64:
		return int64(v), true
	}
	return 0, false
}

// parseInt32 is parseInt for numbers of 32 bits.
func parseInt32(b []byte) (int32, bool) {
	v, ok := parseInt(b)
	return int32(v), ok && v == int64(int32(v))
}

// field returns the first word of b and what follows it. Words are separated by
// spaces and tabs; at the end both results are empty.
func field(b []byte) (word, rest []byte) {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	b = b[i:]
	for i, c := range b {
		if c == ' ' || c == '\t' {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

// keyValue cuts a line of the form "Key:  value" and trims the blanks around
// the value.
func keyValue(line []byte) (key, value []byte, ok bool) {
	key, value, ok = bytes.Cut(line, []byte{':'})
	return key, bytes.Trim(value, " \t"), ok
}

// parseSize parses "123 kB" to bytes, and a bare number to itself.
func parseSize(b []byte) (uint64, bool) {
	word, rest := field(b)
	v, ok := parseUint(word, 10)
	if !ok {
		return 0, false
	}
	unit, rest := field(rest)
	if len(unit) == 0 {
		return v, true
	}
	if more, _ := field(rest); string(unit) != "kB" || len(more) > 0 || v > math.MaxUint64>>10 {
		return 0, false
	}
	return v << 10, true
}
