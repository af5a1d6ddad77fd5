package procfs

import (
	"bytes"
	"strconv"
)

// Kind says what memory a mapping shows, judged by its name alone.
//
// Names can be forged: in a mount namespace of its own a process may have a
// file whose path reads like those that the kernel gives. System V segments,
// memfds and shared anonymous memory live on a mount of the kernel's own (huge
// pages on another): who must be sure compares [Mapping.Dev] with that of a
// mapping of the same kind that it made itself.
type Kind uint8

// The kinds of mappings.
const (
	KindAnonymous       Kind = iota // private memory: without a name, or anonymous huge pages
	KindSpecial                     // [heap], [stack], [vdso], [anon:NAME], and what else is in brackets
	KindSysV                        // a System V segment, of any page size
	KindMemfd                       // memfd_create(2)
	KindSharedAnonymous             // MAP_SHARED|MAP_ANONYMOUS, or /dev/zero mapped shared
	KindSecret                      // memfd_secret(2)
	KindFile                        // a file with a path, also unlinked: POSIX objects are here
	KindOther                       // anon_inode:..., (unreachable) paths and the like
)

var kindNames = [...]string{"anonymous", "special", "sysv", "memfd", "shared-anonymous", "secret", "file", "other"}

// String returns a word for k, such as "sysv".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Names that the kernel gives to memory without a file of the user's.
const (
	sysvPrefix    = "/SYSV"
	memfdPrefix   = "/memfd:"
	zeroPath      = "/dev/zero (deleted)"
	hugePath      = "/anon_hugepage (deleted)" // MAP_HUGETLB, private or shared
	secretPath    = "/secretmem (deleted)"
	anonShmPrefix = "[anon_shmem:"
)

// Kind classifies m.
func (m *Mapping) Kind() Kind {
	p := m.Path
	switch {
	case len(p) == 0:
		return KindAnonymous
	case p[0] == '[':
		if bytes.HasPrefix(p, []byte(anonShmPrefix)) {
			return KindSharedAnonymous
		}
		return KindSpecial
	case p[0] != '/':
		return KindOther
	}
	if _, ok := m.SysvKey(); ok {
		return KindSysV
	}
	if _, ok := m.Memfd(); ok {
		return KindMemfd
	}
	switch string(p) {
	case zeroPath:
		return KindSharedAnonymous
	case hugePath:
		if m.Shared() {
			return KindSharedAnonymous
		}
		return KindAnonymous
	case secretPath:
		return KindSecret
	}
	return KindFile
}

// SysvKey returns the key of a System V segment, from the name
// "/SYSV1234abcd (deleted)"; the inode of such a mapping is the identifier of
// the segment, in the IPC namespace that it was made in. The key is the one
// that the segment was made with, also after IPC_RMID, when
// /proc/sysvipc/shm shows 0; it is 0 for IPC_PRIVATE.
func (m *Mapping) SysvKey() (key uint32, ok bool) {
	const digits = 8
	p := m.Path
	if len(p) != len(sysvPrefix)+digits+len(deletedSuffix) ||
		string(p[:len(sysvPrefix)]) != sysvPrefix || !m.Deleted() {
		return 0, false
	}
	return parseUint32(p[len(sysvPrefix):len(sysvPrefix)+digits], 16)
}

// Memfd returns the name that a memfd was created with, from
// "/memfd:NAME (deleted)", pointing into m.Path and escaped as that. Names
// need not be unique, nor true; the inode identifies.
func (m *Mapping) Memfd() (name []byte, ok bool) {
	name, ok = bytes.CutPrefix(m.Path, []byte(memfdPrefix))
	if !ok {
		return nil, false
	}
	return bytes.CutSuffix(name, []byte(deletedSuffix))
}
