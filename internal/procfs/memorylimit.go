package procfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
)

// NoLimit stands for a limit that is not set.
const NoLimit = math.MaxUint64

// noLimitV1 is where limits of version 1 mean none: unset they read as the
// largest int64 rounded down to a page, whose size differs.
const noLimitV1 = 1 << 62

// MemoryLimit is what one control group allows, in bytes, to itself and all
// groups below it together; see cgroups(7).
type MemoryLimit struct {
	// Limit is memory.max, or memory.limit_in_bytes of version 1: past it the
	// kernel reclaims, and kills when that is not enough. Or NoLimit.
	Limit uint64
	// High is memory.high: past it the kernel slows the group down. Or
	// NoLimit, always with version 1.
	High uint64
	// Usage is memory.current or memory.usage_in_bytes. It counts page cache
	// too, which the kernel drops before it refuses anything: see
	// [MemoryLimit.Stat].
	Usage uint64
	// Path is the directory of the group; empty when no memory controller was
	// found.
	Path string
	// Version is 1 or 2; 0 when no memory controller was found.
	Version int
}

// Room returns Limit less Usage, 0 when Usage is larger, and NoLimit without a
// limit. What can really be taken is more by what the kernel can reclaim.
func (m MemoryLimit) Room() uint64 {
	if m.Limit == NoLimit {
		return NoLimit
	}
	return m.Limit - min(m.Limit, m.Usage)
}

// Stat reads the group's memory.stat.
func (m MemoryLimit) Stat() (MemoryStat, error) {
	if m.Path == "" {
		return MemoryStat{}, &fs.PathError{Op: "open", Path: "memory.stat", Err: fs.ErrNotExist}
	}
	return parseFile(m.Path+"/memory.stat", ParseMemoryStat)
}

// ParseMemoryValue parses a file that holds one size, such as memory.max or
// memory.usage_in_bytes: a number of bytes, or "max" for [NoLimit].
func ParseMemoryValue(r io.Reader) (uint64, error) {
	b, err := readAll(r, "memory", 64)
	if err != nil {
		return 0, err
	}
	word := bytes.TrimSuffix(b, []byte{'\n'})
	if string(word) == "max" {
		return NoLimit, nil
	}
	v, ok := parseUint(word, 10)
	if !ok {
		return 0, &ParseError{File: "memory", Line: 1, Want: `a number of bytes or "max"`, Got: excerpt(b)}
	}
	return v, nil
}

// MemoryLimit returns the tightest limit that holds for process pid: of its
// control group and all above it that can be seen, the one with the least
// [MemoryLimit.Room]. Without any limit it returns the process' own group with
// Limit NoLimit; without a memory controller a value whose Path is empty and
// whose Limit is NoLimit. It needs no privilege.
func (r Root) MemoryLimit(pid int) (MemoryLimit, error) {
	all, err := r.MemoryLimits(pid)
	if err != nil {
		return MemoryLimit{}, err
	}
	return tightest(all), nil
}

// tightest returns the limit with the least room, the first of equals.
func tightest(all []MemoryLimit) MemoryLimit {
	if len(all) == 0 {
		return MemoryLimit{Limit: NoLimit, High: NoLimit}
	}
	best := all[0]
	for _, m := range all[1:] {
		if m.Room() < best.Room() {
			best = m
		}
	}
	return best
}

