package procfs

import (
	"strings"
	"testing"
)

func TestParseSmaps(t *testing.T) {
	maps := parseFixture(t, "maps", ParseMaps)
	all := parseFixture(t, "smaps", ParseSmaps)
	if len(all) != len(maps) {
		t.Fatalf("%d entries for %d mappings", len(all), len(maps))
	}
	byPath := map[string]Smap{}
	for i, s := range all {
		diff(t, maps[i], s.Mapping)
		if s.Size != s.End-s.Start {
			t.Errorf("%s: size %d", s.Path, s.Size)
		}
		byPath[string(s.Path)] = s
	}
	t.Run("CLI-073", func(t *testing.T) {
		// Both pages were written, through this mapping alone.
		s := byPath["/SYSV1234abcd (deleted)"]
		if s.RSS != 8192 || s.SharedClean+s.SharedDirty+s.PrivateClean+s.PrivateDirty != s.RSS {
			t.Errorf("%+v", s)
		}
		// A page touched by one process alone is private, shared or not.
		object := byPath["/dev/shm/fixture-object"]
		if !object.Shared() || object.SharedDirty != 0 || object.PrivateDirty != 4096 {
			t.Errorf("shared dirty %d, private dirty %d", object.SharedDirty, object.PrivateDirty)
		}
		// Huge pages are in *_Hugetlb only.
		huge := byPath["/SYSV00004242 (deleted)"]
		if huge.RSS != 0 || huge.PSS != 0 || huge.SharedHugetlb+huge.PrivateHugetlb != 2<<20 ||
			huge.Resident() != 2<<20 || huge.KernelPageSize != 2<<20 || !huge.HasFlag("ht") {
			t.Errorf("%+v", huge)
		}
	})
	s := all[20] // one page of shared anonymous memory under mlock
	if s.Locked == 0 || !s.HasFlag("lo") || !s.HasFlag("sh") || s.HasFlag("") || s.HasFlag("h") {
		t.Errorf("locked %d, flags %q", s.Locked, s.VMFlags)
	}
}

func TestParseSmapsRollup(t *testing.T) {
	all := parseFixture(t, "smaps_rollup", ParseSmaps)
	if len(all) != 1 || string(all[0].Path) != "[rollup]" || all[0].RSS != 1600<<10 || all[0].PrivateHugetlb != 2<<20 {
		t.Errorf("%+v", all)
	}
}

func TestSmapsErrors(t *testing.T) {
	const head = "1000-2000 rw-s 00000000 00:01 5 /x\n"
	for _, c := range []struct {
		in   string
		line int
		want string
	}{
		{"Rss: 4 kB\n", 1, "the line of a mapping"},
		{head + "Rss: x kB\n", 2, "a size for Rss"},
		{head + "Rss: 4 kB\n\n", 3, "START-END"},
		{head + "New: thing\nPss:\n", 3, "a size for Pss"},
	} {
		_, err := ParseSmaps(strings.NewReader(c.in))
		wantParseError(t, err, "smaps", c.line, c.want)
	}
	n := 0
	for range Smaps(strings.NewReader(head + head)) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d steps", n)
	}
}
