package procfs

import (
	"io"
)

// SysvShm is a row of /proc/sysvipc/shm: one System V segment of the reader's
// IPC namespace; see sysvipc(5) and shmctl(2). The file shows all segments,
// also those whose mode would not let the caller stat them.
type SysvShm struct {
	// Key is the key_t that shmget(2) takes, signed as in the file. It is 0
	// (IPC_PRIVATE) for a private segment and for one that has been marked for
	// removal. People know keys as fmt.Sprintf("0x%08x", uint32(Key)).
	Key int32
	// ID is the identifier; 0 is an ordinary one.
	ID int32
	// Perms holds the nine permission bits and [ShmDest] and [ShmLocked].
	Perms uint32
	// Size is the size in bytes that was asked for, not rounded.
	Size uint64
	// CPID and LPID are the processes that made the segment and that attached
	// or detached it last, as ids in the reader's pid namespace: 0 when the
	// process is not visible there or when there was none. The id of a dead
	// process may have been given to another.
	CPID, LPID int32
	// Nattch is the number of mappings (not of processes).
	Nattch uint64
	// UID and GID are the owner's, CUID and CGID the creator's.
	UID, GID, CUID, CGID uint32
	// Atime, Dtime and Ctime are seconds since 1970 of the last attach, the
	// last detach, and the creation or last change by IPC_SET; 0 is never.
	Atime, Dtime, Ctime int64
	// RSS and Swap are bytes in memory and in swap, if HasUsage: kernels
	// before 2.6.36 do not say. For huge pages the kernel multiplies RSS once
	// too often, by the number of base pages in a huge page.
	RSS, Swap uint64
	HasUsage  bool
}

// Bits of [SysvShm.Perms] beside the permissions.
const (
	ShmDest   = 0o1000 // marked for removal, gone with its last mapping
	ShmLocked = 0o2000 // kept out of swap
)

// Dest reports whether the segment is marked for removal.
func (s *SysvShm) Dest() bool { return s.Perms&ShmDest != 0 }

// Locked reports whether SHM_LOCK keeps the segment out of swap.
func (s *SysvShm) Locked() bool { return s.Perms&ShmLocked != 0 }

// sysvShmColumns are the columns in today's order. A kernel may have fewer or
// more; the header tells.
var sysvShmColumns = []string{
	"key", "shmid", "perms", "size", "cpid", "lpid", "nattch", "uid", "gid",
	"cuid", "cgid", "atime", "dtime", "ctime", "rss", "swap",
}

// sysvShmRequired is how many of sysvShmColumns a file must have: all up to
// ctime have been there from the start.
const sysvShmRequired = 14

// ParseSysvShm parses /proc/sysvipc/shm. Columns are found by their names in
// the header line, so that missing rss and swap, columns unknown to us and
// another order do no harm. Some kernels (5.3 to 5.7) repeat rows where two
// reads meet: each identifier is returned once, the first row of it, in the
// file's order.
func ParseSysvShm(r io.Reader) ([]SysvShm, error) {
	lr := newLineReader(r, "sysvipc/shm")
	defer lr.close()
	header, ok := lr.next()
	if !ok {
		if lr.err == nil {
			lr.n = 1
			lr.err = lr.fail("a header line", nil)
		}
		return nil, lr.err
	}
	columns, err := sysvShmHeader(lr, header)
	if err != nil {
		return nil, err
	}
	var segs []SysvShm
	seen := make(map[int32]struct{})
	for {
		line, ok := lr.next()
		if !ok {
			return segs, lr.err
		}
		var s SysvShm
		for _, c := range columns {
			var word []byte
			word, line = field(line)
			if c >= 0 && !s.set(c, word) {
				return nil, lr.fail("a number for "+sysvShmColumns[c], word)
			}
		}
		if _, dup := seen[s.ID]; dup {
			continue
		}
		seen[s.ID] = struct{}{}
		segs = append(segs, s)
	}
}

// sysvShmHeader returns for each column of the file its index in
// sysvShmColumns, or -1 for one that is unknown.
func sysvShmHeader(lr *lineReader, header []byte) ([]int, error) {
	var columns []int
	have := make([]bool, len(sysvShmColumns))
	for rest := header; ; {
		var word []byte
		word, rest = field(rest)
		if len(word) == 0 {
			break
		}
		at := -1
		for i, name := range sysvShmColumns {
			if string(word) == name {
				at = i
			}
		}
		if at >= 0 {
			if have[at] {
				return nil, lr.fail("column "+sysvShmColumns[at]+" once", header)
			}
			have[at] = true
		}
		columns = append(columns, at)
	}
	for i, name := range sysvShmColumns[:sysvShmRequired] {
		if !have[i] {
			return nil, lr.fail("a column "+name, header)
		}
	}
	return columns, nil
}

// set parses word into the column at index c of sysvShmColumns.
func (s *SysvShm) set(c int, word []byte) (ok bool) {
	switch c {
	case 0:
		s.Key, ok = parseInt32(word)
	case 1:
		s.ID, ok = parseInt32(word)
	case 2:
		s.Perms, ok = parseUint32(word, 8)
	case 3:
		s.Size, ok = parseUint(word, 10)
	case 4:
		s.CPID, ok = parseInt32(word)
	case 5:
		s.LPID, ok = parseInt32(word)
	case 6:
		s.Nattch, ok = parseUint(word, 10)
	case 7:
		s.UID, ok = parseUint32(word, 10)
	case 8:
		s.GID, ok = parseUint32(word, 10)
	case 9:
		s.CUID, ok = parseUint32(word, 10)
	case 10:
		s.CGID, ok = parseUint32(word, 10)
	case 11:
		s.Atime, ok = parseTime(word)
	case 12:
		s.Dtime, ok = parseTime(word)
	case 13:
		s.Ctime, ok = parseTime(word)
	case 14:
		s.RSS, ok = parseUint(word, 10)
		s.HasUsage = true
	case 15:
		s.Swap, ok = parseUint(word, 10)
	}
	return ok
}

// parseTime parses a time64_t, which the kernel prints as an unsigned number.
func parseTime(b []byte) (int64, bool) {
	v, ok := parseUint(b, 10)
	return int64(v), ok
}

// SysvShm returns all System V segments of the caller's IPC namespace. It needs
// no privilege. See [ParseSysvShm].
func (r Root) SysvShm() ([]SysvShm, error) {
	return parseFile(r.path("sysvipc/shm"), ParseSysvShm)
}