// MemoryLimits returns the limits of the control group of process pid and of
// all groups above it, from the inside out, as far as the mounts of the caller
// show them. Groups without the files of the memory controller (the root of
// version 2 is one) are left out. Without a memory controller the result is
// empty.
func (r Root) MemoryLimits(pid int) ([]MemoryLimit, error) {
	groups, err := r.Cgroups(pid)
	if err != nil {
		return nil, err
	}
	mounts, err := r.Mounts(Thread)
	if errors.Is(err, fs.ErrNotExist) { // before Linux 3.17
		mounts, err = r.Mounts(Self)
	}
	if err != nil {
		return nil, err
	}
	// A controller is in one hierarchy only. Where version 1 has it, the
	// groups of version 2 have no files for it.
	if g := groups.V1("memory"); g != nil {
		dirs := groupDirs(mounts, g.Path, func(m *Mount) bool {
			_, ok := m.SuperOption("memory")
			return ok && m.FSType == "cgroup"
		})
		if len(dirs) > 0 {
			return memoryLimitsV1(dirs)
		}
	}
	if g := groups.V2(); g != nil {
		return memoryLimitsV2(groupDirs(mounts, g.Path, func(m *Mount) bool {
			return m.FSType == "cgroup2"
		}))
	}
	return nil, nil
}

// groupDirs returns the directories of the group and of all above it, from the
// inside out, in the best of the mounts that want accepts.
//
// The group's path is relative to the root of the cgroup namespace, the root
// of the mount too, and neither need fit what the mount shows: in a container
// the group's own directory is often mounted where its path says that
// something above it is. So the part of the path that is not there is dropped
// from its end.
func groupDirs(mounts Mounts, group string, want func(*Mount) bool) []string {
	group = strings.TrimSuffix(group, deletedSuffix)
	var best *Mount
	for i := range mounts {
		m := &mounts[i]
		if !want(m) {
			continue
		}
		// Best is what contains the group and shows most above it.
		fits := within(group, m.Root)
		if best == nil || fits && (!within(group, best.Root) || len(m.Root) < len(best.Root)) {
			best = m
		}
	}
	if best == nil {
		return nil
	}
	rel := group
	if within(group, best.Root) {
		rel = group[len(strings.TrimSuffix(best.Root, "/")):]
	}
	// Clean takes leading ".." away, so that we stay inside the mount.
	rel = path.Clean("/" + rel)
	for rel != "/" && !isDir(best.MountPoint+rel) {
		rel = path.Dir(rel)
	}
	var dirs []string
	for rel != "/" {
		dirs = append(dirs, path.Join(best.MountPoint, rel))
		rel = path.Dir(rel)
	}
	return append(dirs, best.MountPoint)
}

// isDir reports whether name is a directory.
func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// memoryLimitsV2 reads the limits of the groups in dirs.
func memoryLimitsV2(dirs []string) ([]MemoryLimit, error) {
	var all []MemoryLimit
	for _, dir := range dirs {
		m := MemoryLimit{Path: dir, Version: 2, High: NoLimit}
		err := memoryValue(dir, "memory.max", &m.Limit)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the root, or the controller is not enabled here
		}
		err = errors.Join(err, memoryValue(dir, "memory.current", &m.Usage))
		if high := memoryValue(dir, "memory.high", &m.High); !errors.Is(high, fs.ErrNotExist) {
			err = errors.Join(err, high)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// memoryLimitsV1 reads the limits of the groups in dirs.
func memoryLimitsV1(dirs []string) ([]MemoryLimit, error) {
	var all []MemoryLimit
	for i, dir := range dirs {
		// Up to Linux 5.10 a group could be set not to bind those below it.
		if i > 0 {
			var hierarchical uint64
			err := memoryValue(dir, "memory.use_hierarchy", &hierarchical)
			if err == nil && hierarchical == 0 {
				break
			}
		}
		m := MemoryLimit{Path: dir, Version: 1, High: NoLimit}
		err := memoryValue(dir, "memory.limit_in_bytes", &m.Limit)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err = errors.Join(err, memoryValue(dir, "memory.usage_in_bytes", &m.Usage))
		if err != nil {
			return nil, err
		}
		if m.Limit >= noLimitV1 {
			m.Limit = NoLimit
		}
		all = append(all, m)
	}
	return all, nil
}

// memoryValue reads a file in dir that holds one size.
func memoryValue(dir, name string, dst *uint64) error {
	v, err := parseFile(dir+"/"+name, ParseMemoryValue)
	if err == nil {
		*dst = v
	}
	return err
}
