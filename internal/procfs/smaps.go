package procfs

import (
	"io"
	"iter"
	"os"
	"strings"
)

// Smap is an entry of /proc/PID/smaps: a mapping and what it costs, in bytes;
// see proc(5). Fields that the kernel does not print are 0.
type Smap struct {
	Mapping
	Size           uint64 // length of the mapping
	KernelPageSize uint64 // larger than the base page for huge pages
	MMUPageSize    uint64
	RSS            uint64 // resident; without huge pages of hugetlbfs
	PSS            uint64 // resident, each page divided by its number of mappers
	// Shared_* counts the pages that more than one mapping has in use now,
	// Private_* those that one alone has, whatever the mapping's flags: a page
	// of a MAP_SHARED mapping that nobody else has touched is private here.
	SharedClean, SharedDirty   uint64
	PrivateClean, PrivateDirty uint64
	Referenced, Anonymous      uint64
	AnonHugePages              uint64
	ShmemPmdMapped             uint64
	FilePmdMapped              uint64
	// Huge pages of hugetlbfs count here and nowhere else.
	SharedHugetlb, PrivateHugetlb uint64
	Swap, SwapPSS                 uint64
	Locked                        uint64 // kept by mlock(2), as a share like PSS
	VMFlags                       string // two-letter codes between spaces: "rd wr sh"
}

// HasFlag reports whether VMFlags has the two-letter code, such as "ht" (huge
// pages of hugetlbfs), "lo" (locked) or "sh" (shared).
func (s *Smap) HasFlag(code string) bool {
	for f := range strings.FieldsSeq(s.VMFlags) {
		if f == code {
			return true
		}
	}
	return false
}

// Resident returns all bytes in memory: RSS and the huge pages that RSS leaves
// out.
func (s *Smap) Resident() uint64 {
	return s.RSS + s.SharedHugetlb + s.PrivateHugetlb
}

// Clone returns a copy that stays valid.
func (s *Smap) Clone() Smap {
	c := *s
	c.Mapping = s.Mapping.Clone()
	return c
}

// sizeField returns where the field of the given name is kept, or nil.
func (s *Smap) sizeField(key []byte) *uint64 {
	switch string(key) {
	case "Size":
		return &s.Size
	case "KernelPageSize":
		return &s.KernelPageSize
	case "MMUPageSize":
		return &s.MMUPageSize
	case "Rss":
		return &s.RSS
	case "Pss":
		return &s.PSS
	case "Shared_Clean":
		return &s.SharedClean
	case "Shared_Dirty":
		return &s.SharedDirty
	case "Private_Clean":
		return &s.PrivateClean
	case "Private_Dirty":
		return &s.PrivateDirty
	case "Referenced":
		return &s.Referenced
	case "Anonymous":
		return &s.Anonymous
	case "AnonHugePages":
		return &s.AnonHugePages
	case "ShmemPmdMapped":
		return &s.ShmemPmdMapped
	case "FilePmdMapped":
		return &s.FilePmdMapped
	case "Shared_Hugetlb":
		return &s.SharedHugetlb
	case "Private_Hugetlb":
		return &s.PrivateHugetlb
	case "Swap":
		return &s.Swap
	case "SwapPss":
		return &s.SwapPSS
	case "Locked":
		return &s.Locked
	}
	return nil
}

// isHeader reports whether line begins a mapping: only there does the first
// word not end in a colon.
func isHeader(line []byte) bool {
	word, _ := field(line)
	return len(word) == 0 || word[len(word)-1] != ':'
}

// Smaps returns an iterator over /proc/PID/smaps, or smaps_rollup, read from
// r. The Smap that it yields is overwritten by the next step. Fields that it
// does not know are passed over. After an error, which comes with a nil Smap,
// it ends.
func Smaps(r io.Reader) iter.Seq2[*Smap, error] {
	return func(yield func(*Smap, error) bool) {
		lr := newLineReader(r, "smaps")
		defer lr.close()
		var s Smap
		var path []byte // outlives the header line's place in the buffer
		open := false
		for {
			line, ok := lr.next()
			if !ok {
				break
			}
			if isHeader(line) {
				if open && !yield(&s, nil) {
					return
				}
				s = Smap{}
				if want, got := s.parse(line); want != "" {
					yield(nil, lr.fail(want, got))
					return
				}
				if s.Named() {
					path = append(path[:0], s.Path...)
					s.Path = path
				}
				open = true
				continue
			}
			if !open {
				yield(nil, lr.fail("the line of a mapping", line))
				return
			}
			key, value, _ := keyValue(line)
			if string(key) == "VmFlags" {
				s.VMFlags = string(value)
			} else if dst := s.sizeField(key); dst != nil {
				if *dst, ok = parseSize(value); !ok {
					yield(nil, lr.fail("a size for "+string(key), value))
					return
				}
			}
		}
		if lr.err != nil {
			yield(nil, lr.err)
		} else if open {
			yield(&s, nil)
		}
	}
}

// ParseSmaps returns all entries of /proc/PID/smaps read from r, as copies.
func ParseSmaps(r io.Reader) ([]Smap, error) {
	var all []Smap
	for s, err := range Smaps(r) {
		if err != nil {
			return nil, err
		}
		all = append(all, s.Clone())
	}
	return all, nil
}

// Smaps returns an iterator over the mappings of process pid and what they
// cost. The kernel walks page tables for it, which takes far longer than
// [Root.Maps]; the same privilege is needed. See the function [Smaps].
func (r Root) Smaps(pid int) iter.Seq2[*Smap, error] {
	return func(yield func(*Smap, error) bool) {
		path := r.pidPath(pid, "smaps")
		f, err := os.Open(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		for s, err := range Smaps(f) {
			if !yield(s, named(err, path)) {
				return
			}
		}
	}
}
