package procfs

import (
	"bytes"
	"io"
	"iter"
	"os"
	"strings"
)

// Perms are the four letters that /proc/PID/maps shows for a mapping.
type Perms uint8

// The bits of [Perms].
const (
	PermRead   Perms = 1 << iota // r
	PermWrite                    // w
	PermExec                     // x
	PermShared                   // s: MAP_SHARED; its absence is p, MAP_PRIVATE
)

// String returns the form of the file, such as "rw-s".
func (p Perms) String() string {
	b := []byte("---p")
	if p&PermRead != 0 {
		b[0] = 'r'
	}
	if p&PermWrite != 0 {
		b[1] = 'w'
	}
	if p&PermExec != 0 {
		b[2] = 'x'
	}
	if p&PermShared != 0 {
		b[3] = 's'
	}
	return string(b)
}

// Mapping is a line of /proc/PID/maps; see proc(5).
type Mapping struct {
	Start, End uint64 // addresses; End is the first byte after it
	Offset     uint64 // into the file, in bytes
	Dev        Dev    // of the file, 00:00 without one
	Inode      uint64 // of the file; the identifier of a System V segment
	Perms      Perms
	// Path is the rest of the line as the kernel wrote it, empty for plain
	// anonymous memory. Only a newline is escaped, as \012; a name that holds
	// these four characters looks the same. In what an iterator yields it
	// points into a buffer and is valid until the next step; Clone keeps it.
	Path []byte
}

// Size returns the length of the mapping in bytes.
func (m *Mapping) Size() uint64 { return m.End - m.Start }

// Shared reports whether the mapping is MAP_SHARED.
func (m *Mapping) Shared() bool { return m.Perms&PermShared != 0 }

// Named reports whether the kernel prints any name for the mapping.
func (m *Mapping) Named() bool { return len(m.Path) > 0 }

// Clone returns a copy that stays valid.
func (m *Mapping) Clone() Mapping {
	c := *m
	c.Path = bytes.Clone(m.Path)
	return c
}

// deletedSuffix is what the kernel adds to the name of an unlinked file.
const deletedSuffix = " (deleted)"

// Deleted reports whether the path ends in " (deleted)". That is a hint and no
// more: a file that exists may be called so. Where it matters, compare the
// link count of the file itself, found by device and inode.
func (m *Mapping) Deleted() bool {
	return bytes.HasSuffix(m.Path, []byte(deletedSuffix))
}

// Name returns the path with \012 turned back into newlines. A suffix
// " (deleted)" stays; see [Mapping.Deleted].
func (m *Mapping) Name() string {
	return strings.ReplaceAll(string(m.Path), `\012`, "\n")
}

// Maps returns an iterator over /proc/PID/maps read from r. It allocates
// nothing per mapping: the Mapping that it yields is overwritten by the next
// step. After an error, which comes with a nil Mapping, it ends.
func Maps(r io.Reader) iter.Seq2[*Mapping, error] {
	return func(yield func(*Mapping, error) bool) {
		lr := newLineReader(r, "maps")
		defer lr.close()
		var m Mapping
		for {
			line, ok := lr.next()
			if !ok {
				break
			}
			if want, got := m.parse(line); want != "" {
				lr.err = lr.fail(want, got)
				break
			}
			if !yield(&m, nil) {
				return
			}
		}
		if lr.err != nil {
			yield(nil, lr.err)
		}
	}
}

// ParseMaps returns all mappings of /proc/PID/maps read from r, as copies.
func ParseMaps(r io.Reader) ([]Mapping, error) {
	var all []Mapping
	for m, err := range Maps(r) {
		if err != nil {
			return nil, err
		}
		all = append(all, m.Clone())
	}
	return all, nil
}

// Maps returns an iterator over the mappings of process pid. It needs the right
// to trace the process (one's own user's, or root's), else it yields EACCES.
// The list of a zombie or a kernel thread is empty. See the function [Maps].
func (r Root) Maps(pid int) iter.Seq2[*Mapping, error] {
	return func(yield func(*Mapping, error) bool) {
		path := r.pidPath(pid, "maps")
		f, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		for m, err := range Maps(f) {
			if !yield(m, named(err, path)) {
				return
			}
		}
	}
}

// parse parses one line into m. When the line is malformed it returns what it
// wanted and what it found.
func (m *Mapping) parse(line []byte) (want string, got []byte) {
	word, rest := field(line)
	start, end, ok := bytes.Cut(word, []byte{'-'})
	if !ok {
		return "an address range START-END", word
	}
	var ok1, ok2 bool
	m.Start, ok1 = parseUint(start, 16)
	m.End, ok2 = parseUint(end, 16)
	if !ok1 || !ok2 || m.Start > m.End {
		return "a hexadecimal address range START-END", word
	}
	word, rest = field(rest)
	if m.Perms, ok = parsePerms(word); !ok {
		return "permissions such as rw-s", word
	}
	word, rest = field(rest)
	if m.Offset, ok = parseUint(word, 16); !ok {
		return "a hexadecimal offset", word
	}
	word, rest = field(rest)
	if m.Dev, ok = parseDev(word, 16); !ok {
		return "a device MAJOR:MINOR", word
	}
	word, rest = field(rest)
	if m.Inode, ok = parseUint(word, 10); !ok {
		return "an inode number", word
	}
	// Names are padded on the left by spaces. None begins with one: paths
	// begin with a slash, the others with a word of the kernel's.
	m.Path = bytes.TrimLeft(rest, " ")
	return "", nil
}

// parsePerms parses four letters such as "rw-s".
func parsePerms(b []byte) (Perms, bool) {
	if len(b) != 4 {
		return 0, false
	}
	var p Perms
	for i, letter := range []byte("rwx") {
		switch b[i] {
		case letter:
			p |= PermRead << i
		case '-':
		default:
			return 0, false
		}
	}
	switch b[3] {
	case 's':
		p |= PermShared
	case 'p':
	default:
		return 0, false
	}
	return p, true
}
