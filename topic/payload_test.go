package topic_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var le = binary.LittleEndian

// fill makes b, at least 16 bytes, the sample of number i: a torn one, or one
// of another number, does not pass check.
func fill(b []byte, i uint64) {
	le.PutUint64(b, i)
	x := i*0x9E3779B97F4A7C15 + 1
	for at := 16; at < len(b); at += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		var w [8]byte
		le.PutUint64(w[:], x)
		copy(b[at:], w[:])
	}
	le.PutUint64(b[8:], uint64(crc32.ChecksumIEEE(b[16:]))<<32|uint64(len(b)))
}

// check gives the number of a sample that is whole.
func check(b []byte) (uint64, error) {
	if len(b) < 16 {
		return 0, fmt.Errorf("%d bytes", len(b))
	}
	i := le.Uint64(b)
	if want := uint64(crc32.ChecksumIEEE(b[16:]))<<32 | uint64(len(b)); le.Uint64(b[8:]) != want {
		return i, fmt.Errorf("sample %d of %d bytes is torn", i, len(b))
	}
	return i, nil
}

// sizeOf is how large sample i is.
func sizeOf(i uint64, most int) int { return 16 + int(i*7919%uint64(most-15)) }
