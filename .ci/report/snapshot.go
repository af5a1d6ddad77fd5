package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// settings are the knobs of the machine that a test could turn and forget.
var settings = []string{
	"/proc/sys/fs/mqueue/*",
	"/proc/sys/fs/nr_open",
	"/proc/sys/fs/protected_*",
	"/proc/sys/fs/suid_dumpable",
	"/proc/sys/kernel/core_pattern",
	"/proc/sys/kernel/msg*",
	"/proc/sys/kernel/randomize_va_space",
	"/proc/sys/kernel/sem*",
	"/proc/sys/kernel/shm*",
	"/proc/sys/kernel/yama/*",
	"/proc/sys/user/max_*",
	"/proc/sys/vm/hugetlb_shm_group",
	"/proc/sys/vm/max_map_count",
	"/proc/sys/vm/memfd_noexec",
	"/proc/sys/vm/mmap_min_addr",
	"/proc/sys/vm/nr_hugepages",
	"/proc/sys/vm/nr_overcommit_hugepages",
	"/proc/sys/vm/overcommit_*",
	"/proc/sys/vm/swappiness",
	"/proc/sys/vm/unprivileged_userfaultfd",
	"/sys/kernel/mm/hugepages/*/nr_hugepages",
	"/sys/kernel/mm/hugepages/*/nr_overcommit_hugepages",
	"/sys/kernel/mm/ksm/run",
	"/sys/kernel/mm/transparent_hugepage/enabled",
	"/sys/kernel/mm/transparent_hugepage/shmem_enabled",
	"/sys/block/loop*/loop/backing_file",
}

// snapshot is the part of the machine's state that a run must leave as it was:
// a line of text for each thing that exists.
type snapshot map[string]string

// takeSnapshot looks at shared memory objects, System V tables, mounts and settings.
func takeSnapshot() snapshot {
	s := make(snapshot)
	s.addTree("/dev/shm")
	s.addTree("/dev/mqueue")
	// Only the columns of sysvFields: counts and times change while nobody errs.
	s.addTable("/proc/sysvipc/shm")
	s.addTable("/proc/sysvipc/sem")
	s.addTable("/proc/sysvipc/msg")
	s.addMounts("/proc/self/mountinfo")
	for _, pattern := range settings {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				continue // some can be written and not read, some need root
			}
			s["setting "+name] = strings.TrimSpace(string(text))
		}
	}
	return s
}

// addTree adds each file below dir with its inode, mode and size.
func (s snapshot) addTree(dir string) {
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile, or not ours to read
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		size := info.Size()
		if d.IsDir() {
			size = 0
		}
		s[fmt.Sprintf("file %q inode %d", name, st.Ino)] = fmt.Sprintf("mode %v, uid %d, %d bytes", info.Mode(), st.Uid, size)
		return nil
	})
}

// sysvFields names the columns that identify an object, in each of the tables.
var sysvFields = map[string]bool{
	"key": true, "shmid": true, "semid": true, "msqid": true, "perms": true,
	"size": true, "nsems": true, "uid": true, "gid": true, "cuid": true, "cgid": true,
}

// addTable adds the lines of one of the tables below /proc/sysvipc.
func (s snapshot) addTable(name string) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	var head []string
	for in.Scan() {
		fields := strings.Fields(in.Text())
		if head == nil {
			head = fields
			continue
		}
		var id, rest []string
		for i, field := range fields {
			if i >= len(head) || !sysvFields[head[i]] {
				continue
			}
			if strings.HasSuffix(head[i], "id") && len(head[i]) == 5 {
				id = append(id, field)
			} else {
				rest = append(rest, head[i]+" "+field)
			}
		}
		s[name+" id "+strings.Join(id, " ")] = strings.Join(rest, ", ")
	}
}

// addMounts adds each mount: where, of what, from where.
func (s snapshot) addMounts(name string) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		left, right, ok := strings.Cut(in.Text(), " - ")
		fields := strings.Fields(left)
		if !ok || len(fields) < 6 {
			continue
		}
		s["mount "+fields[0]+" at "+fields[4]] = strings.Join(fields[3:6], " ") + " " + right
	}
}

// diff says what differs from s in after, a line each, sorted.
func (s snapshot) diff(after snapshot) []string {
	var lines []string
	both := make(map[string]bool)
	for k := range s {
		both[k] = true
	}
	for k := range after {
		both[k] = true
	}
	for _, k := range sortedKeys(both) {
		was, before := s[k]
		is, now := after[k]
		switch {
		case !before:
			lines = append(lines, "left behind: "+k+": "+is)
		case !now:
			lines = append(lines, "gone: "+k+": "+was)
		case was != is:
			lines = append(lines, "changed: "+k+": "+was+" -> "+is)
		}
	}
	return lines
}
