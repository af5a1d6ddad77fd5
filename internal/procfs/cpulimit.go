package procfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
)

// NoCPULimit is the number of processors where no control group limits it.
var NoCPULimit = math.Inf(1)

// ParseCPUMax parses cpu.max of version 2, as processors: quota by period, or
// [NoCPULimit].
func ParseCPUMax(r io.Reader) (float64, error) {
	b, err := readAll(r, "cpu.max", 64)
	if err != nil {
		return 0, err
	}
	quota, period, _ := bytes.Cut(bytes.TrimSuffix(b, []byte{'\n'}), []byte{' '})
	p, ok := parseUint(period, 10)
	if !ok || p == 0 {
		return 0, &ParseError{File: "cpu.max", Line: 1, Want: "a period in microseconds", Got: excerpt(b)}
	}
	if string(quota) == "max" {
		return NoCPULimit, nil
	}
	q, ok := parseUint(quota, 10)
	if !ok {
		return 0, &ParseError{File: "cpu.max", Line: 1, Want: `a quota in microseconds or "max"`, Got: excerpt(b)}
	}
	return float64(q) / float64(p), nil
}

// parseCPUQuota parses cpu.cfs_quota_us of version 1, microseconds or -1 for
// none, which is what negative means here.
func parseCPUQuota(r io.Reader) (float64, error) {
	b, err := readAll(r, "cpu.cfs_quota_us", 64)
	if err != nil {
		return 0, err
	}
	word := bytes.TrimSuffix(b, []byte{'\n'})
	if string(word) == "-1" {
		return -1, nil
	}
	q, ok := parseUint(word, 10)
	if !ok {
		return 0, &ParseError{File: "cpu.cfs_quota_us", Line: 1, Want: "a quota in microseconds or -1", Got: excerpt(b)}
	}
	return float64(q), nil
}

// CPULimit returns how many processors' time the control group of process
// pid and those above it may use, the least of them: 1.5 for 150 ms in each
// 100. It is [NoCPULimit] where nothing limits it or no group with that
// controller can be seen. It needs no privilege.
func (r Root) CPULimit(pid int) (float64, error) {
	groups, err := r.Cgroups(pid)
	if err != nil {
		return 0, err
	}
	mounts, err := r.Mounts(Thread)
	if errors.Is(err, fs.ErrNotExist) { // before Linux 3.17
		mounts, err = r.Mounts(Self)
	}
	if err != nil {
		return 0, err
	}
	least := NoCPULimit
	if g := groups.V1("cpu"); g != nil {
		dirs := groupDirs(mounts, g.Path, func(m *Mount) bool {
			_, ok := m.SuperOption("cpu")
			return ok && m.FSType == "cgroup"
		})
		for _, dir := range dirs {
			quota, err := parseFile(dir+"/cpu.cfs_quota_us", parseCPUQuota)
			if errors.Is(err, fs.ErrNotExist) || err == nil && quota < 0 {
				continue // the root, or no limit
			}
			period, err2 := parseFile(dir+"/cpu.cfs_period_us", parseCPUQuota)
			if err := errors.Join(err, err2); err != nil {
				return 0, err
			}
			if period > 0 {
				least = min(least, quota/period)
			}
		}
		if len(dirs) > 0 {
			return least, nil
		}
	}
	if g := groups.V2(); g != nil {
		dirs := groupDirs(mounts, g.Path, func(m *Mount) bool { return m.FSType == "cgroup2" })
		for _, dir := range dirs {
			limit, err := parseFile(dir+"/cpu.max", ParseCPUMax)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return 0, err
			}
			least = min(least, limit)
		}
	}
	return least, nil
}
