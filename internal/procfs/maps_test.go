package procfs

import (
	"fmt"
	"strings"
	"testing"
)

// formatMapping writes m as the kernel does.
func formatMapping(m *Mapping) string {
	s := fmt.Sprintf("%08x-%08x %s %08x %s %d ", m.Start, m.End, m.Perms, m.Offset, m.Dev, m.Inode)
	if len(m.Path) > 0 {
		s = fmt.Sprintf("%-73s%s", s, m.Path)
	}
	return s
}

// mappingNamed returns the first mapping of a fixture with the given path.
func mappingNamed(t *testing.T, file, path string) *Mapping {
	t.Helper()
	all := parseFixture(t, file, ParseMaps)
	for i := range all {
		if string(all[i].Path) == path {
			return &all[i]
		}
	}
	t.Fatalf("%s has no mapping of %q", file, path)
	return nil
}

func TestParseMaps(t *testing.T) {
	text := fixture(t, "maps")
	all := parseFixture(t, "maps", ParseMaps)
	if n := strings.Count(text, "\n"); len(all) != n {
		t.Errorf("%d mappings in %d lines", len(all), n)
	}
	diff(t, Mapping{
		Start: 0x7f6b0a26c000, End: 0x7f6b0a26e000, Offset: 0x1000, Dev: Dev{0, 1}, Inode: 36,
		Perms: PermRead | PermWrite | PermShared, Path: []byte("/dev/zero (deleted)"),
	}, all[21])
	last := all[len(all)-1]
	diff(t, Mapping{Start: 0xffffffffff600000, End: 0xffffffffff601000, Perms: PermExec, Path: []byte("[vsyscall]")}, last)
	if last.Size() != 4096 || last.Shared() || !last.Named() || all[13].Named() {
		t.Error("Size, Shared or Named is wrong")
	}
}

func TestMapsIterator(t *testing.T) {
	// Breaking off early is allowed.
	for m, err := range Maps(strings.NewReader(fixture(t, "maps"))) {
		if err != nil || m.Start != 0x561135920000 {
			t.Fatal(m, err)
		}
		break
	}
	// What Clone returns outlives the iteration; so does all that precedes an error.
	in := fixture(t, "maps_special") + "broken\n"
	var kept []Mapping
	var last error
	for m, err := range Maps(strings.NewReader(in)) {
		if err != nil {
			last = err
			continue
		}
		kept = append(kept, m.Clone())
	}
	wantParseError(t, last, "maps", 8, "START-END")
	if len(kept) != 7 || string(kept[0].Path) != "/memfd:huge one (deleted)" {
		t.Errorf("kept %d mappings, the first %q", len(kept), kept[0].Path)
	}
}

