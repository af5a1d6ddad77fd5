package shmtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// takeDescriptors adds the open descriptors. The one that reads the directory
// is closed when the links are read, so it is not among them.
func (s *Snapshot) takeDescriptors() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		link := "/proc/self/fd/" + entry.Name()
		target, err := os.Readlink(link)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		// Whether the name was removed meanwhile makes no other descriptor.
		name := entry.Name() + " -> " + strings.TrimSuffix(target, " (deleted)")
		s.add("descriptor", name, thing{
			detail: descriptorDetail(entry.Name()),
			// The runtime may drop its own view of the CPU limits.
			missed: !strings.HasPrefix(target, "/sys/fs/cgroup/") && !strings.HasPrefix(target, "/proc/"),
		})
	}
	return nil
}

// openFlags are the names of the flags in fdinfo that tell something. The
// values are those that amd64 and arm64 have in common.
var openFlags = []struct {
	bit  int64
	name string
}{
	{0o2000, "O_APPEND"}, {0o4000, "O_NONBLOCK"}, {0o10000000, "O_PATH"}, {0o2000000, "O_CLOEXEC"},
}

// descriptorDetail says how a descriptor is open and how large its file is.
func descriptorDetail(fd string) string {
	var words []string
	if info, err := os.ReadFile("/proc/self/fdinfo/" + fd); err == nil {
		for line := range strings.Lines(string(info)) {
			octal, ok := strings.CutPrefix(line, "flags:")
			if !ok {
				continue
			}
			flags, err := strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			if err != nil {
				break
			}
			names := []string{[]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}[flags&3]}
			for _, f := range openFlags {
				if flags&f.bit != 0 {
					names = append(names, f.name)
				}
			}
			words = append(words, strings.Join(names, "|"))
		}
	}
	if info, err := os.Stat("/proc/self/fd/" + fd); err == nil && info.Mode().IsRegular() {
		words = append(words, fmt.Sprintf("%d bytes", info.Size()))
	}
	return strings.Join(words, ", ")
}
