package procfs

import (
	"bytes"
	"io"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// Each target starts from the files of testdata, states what must hold for
// whatever was accepted, and wherever the kernel's format can be written,
// that writing and parsing again gives the same. Nothing may depend on how
// the input is cut into reads.

// seed adds fixtures and further inputs to the corpus.
func seed(f *testing.F, fixtures []string, more ...string) {
	f.Helper()
	for _, name := range fixtures {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range more {
		f.Add([]byte(s))
	}
}

// sevens is a reader that returns at most seven bytes at a time.
type sevens struct{ r io.Reader }

func (s sevens) Read(b []byte) (int, error) { return s.r.Read(b[:min(7, len(b))]) }

// parseTwice parses in twice, whole and in small pieces, and reports whether
// it was accepted.
func parseTwice[T any](t *testing.T, in []byte, parse func(io.Reader) (T, error)) (T, bool) {
	t.Helper()
	v, err := parse(bytes.NewReader(in))
	again, err2 := parse(sevens{bytes.NewReader(in)})
	if !reflect.DeepEqual(err, err2) {
		t.Fatalf("error %v at once, %v in pieces", err, err2)
	}
	if err == nil && !reflect.DeepEqual(v, again) {
		t.Fatalf("at once and in pieces differ:\n%s", cmp.Diff(v, again))
	}
	if err != nil {
		if pe, ok := err.(*ParseError); !ok || pe.Line < 1 || pe.File == "" || pe.Want == "" {
			t.Fatalf("error without file, line or expectation: %#v", err)
		}
	}
	return v, err == nil
}

// sameAgain parses text, which was written from want, and compares.
func sameAgain[T any](t *testing.T, want T, text string, parse func(io.Reader) (T, error)) {
	t.Helper()
	got, err := parse(strings.NewReader(text))
	if err != nil {
		t.Fatalf("written and parsed again: %v\n%q", err, text)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("written and parsed again (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func FuzzSysvShm(f *testing.F) {
	seed(f, []string{"sysvipc_shm"}, formatSysvShm([]SysvShm{{ID: 1}, {ID: 1}}, false))
	f.Fuzz(func(t *testing.T, in []byte) {
		segs, ok := parseTwice(t, in, ParseSysvShm)
		if !ok {
			return
		}
		usage := len(segs) > 0 && segs[0].HasUsage
		seen := map[int32]bool{}
		for _, s := range segs {
			if seen[s.ID] {
				t.Fatalf("id %d twice", s.ID)
			}
			seen[s.ID] = true
			if s.HasUsage != usage {
				t.Fatal("rows differ in their columns")
			}
			if !usage && s.Swap != 0 { // a header with swap and without rss
				return
			}
		}
		sameAgain(t, segs, formatSysvShm(segs, usage), ParseSysvShm)
	})
}

func FuzzMaps(f *testing.F) {
	seed(f, []string{"maps", "maps_special"}, "0-0 ---p 0 0:0 0", "1-2 rwxs 0 ffffffff:ffffffff 18446744073709551615 \t (deleted)")
	f.Fuzz(func(t *testing.T, in []byte) {
		all, ok := parseTwice(t, in, ParseMaps)
		if !ok {
			return
		}
		var b strings.Builder
		for i := range all {
			m := &all[i]
			if m.Start > m.End || m.Size() != m.End-m.Start {
				t.Fatalf("range %x-%x", m.Start, m.End)
			}
			if len(m.Path) > 0 && m.Path[0] == ' ' || bytes.ContainsRune(m.Path, '\n') {
				t.Fatalf("path %q", m.Path)
			}
			key, sysv := m.SysvKey()
			name, memfd := m.Memfd()
			kind := m.Kind()
			switch {
			case sysv != (kind == KindSysV), memfd != (kind == KindMemfd), sysv && memfd:
				t.Fatalf("%q is of kind %v", m.Path, kind)
			case (sysv || memfd) && !m.Deleted():
				t.Fatalf("%q is %v and not deleted", m.Path, kind)
			case memfd && "/memfd:"+string(name)+" (deleted)" != string(m.Path):
				t.Fatalf("memfd name %q in %q", name, m.Path)
			case sysv && !strings.Contains(strings.ToLower(string(m.Path)), strings.ToLower(hex8(key))):
				t.Fatalf("key %#x in %q", key, m.Path)
			case !bytes.Contains(m.Path, []byte(`\012`)) && m.Name() != string(m.Path):
				t.Fatalf("name %q of %q", m.Name(), m.Path)
			}
			b.WriteString(formatMapping(m) + "\n")
		}
		sameAgain(t, all, b.String(), ParseMaps)
	})
}

// hex8 writes a key as the kernel does in the name of a mapping.
func hex8(v uint32) string {
	var b strings.Builder
	writeHex(&b, 'x', v, 8)
	return strings.TrimPrefix(b.String(), `\x`)
}

func FuzzSmaps(f *testing.F) {
	seed(f, []string{"smaps_rollup"}, "1-2 rw-s 0 0:0 0 /x\nRss: 4 kB\nVmFlags: rd ht\n1-2 rw-p 0 0:0 0\n")
	full, err := os.ReadFile("testdata/smaps")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full[:4096])
	f.Fuzz(func(t *testing.T, in []byte) {
		all, ok := parseTwice(t, in, ParseSmaps)
		if !ok {
			return
		}
		headers := 0
		for line := range bytes.Lines(in) {
			if isHeader(bytes.TrimSuffix(line, []byte{'\n'})) {
				headers++
			}
		}
		if len(all) != headers {
			t.Fatalf("%d entries for %d headers", len(all), headers)
		}
		for i := range all {
			if all[i].Start > all[i].End {
				t.Fatalf("range %x-%x", all[i].Start, all[i].End)
			}
			for code := range strings.FieldsSeq(all[i].VMFlags) {
				if !all[i].HasFlag(code) {
					t.Fatalf("flag %q of %q not found", code, all[i].VMFlags)
				}
			}
		}
	})
}

func FuzzStat(f *testing.F) {
	seed(f, []string{"stat"}, "1 (x) Z 0"+strings.Repeat(" 0", 20))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, ok := parseTwice(t, in, ParseStat)
		if !ok {
			return
		}
		if !bytes.Contains(in, []byte(" ("+s.Comm+")")) {
			t.Fatalf("comm %q", s.Comm)
		}
		boot := parseFixture(t, "procstat", ParseBootTime)
		if s.StartTime(boot).Before(boot) {
			t.Fatalf("started before boot: %d", s.StartTicks)
		}
	})
}

func FuzzBoot(f *testing.F) {
	seed(f, []string{"procstat"}, "btime 5", "73baf9d9-fa3f-4cc5-9155-f30255589795\n")
	f.Fuzz(func(t *testing.T, in []byte) {
		parseTwice(t, in, ParseBootTime)
		if id, ok := parseTwice(t, in, ParseBootID); ok {
			if got := id.String(); got != strings.ToLower(strings.TrimSuffix(string(in), "\n")) {
				t.Fatalf("%q became %q", in, got)
			}
		}
	})
}

func FuzzStatus(f *testing.F) {
	seed(f, []string{"status"}, "Name:\ta\\nb\\\\\nPid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t1\t2\n")
	f.Fuzz(func(t *testing.T, in []byte) {
		s, ok := parseTwice(t, in, ParseStatus)
		if !ok {
			return
		}
		if s.PID < 0 || s.PPID < 0 || s.Threads < 0 || slices.ContainsFunc(s.NSPID, func(p int) bool { return p < 0 }) {
			t.Fatalf("negative ids: %+v", s)
		}
		escaped := strings.NewReplacer("\n", `\n`, `\`, `\\`).Replace(s.Name)
		if got := unescapeName([]byte(escaped)); got != s.Name {
			t.Fatalf("name %q became %q", s.Name, got)
		}
	})
}

func FuzzCmdline(f *testing.F) {
	seed(f, []string{"cmdline", "comm"}, "a\x00\x00\x00\x00", "\x1b[31m\xff\u202e\x00")
	f.Fuzz(func(t *testing.T, in []byte) {
		c, ok := parseTwice(t, in, ParseCmdline)
		if !ok {
			t.Fatal("refused")
		}
		for _, arg := range c {
			if strings.Contains(arg, "\x00") {
				t.Fatalf("NUL in %q", arg)
			}
		}
		s := c.String()
		if !utf8.ValidString(s) || strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Fatalf("%q is not harmless", s)
		}
		if Printable(s) != s {
			t.Fatal("made harmless twice it changes")
		}
		if len(in) <= maxComm {
			comm, ok := parseTwice(t, in, ParseComm)
			if !ok || comm != string(in) && comm+"\n" != string(in) {
				t.Fatalf("%q became %q", in, comm)
			}
		}
	})
}

func FuzzFDInfo(f *testing.F) {
	seed(f, []string{"fdinfo"}, "pos:\t0\nflags:\t02\ninotify wd:1\n")
	f.Fuzz(func(t *testing.T, in []byte) {
		info, ok := parseTwice(t, in, ParseFDInfo)
		if ok && len(info.Locks) > bytes.Count(in, []byte("lock")) {
			t.Fatalf("%d locks", len(info.Locks))
		}
	})
}

func FuzzLocks(f *testing.F) {
	seed(f, []string{"locks"}, "1: -> LEASE  BREAKER  READ 0 <none>:0 0 EOF\n")
	f.Fuzz(func(t *testing.T, in []byte) {
		locks, ok := parseTwice(t, in, ParseLocks)
		if !ok {
			return
		}
		var b strings.Builder
		for i := range locks {
			b.WriteString(formatLock(&locks[i]))
		}
		sameAgain(t, locks, b.String(), ParseLocks)
	})
}

func FuzzMountinfo(f *testing.F) {
	seed(f, []string{"mountinfo"}, `1 1 0:1 /\040 /\134\012 rw shared:1 master:2 - a  b c`)
	f.Fuzz(func(t *testing.T, in []byte) {
		ms, ok := parseTwice(t, in, ParseMountinfo)
		if !ok {
			return
		}
		var b strings.Builder
		for i := range ms {
			b.WriteString(formatMount(&ms[i]))
		}
		sameAgain(t, ms, b.String(), ParseMountinfo)
		if len(ms) > 100 {
			return
		}
		for i := range ms {
			name := path.Clean(ms[i].MountPoint)
			if m := ms.Find(name); m != nil && !within(name, m.MountPoint) {
				t.Fatalf("%q is said to be in %q", name, m.MountPoint)
			}
			ms[i].Propagation()
			ms[i].ReadOnly()
		}
	})
}

func FuzzCgroup(f *testing.F) {
	seed(f, []string{"cgroup"}, "0::/../x (deleted)\n", "1:name=:/\n")
	mounts, err := ParseMountinfo(strings.NewReader("1 1 0:1 / /nonexistent/a rw - cgroup2 x rw\n2 1 0:1 /b /nonexistent/b rw - cgroup2 x rw\n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		cs, ok := parseTwice(t, in, ParseCgroup)
		if !ok {
			return
		}
		var b strings.Builder
		for i := range cs {
			c := &cs[i]
			b.WriteString(formatCgroup(c))
			dirs := groupDirs(mounts, c.Path, func(*Mount) bool { return true })
			for _, dir := range dirs {
				if !within(dir, "/nonexistent/a") && !within(dir, "/nonexistent/b") {
					t.Fatalf("%q leads to %q", c.Path, dir)
				}
			}
		}
		sameAgain(t, cs, b.String(), ParseCgroup)
	})
}

func FuzzMeminfo(f *testing.F) {
	seed(f, []string{"meminfo"}, "HugePages_Total: 5\nHugepagesize: 2048 kB\n")
	f.Fuzz(func(t *testing.T, in []byte) {
		m, ok := parseTwice(t, in, ParseMeminfo)
		if !ok {
			return
		}
		sameAgain(t, m, formatMeminfo(m), ParseMeminfo)
	})
}

func FuzzMemoryStat(f *testing.F) {
	seed(f, []string{"memory_stat"}, "anon 1\nfile 2\nshmem 3\n", "max\n", "4096\n", "-1\n")
	f.Fuzz(func(t *testing.T, in []byte) {
		parseTwice(t, in, ParseMemoryStat)
		if v, ok := parseTwice(t, in, ParseMemoryValue); ok && v == NoLimit &&
			string(in) != "max" && string(in) != "max\n" && !bytes.Contains(in, []byte("18446744073709551615")) {
			t.Fatalf("%q means no limit", in)
		}
	})
}

func FuzzNamespace(f *testing.F) {
	seed(f, nil, "ipc:[4026531839]", "pid:[0]", "mnt:[18446744073709551616]")
	f.Fuzz(func(t *testing.T, in []byte) {
		ns, err := ParseNamespace(string(in))
		if err != nil {
			return
		}
		again, err := ParseNamespace(ns.String())
		if err != nil || again != ns {
			t.Fatalf("%q: %v, %v", in, again, err)
		}
	})
}

func FuzzSysctl(f *testing.F) {
	seed(f, nil, "18446744073692774399\n", "-1\n", "4096", "")
	f.Fuzz(func(t *testing.T, in []byte) {
		u, ok1 := parseTwice(t, in, ParseSysctl)
		i, ok2 := parseTwice(t, in, ParseSysctlInt)
		if ok1 && u < 1<<31 && (!ok2 || uint64(i) != u) || ok2 && i > 0 && !ok1 {
			t.Fatalf("%q: %d, %v and %d, %v", in, u, ok1, i, ok2)
		}
	})
}
