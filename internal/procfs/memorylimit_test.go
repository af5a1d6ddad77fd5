package procfs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseCgroup(t *testing.T) {
	cs := parseFixture(t, "cgroup", ParseCgroup)
	diff(t, &Cgroup{Hierarchy: 4, Controllers: []string{"memory"}, Path: "/app.slice/demo.scope"}, cs.V1("memory"))
	diff(t, &Cgroup{Hierarchy: 9, Controllers: []string{"name=systemd"}, Path: "/"}, cs.V1("name=systemd"))
	diff(t, &Cgroup{Path: "/"}, cs.V2())

	cs, err := ParseCgroup(strings.NewReader("5:cpu,memory:/x:y\n"))
	if err != nil || cs.V2() != nil || cs.V1("mem") != nil || cs.V1("memory").Path != "/x:y" {
		t.Errorf("%+v, %v", cs, err)
	}
	for _, c := range []struct{ line, want string }{
		{"", "HIERARCHY:CONTROLLERS:PATH"}, {"0:/", "HIERARCHY:CONTROLLERS:PATH"}, {"x::/", "the number"},
		{"-1::/", "the number"}, {"0::", "an absolute path"}, {"0::x", "an absolute path"},
	} {
		_, err := ParseCgroup(strings.NewReader("0::/\n" + c.line + "\n"))
		wantParseError(t, err, "cgroup", 2, c.want)
	}
}

// group returns the files of a group, below dir, in the form of version 2.
func group(dir, limit, high string, usage int) map[string]string {
	return map[string]string{
		dir + "/memory.max":     limit + "\n",
		dir + "/memory.high":    high + "\n",
		dir + "/memory.current": fmt.Sprintln(usage),
	}
}

// groupV1 returns the files of a group, below dir, in the form of version 1.
func groupV1(dir, limit string, usage int, hierarchical string) map[string]string {
	return map[string]string{
		dir + "/memory.limit_in_bytes": limit + "\n",
		dir + "/memory.usage_in_bytes": fmt.Sprintln(usage),
		dir + "/memory.use_hierarchy":  hierarchical + "\n",
	}
}

func TestMemoryLimit(t *testing.T) {
	const none1 = "9223372036854771712" // of version 1, pages of 4 KiB
	v2 := []map[string]string{
		{"fs/cgroup.controllers": "memory\n"},
		group("fs/a", "1000000", "max", 600000),
		group("fs/a/b", "500000", "400000", 50000),
		group("fs/a/b/c", "max", "max", 100),
	}
	v1 := []map[string]string{
		groupV1("fs", none1, 9999, "1"),
		groupV1("fs/a", "1000000", 600000, "1"),
		groupV1("fs/a/b", none1, 100, "1"),
	}
	const v2mount = "30 1 0:30 %s FS rw - cgroup2 cgroup2 rw\n"
	const v1mount = "30 1 0:30 %s FS rw - cgroup cgroup rw,cpu,memory\n"
	for _, c := range []struct {
		name          string
		cgroup, mount string
		files         []map[string]string
		want          MemoryLimit
		levels        int
	}{
		{
			"version 2, tighter above", "0::/a/b/c\n", fmt.Sprintf(v2mount, "/"), v2,
			MemoryLimit{Limit: 1000000, High: NoLimit, Usage: 600000, Path: "fs/a", Version: 2}, 3,
		},
		{
			"version 2, no limit", "0::/x\n", fmt.Sprintf(v2mount, "/"), []map[string]string{group("fs/x", "max", "max", 7)},
			MemoryLimit{Limit: NoLimit, High: NoLimit, Usage: 7, Path: "fs/x", Version: 2}, 1,
		},
		{
			"version 2, in the root", "0::/\n", fmt.Sprintf(v2mount, "/"), v2,
			MemoryLimit{Limit: NoLimit, High: NoLimit}, 0,
		},
		{
			"a container that sees its own group as the root", "0::/\n", fmt.Sprintf(v2mount, "/"),
			[]map[string]string{group("fs", "2000", "1000", 500)},
			MemoryLimit{Limit: 2000, High: 1000, Usage: 500, Path: "fs", Version: 2}, 1,
		},
		{
			"a bind mount of the own group, path of the host", "0::/docker/abc\n", fmt.Sprintf(v2mount, "/docker/abc"),
			[]map[string]string{group("fs", "2000", "max", 500)},
			MemoryLimit{Limit: 2000, High: NoLimit, Usage: 500, Path: "fs", Version: 2}, 1,
		},
		{
			"a path that is not below the mount", "0::/docker/abc/sub\n", fmt.Sprintf(v2mount, "/"),
			[]map[string]string{group("fs", "2000", "max", 500)},
			MemoryLimit{Limit: 2000, High: NoLimit, Usage: 500, Path: "fs", Version: 2}, 1,
		},
		{
			"a group outside the namespace", "0::/../../other\n", fmt.Sprintf(v2mount, "/.."),
			[]map[string]string{group("fs", "2000", "max", 500)},
			MemoryLimit{Limit: 2000, High: NoLimit, Usage: 500, Path: "fs", Version: 2}, 1,
		},
		{
			"a removed group", "0::/a/gone (deleted)\n", fmt.Sprintf(v2mount, "/"), v2,
			MemoryLimit{Limit: 1000000, High: NoLimit, Usage: 600000, Path: "fs/a", Version: 2}, 1,
		},
		{
			"more used than allowed", "0::/a/over\n", fmt.Sprintf(v2mount, "/"), append(v2, group("fs/a/over", "10", "max", 20)),
			MemoryLimit{Limit: 10, High: NoLimit, Usage: 20, Path: "fs/a/over", Version: 2}, 2,
		},
		{
			"version 1", "5:cpu,memory:/a/b\n0::/\n", fmt.Sprintf(v1mount, "/"), v1,
			MemoryLimit{Limit: 1000000, High: NoLimit, Usage: 600000, Path: "fs/a", Version: 1}, 3,
		},
		{
			"version 1, above does not bind", "5:cpu,memory:/a/b\n", fmt.Sprintf(v1mount, "/"),
			append(v1, groupV1("fs/a", "1000000", 600000, "0")),
			MemoryLimit{Limit: NoLimit, High: NoLimit, Usage: 100, Path: "fs/a/b", Version: 1}, 1,
		},
		{
			"version 1, pages of 64 KiB", "5:memory:/\n", fmt.Sprintf(v1mount, "/"), []map[string]string{groupV1("fs", "9223372036854710272", 5, "1")},
			MemoryLimit{Limit: NoLimit, High: NoLimit, Usage: 5, Path: "fs", Version: 1}, 1,
		},
		{
			"version 1 in the list, but only version 2 is mounted", "5:memory:/x\n0::/a\n", fmt.Sprintf(v2mount, "/"), v2,
			MemoryLimit{Limit: 1000000, High: NoLimit, Usage: 600000, Path: "fs/a", Version: 2}, 1,
		},
		{"no controller", "1:cpu:/\n", fmt.Sprintf(v2mount, "/"), v2, MemoryLimit{Limit: NoLimit, High: NoLimit}, 0},
		{"no mount", "0::/a\n", "", nil, MemoryLimit{Limit: NoLimit, High: NoLimit}, 0},
		{
			"several mounts: the one that shows most", "0::/a/b\n",
			"31 1 0:30 /a/b FS/bind rw - cgroup2 cgroup2 rw\n" + fmt.Sprintf(v2mount, "/") + "32 1 0:30 /q FS/other rw - cgroup2 cgroup2 rw\n", v2,
			MemoryLimit{Limit: 1000000, High: NoLimit, Usage: 600000, Path: "fs/a", Version: 2}, 2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A space in the mount point shows that escapes are undone.
			dir := filepath.Join(t.TempDir(), "with space")
			for _, f := range c.files {
				writeFiles(t, dir, f)
			}
			r := testRoot(t, map[string]string{
				"7/cgroup":              c.cgroup,
				"thread-self/mountinfo": strings.ReplaceAll(c.mount, "FS", escapeMount(dir+"/fs")),
			})
			all, err := r.MemoryLimits(7)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != c.levels {
				t.Errorf("%d levels, want %d: %+v", len(all), c.levels, all)
			}
			got, err := r.MemoryLimit(7)
			if err != nil {
				t.Fatal(err)
			}
			got.Path = strings.TrimPrefix(got.Path, dir+"/")
			diff(t, c.want, got)
		})
	}
}

