package shmtest

import (
	"os"
	"strings"
)

// takeMappings adds the mappings that a program makes on purpose: shared ones
// and those of files. The heap, stacks and other private anonymous memory
// cannot be told from the runtime's own.
func (s *Snapshot) takeMappings() error {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	exe, _ := os.Readlink("/proc/self/exe")
	for line := range strings.Lines(string(text)) {
		addresses, perms, inode, path, ok := parseMapping(line)
		if !ok || !counts(perms, path, exe) {
			continue
		}
		if path == "" {
			path = "anonymous"
		}
		s.add("mapping", addresses+" of "+path, thing{detail: perms + ", inode " + inode})
	}
	return nil
}

// parseMapping splits a line of /proc/pid/maps, see proc_pid_maps(5). The path
// is the rest of the line and may hold blanks.
func parseMapping(line string) (addresses, perms, inode, path string, ok bool) {
	var field [5]string
	rest := strings.TrimSuffix(line, "\n")
	for i := range field {
		field[i], rest, _ = strings.Cut(rest, " ")
		rest = strings.TrimLeft(rest, " ")
	}
	return field[0], field[1], field[4], rest, len(field[1]) == 4
}

// libraryDirs hold what the dynamic loader and the C library map on their own.
var libraryDirs = []string{"/lib/", "/lib64/", "/usr/", "/etc/"}

func counts(perms, path, exe string) bool {
	for _, dir := range libraryDirs {
		if strings.HasPrefix(path, dir) {
			return false
		}
	}
	if strings.HasPrefix(path, "/") {
		return strings.TrimSuffix(path, " (deleted)") != strings.TrimSuffix(exe, " (deleted)")
	}
	return perms[3] == 's'
}