func TestMapsNoAllocation(t *testing.T) {
	text := strings.Repeat(fixture(t, "maps"), 100)
	n := testing.AllocsPerRun(10, func() {
		for _, err := range Maps(strings.NewReader(text)) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if n > 10 {
		t.Errorf("%v allocations for 3,700 mappings", n)
	}
}

func TestMapsErrors(t *testing.T) {
	const good = "1000-2000 rw-s 00000000 00:01 5 /x\n"
	for _, c := range []struct{ line, want string }{
		{"", "START-END"},
		{"1000 rw-s 00000000 00:01 5", "START-END"},
		{"1000-zz rw-s 00000000 00:01 5", "START-END"},
		{"2000-1000 rw-s 00000000 00:01 5", "START-END"},
		{"10000000000000000-20000000000000000 rw-s 00000000 00:01 5", "START-END"},
		{"1000-2000", "permissions"},
		{"1000-2000 rw- 00000000 00:01 5", "permissions"},
		{"1000-2000 rw-q 00000000 00:01 5", "permissions"},
		{"1000-2000 wr-s 00000000 00:01 5", "permissions"},
		{"1000-2000 rw-s x 00:01 5", "offset"},
		{"1000-2000 rw-s 00000000 0001 5", "MAJOR:MINOR"},
		{"1000-2000 rw-s 00000000 00:100000000 5", "MAJOR:MINOR"},
		{"1000-2000 rw-s 00000000 00:01", "inode"},
		{"1000-2000 rw-s 00000000 00:01 -5", "inode"},
	} {
		_, err := ParseMaps(strings.NewReader(good + c.line + "\n"))
		wantParseError(t, err, "maps", 2, c.want)
	}
}

func TestMapsConformance(t *testing.T) {
	t.Run("SV-107", func(t *testing.T) {
		m := mappingNamed(t, "maps", "/SYSV1234abcd (deleted)")
		if key, ok := m.SysvKey(); !ok || key != 0x1234abcd || m.Inode != 0 || m.Kind() != KindSysV {
			t.Errorf("key %#x, %v, id %d, %v", key, ok, m.Inode, m.Kind())
		}
		if (m.Dev != Dev{0, 1}) {
			t.Errorf("device %v", m.Dev)
		}
		m = mappingNamed(t, "maps", "/SYSVfffffffe (deleted)")
		if key, ok := m.SysvKey(); !ok || int32(key) != -2 || m.Inode != 2 {
			t.Errorf("key %#x, %v, id %d", key, ok, m.Inode)
		}
	})
	t.Run("SV-108", func(t *testing.T) {
		// The segment of this mapping was private and is marked for removal.
		m := mappingNamed(t, "maps", "/SYSV00000000 (deleted)")
		if key, ok := m.SysvKey(); !ok || key != 0 || m.Inode != 1 {
			t.Errorf("key %#x, %v, id %d", key, ok, m.Inode)
		}
	})
	t.Run("CLI-065", func(t *testing.T) {
		m := mappingNamed(t, "maps", "/SYSV00004242 (deleted)")
		if key, ok := m.SysvKey(); !ok || key != 0x4242 || m.Inode != 4 || (m.Dev != Dev{0, 0x11}) {
			t.Errorf("key %#x, %v, id %d, device %v", key, ok, m.Inode, m.Dev)
		}
	})
	t.Run("CLI-067", func(t *testing.T) {
		// Both end in " (deleted)", and only the second is.
		there := mappingNamed(t, "maps", "/dev/shm/fixture x (deleted)")
		gone := mappingNamed(t, "maps", "/dev/shm/fixture gone (deleted)")
		if !there.Deleted() || !gone.Deleted() || there.Kind() != KindFile || gone.Kind() != KindFile {
			t.Error("the suffix was taken for more than a hint")
		}
	})
	t.Run("CLI-068", func(t *testing.T) {
		m := mappingNamed(t, "maps", `/dev/shm/fixture\012new\line  two spaces `)
		if got, want := m.Name(), "/dev/shm/fixture\nnew\\line  two spaces "; got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	})
}

func TestKind(t *testing.T) {
	for _, c := range []struct {
		perms, path string
		want        Kind
	}{
		{"rw-p", "", KindAnonymous},
		{"rw-p", "[heap]", KindSpecial},
		{"rw-p", "[anon:a b]", KindSpecial},
		{"rw-s", "[anon_shmem:ring]", KindSharedAnonymous},
		{"rw-s", "/dev/zero (deleted)", KindSharedAnonymous},
		{"rw-p", "/dev/zero", KindFile},
		{"rw-s", "/anon_hugepage (deleted)", KindSharedAnonymous},
		{"rw-p", "/anon_hugepage (deleted)", KindAnonymous},
		{"rw-s", "/secretmem (deleted)", KindSecret},
		{"rw-s", "/memfd: (deleted)", KindMemfd},
		{"r--p", "/memfd:x (deleted) (deleted)", KindMemfd},
		{"rw-s", "/memfd:x", KindFile},
		{"rw-s", "/SYSV1234abcd", KindFile},
		{"rw-s", "/SYSV1234abc (deleted)", KindFile},
		{"rw-s", "/SYSV1234abcx (deleted)", KindFile},
		{"rw-s", "/SYSV 234abcd (deleted)", KindFile},
		{"rw-s", "/tmp/SYSV1234abcd (deleted)", KindFile},
		{"rw-s", "/dev/shm/x", KindFile},
		{"rw-s", "anon_inode:[perf_event]", KindOther},
		{"rw-s", "(unreachable)/x", KindOther},
	} {
		m := Mapping{Path: []byte(c.path)}
		m.Perms, _ = parsePerms([]byte(c.perms))
		if got := m.Kind(); got != c.want {
			t.Errorf("%s %q is %v, want %v", c.perms, c.path, got, c.want)
		}
	}
	m := Mapping{Path: []byte("/memfd:x (deleted) (deleted)")}
	if name, _ := m.Memfd(); string(name) != "x (deleted)" {
		t.Errorf("memfd name %q", name)
	}
	if s := Kind(99).String(); s != "kind(99)" || KindOther.String() != "other" {
		t.Errorf("String gives %q and %q", s, KindOther)
	}
}
