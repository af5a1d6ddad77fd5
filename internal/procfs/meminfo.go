package procfs

import (
	"io"
)

// Meminfo is /proc/meminfo by the names of its lines; see proc(5). Sizes are
// in bytes; HugePages_Total, HugePages_Free, HugePages_Rsvd and HugePages_Surp
// are counts of pages of the default huge size, which is Hugepagesize. A name
// that the kernel does not know reads as 0.
//
// Shmem is all shared memory of the machine together: tmpfs, System V, memfd
// and shared anonymous. MemAvailable is what can be had without swapping.
type Meminfo map[string]uint64

// ParseMeminfo parses /proc/meminfo.
func ParseMeminfo(r io.Reader) (Meminfo, error) {
	lr := newLineReader(r, "meminfo")
	defer lr.close()
	m := make(Meminfo, 64)
	for {
		line, ok := lr.next()
		if !ok {
			break
		}
		key, value, ok := keyValue(line)
		if !ok || len(key) == 0 {
			return nil, lr.fail("NAME: VALUE", line)
		}
		v, ok := parseSize(value)
		if !ok {
			return nil, lr.fail("a size for "+string(excerpt(key)), value)
		}
		m[string(key)] = v
	}
	if lr.err != nil {
		return nil, lr.err
	}
	return m, nil
}

// Meminfo returns the memory of the machine. A container sees that of its host.
func (r Root) Meminfo() (Meminfo, error) {
	return parseFile(r.path("meminfo"), ParseMeminfo)
}
