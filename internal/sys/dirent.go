package sys

import (
	"bytes"
	"encoding/binary"
)

// Types of a directory entry (readdir(3)).
const (
	DT_UNKNOWN = 0
	DT_DIR     = 4
	DT_REG     = 8
)

// Dirent is an entry of a directory. Name points into the buffer that it was
// read from.
type Dirent struct {
	Ino  uint64
	Type uint8
	Name []byte
}

// NextEntry takes the first entry off p, which Getdents filled. It reports
// false when there is none, or p is not what the kernel writes.
func NextEntry(p []byte) (d Dirent, rest []byte, ok bool) {
	// struct linux_dirent64: u64 inode, i64 offset, u16 length, u8 type, name.
	const head = 19
	if len(p) < head {
		return Dirent{}, nil, false
	}
	n := int(binary.LittleEndian.Uint16(p[16:]))
	if n < head || n > len(p) {
		return Dirent{}, nil, false
	}
	name := p[head:n]
	if i := bytes.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	return Dirent{Ino: binary.LittleEndian.Uint64(p), Type: p[18], Name: name}, p[n:], true
}
