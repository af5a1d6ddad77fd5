package procfs

import (
	"strings"
	"testing"
)

func TestCPULimit(t *testing.T) {
	const (
		v2mount = "30 1 0:30 / FS/fs rw - cgroup2 cgroup2 rw\n"
		v1mount = "30 1 0:30 / FS/fs rw - cgroup cgroup rw,cpu,cpuacct\n"
	)
	v2 := map[string]string{
		"fs/a/cpu.max":     "150000 100000\n",
		"fs/a/b/cpu.max":   "max 100000\n",
		"fs/a/b/c/cpu.max": "400000 100000\n",
		"fs/free/cpu.max":  "max 100000\n",
	}
	v1 := map[string]string{
		"fs/cpu.cfs_quota_us": "-1\n", "fs/cpu.cfs_period_us": "100000\n",
		"fs/a/cpu.cfs_quota_us": "50000\n", "fs/a/cpu.cfs_period_us": "100000\n",
		"fs/free/cpu.cfs_quota_us": "-1\n", "fs/free/cpu.cfs_period_us": "100000\n",
	}
	for _, c := range []struct {
		name          string
		cgroup, mount string
		files         map[string]string
		want          float64
	}{
		{"version 2, the tightest is above", "0::/a/b/c\n", v2mount, v2, 1.5},
		{"version 2, no limit", "0::/free\n", v2mount, v2, NoCPULimit},
		{"version 2, the root", "0::/\n", v2mount, v2, NoCPULimit},
		{"version 1", "3:cpu,cpuacct:/a\n0::/\n", v1mount, v1, 0.5},
		{"version 1, no limit", "3:cpu,cpuacct:/free\n", v1mount, v1, NoCPULimit},
		{"version 1 in the list, but only version 2 is mounted", "3:cpu:/\n0::/a\n", v2mount, v2, 1.5},
		{"no controller", "0::/a\n", v2mount, nil, NoCPULimit},
		{"no mount", "0::/a\n", "", nil, NoCPULimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, c.files)
			r := testRoot(t, map[string]string{
				"7/cgroup":              c.cgroup,
				"thread-self/mountinfo": strings.ReplaceAll(c.mount, "FS", escapeMount(dir)),
			})
			got, err := r.CPULimit(7)
			if err != nil || got != c.want {
				t.Errorf("limit %v, error %v, want %v", got, err, c.want)
			}
		})
	}
	for _, text := range []string{"", "max\n", "max 0\n", "x 100000\n", "-1 100000\n", "1 x\n"} {
		_, err := ParseCPUMax(strings.NewReader(text))
		wantParseError(t, err, "cpu.max", 1, "microseconds")
	}
	if _, err := Default.CPULimit(Self); err != nil && !Gone(err) {
		t.Errorf("our own limit: %v", err)
	}
}
