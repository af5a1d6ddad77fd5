package shmtest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/internal/procfs"
)

// MemoryCgroup makes a memory control group with a limit in bytes, removed
// when the test is over, and gives the path of its cgroup.procs: who writes a
// process id there moves that process in. It skips the test where that cannot
// be. The processes must have been waited for before the test ends.
func MemoryCgroup(t testing.TB, limit int64) (procs string) {
	t.Helper()
	all, err := procfs.Root("/proc").MemoryLimits(os.Getpid())
	if err != nil || len(all) == 0 {
		t.Skipf("needs a memory cgroup: there are %d here, %v", len(all), err)
	}
	parent, file := all[0].Path, "memory.limit_in_bytes"
	if all[0].Version == 2 {
		file = "memory.max"
		if parent = delegating(all); parent == "" {
			t.Skipf("needs a memory cgroup: neither %s nor one above it has the memory controller for groups below", all[0].Path)
		}
	}
	dir := filepath.Join(parent, Name(t))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("needs to make a memory cgroup: %v", err)
	}
	t.Cleanup(func() {
		// Its processes have been waited for, and are out of it.
		if err := os.Remove(dir); err != nil {
			t.Errorf("leaving %s behind: %v", dir, err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		t.Skipf("needs to limit a memory cgroup: %v", err)
	}
	return filepath.Join(dir, "cgroup.procs")
}

// delegating gives the nearest group of version 2 whose children are under the
// memory controller. It is not the innermost one as a rule: a group that has
// processes has no such children, the root excepted.
func delegating(all []procfs.MemoryLimit) string {
	dir := all[0].Path
	for range len(all) + 1 { // the root is not among them
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		if err == nil && slices.Contains(strings.Fields(string(b)), "memory") {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return ""
}
