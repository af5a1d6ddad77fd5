package procfs

import (
	"strings"
	"testing"
)

func TestParseMeminfo(t *testing.T) {
	m := parseFixture(t, "meminfo", ParseMeminfo)
	for name, want := range map[string]uint64{
		"MemTotal": 24682416 << 10, "HugePages_Total": 2, "Hugepagesize": 2 << 20, "No such line": 0,
	} {
		if m[name] != want {
			t.Errorf("%s is %d, want %d", name, m[name], want)
		}
	}
	for _, name := range []string{"Shmem", "MemAvailable", "HugePages_Free", "HugePages_Rsvd", "HugePages_Surp"} {
		if _, ok := m[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"Shmem 5 kB", "NAME: VALUE"}, {": 5 kB", "NAME: VALUE"}, {"Shmem: 5 MB", "a size for Shmem"}, {"Shmem:", "a size for Shmem"},
	} {
		_, err := ParseMeminfo(strings.NewReader("A: 1 kB\n" + c.in + "\n"))
		wantParseError(t, err, "meminfo", 2, c.want)
	}
}

func TestNamespace(t *testing.T) {
	got, err := ParseNamespace("ipc:[4026531839]")
	if err != nil || got != (Namespace{"ipc", 4026531839}) || got.String() != "ipc:[4026531839]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, in := range []string{"", "ipc", "ipc:[]", "ipc:[x]", "ipc:[1", ":[1]", "ipc:[1]x", "ipc:[18446744073709551616]"} {
		_, err := ParseNamespace(in)
		wantParseError(t, err, "ns", 1, "TYPE:[INODE]")
	}
}

func TestShmLimits(t *testing.T) {
	files := map[string]string{
		"sys/kernel/shmmax": "18446744073692774399\n", "sys/kernel/shmall": "5\n", "sys/kernel/shmmni": "4096\n",
	}
	r := testRoot(t, files)
	want := ShmLimits{Max: 18446744073692774399, All: 5, MNI: 4096, NextID: -1}
	got, err := r.ShmLimits()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, want, got)

	writeFiles(t, string(r), map[string]string{"sys/kernel/shm_rmid_forced": "1\n", "sys/kernel/shm_next_id": "7\n"})
	want.RmidForced, want.NextID = true, 7
	if got, err = r.ShmLimits(); err != nil {
		t.Fatal(err)
	}
	diff(t, want, got)

	for name, content := range map[string]string{"shm_next_id": "x\n", "shm_rmid_forced": "\n", "shmmni": "-1\n"} {
		r := testRoot(t, files)
		writeFiles(t, string(r), map[string]string{"sys/kernel/" + name: content})
		_, err = r.ShmLimits()
		wantParseError(t, err, string(r)+"/sys/kernel/"+name, 1, "number")
	}
}
