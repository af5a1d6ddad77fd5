package procfs

import (
	"os"
	"slices"
)

// PIDs returns the ids of all processes in the caller's pid namespace that
// proc(5) lists, in ascending order. It reads the names in one directory and
// no file, so it costs little; with the mount option hidepid it shows only the
// caller's own processes. Every process may be gone by the time it is looked
// at: see [Gone].
func (r Root) PIDs() ([]int, error) {
	return numericNames(r.dir())
}

// numericNames returns the names in dir that are decimal numbers, ascending.
func numericNames(dir string) ([]int, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	nums := make([]int, 0, len(names))
	for _, name := range names {
		if n, ok := parseName(name); ok {
			nums = append(nums, n)
		}
	}
	slices.Sort(nums)
	return nums, nil
}

// parseName parses a directory entry that is a number of at most 31 bits.
func parseName(name string) (int, bool) {
	if name == "" || len(name) > 10 || name[0] == '0' && name != "0" {
		return 0, false
	}
	n := 0
	for _, c := range []byte(name) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
		if n > 1<<31-1 {
			return 0, false
		}
	}
	return n, true
}