func TestMemoryLimitErrors(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"memory.max": "lots\n", "memory.current": "5\n"})
	r := testRoot(t, map[string]string{
		"7/cgroup":       "0::/\n",
		"self/mountinfo": "30 1 0:30 / " + dir + " rw - cgroup2 cgroup2 rw\n",
	})
	_, err := r.MemoryLimit(7)
	wantParseError(t, err, dir+"/memory.max", 1, "a number of bytes")
	if _, err := r.MemoryLimit(8); !Gone(err) {
		t.Errorf("the limit of a process that is not there: %v", err)
	}
}

func TestMemoryLimitRoom(t *testing.T) {
	for _, c := range []struct{ limit, usage, want uint64 }{
		{100, 30, 70}, {100, 100, 0}, {100, 101, 0}, {NoLimit, 5, NoLimit}, {0, 0, 0},
	} {
		if got := (MemoryLimit{Limit: c.limit, Usage: c.usage}).Room(); got != c.want {
			t.Errorf("Room of %d less %d = %d", c.limit, c.usage, got)
		}
	}
}

func TestMemoryStat(t *testing.T) {
	got := parseFixture(t, "memory_stat", ParseMemoryStat)
	diff(t, MemoryStat{
		Anon: 12210176, File: 1585168384, Shmem: 13082624, ActiveFile: 395743232, InactiveFile: 1176342528,
	}, got)

	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"memory.stat": "anon 1\nfile 20\nshmem 3\nactive_file 4\ninactive_file 5\nslab 6\n"})
	got, err := MemoryLimit{Path: dir}.Stat()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, MemoryStat{Anon: 1, File: 20, Shmem: 3, ActiveFile: 4, InactiveFile: 5}, got)
	if got.Reclaimable() != 9 {
		t.Errorf("reclaimable %d", got.Reclaimable())
	}
	got, err = ParseMemoryStat(strings.NewReader("shmem 3\ntotal_shmem 30\ntotal_other x\n"))
	if err != nil || got.Shmem != 30 {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = ParseMemoryStat(strings.NewReader("x\nshmem\n"))
	wantParseError(t, err, "memory.stat", 2, "a number for shmem")
	if _, err := (MemoryLimit{}).Stat(); !Gone(err) {
		t.Errorf("memory.stat without a group: %v", err)
	}
}
