package procfs

import (
	"bytes"
	"encoding/hex"
	"io"
	"time"
)

// ParseBootTime returns when the system was started, from the line "btime" of
// /proc/stat, in whole seconds. The kernel derives it from the clock of now,
// so it moves when the clock is set.
func ParseBootTime(r io.Reader) (time.Time, error) {
	lr := newLineReader(r, "stat")
	defer lr.close()
	for {
		line, ok := lr.next()
		if !ok {
			break
		}
		key, rest := field(line)
		if string(key) != "btime" {
			continue
		}
		word, _ := field(rest)
		secs, ok := parseInt(word)
		if !ok {
			return time.Time{}, lr.fail("seconds after btime", word)
		}
		return time.Unix(secs, 0), nil
	}
	if lr.err == nil {
		lr.n++
		lr.err = lr.fail("a line btime", nil)
	}
	return time.Time{}, lr.err
}

// BootTime returns when the system was started. See [ParseBootTime].
func (r Root) BootTime() (time.Time, error) {
	return parseFile(r.path("stat"), ParseBootTime)
}

// BootID is a random number that the kernel chooses at boot; see random(4).
type BootID [16]byte

// String returns the id in the form of the file, a UUID.
func (id BootID) String() string {
	var b [36]byte
	at := 0
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b[at] = '-'
			at++
		}
		hex.Encode(b[at:], []byte{c})
		at += 2
	}
	return string(b[:])
}

// ParseBootID parses /proc/sys/kernel/random/boot_id.
func ParseBootID(r io.Reader) (BootID, error) {
	var id BootID
	b, err := readAll(r, "boot_id", 64)
	if err != nil {
		return id, err
	}
	b = bytes.TrimSuffix(b, []byte{'\n'})
	digits := bytes.ReplaceAll(b, []byte{'-'}, nil)
	n, err := hex.Decode(id[:], digits[:min(len(digits), 32)])
	if err != nil || n != len(id) || id.String() != string(bytes.ToLower(b)) {
		return BootID{}, &ParseError{File: "boot_id", Line: 1, Want: "a UUID", Got: excerpt(b)}
	}
	return id, nil
}

// BootID returns the id of this boot. Containers on one host share it.
func (r Root) BootID() (BootID, error) {
	return parseFile(r.path("sys/kernel/random/boot_id"), ParseBootID)
}
