package procfs

import (
	"bytes"
	"io"
)

// MemoryStat is the part of a control group's memory.stat that tells what its
// memory is used for, in bytes, with all groups below it; see cgroups(7).
type MemoryStat struct {
	Anon  uint64 // private anonymous memory; "rss" in version 1
	File  uint64 // page cache and shared memory; "cache" in version 1
	Shmem uint64 // System V, tmpfs, memfd and shared anonymous memory; part of File
	// ActiveFile and InactiveFile are page cache of files on disk, without
	// shared memory.
	ActiveFile, InactiveFile uint64
}

// Reclaimable returns the bytes that the kernel can take back without swap,
// roughly: the page cache of files on disk. Shared memory is not among them.
func (s *MemoryStat) Reclaimable() uint64 {
	return s.ActiveFile + s.InactiveFile
}

// ParseMemoryStat parses memory.stat of version 2 or 1. Where version 1 has a
// line for the group alone and one for it with all below ("total_shmem"), the
// latter counts, as it is in version 2.
func ParseMemoryStat(r io.Reader) (MemoryStat, error) {
	lr := newLineReader(r, "memory.stat")
	defer lr.close()
	var own, total MemoryStat
	hasTotal := false
	for {
		line, ok := lr.next()
		if !ok {
			break
		}
		key, rest := field(line)
		dst := &own
		name, isTotal := bytes.CutPrefix(key, []byte("total_"))
		if isTotal {
			dst, hasTotal = &total, true
		}
		to := dst.counter(name)
		if to == nil {
			continue
		}
		word, _ := field(rest)
		if *to, ok = parseUint(word, 10); !ok {
			return MemoryStat{}, lr.fail("a number for "+string(key), word)
		}
	}
	if lr.err != nil {
		return MemoryStat{}, lr.err
	}
	if hasTotal {
		return total, nil
	}
	return own, nil
}

// counter returns where the value of the given name is kept, or nil.
func (s *MemoryStat) counter(name []byte) *uint64 {
	switch string(name) {
	case "anon", "rss":
		return &s.Anon
	case "file", "cache":
		return &s.File
	case "shmem":
		return &s.Shmem
	case "active_file":
		return &s.ActiveFile
	case "inactive_file":
		return &s.InactiveFile
	}
	return nil
}
