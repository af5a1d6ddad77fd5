package procfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixture returns a file of testdata, as it was read on a real machine.
func fixture(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// parseFixture parses a file of testdata.
func parseFixture[T any](t testing.TB, name string, parse func(io.Reader) (T, error)) T {
	t.Helper()
	v, err := parse(strings.NewReader(fixture(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// diff fails the test when got is not want.
func diff(t testing.TB, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("mismatch (-want +got):\n%s", d)
	}
}

// wantParseError fails the test unless err is a ParseError at the given line
// that wants something containing want.
func wantParseError(t testing.TB, err error, file string, line int, want string) {
	t.Helper()
	var pe *ParseError
	if !errors.As(err, &pe) {
		t.Fatalf("got error %v, want a *ParseError", err)
	}
	if pe.File != file || pe.Line != line || !strings.Contains(pe.Want, want) {
		t.Errorf("got %q, want one at %s:%d about %q", err, file, line, want)
	}
}

// testRoot returns a Root whose files have the given contents.
func testRoot(t testing.TB, files map[string]string) Root {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, files)
	return Root(dir)
}

// writeFiles writes files below dir.
func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRootPaths(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Root("").path("stat"), "/proc/stat"},
		{Default.pidPath(7, "maps"), "/proc/7/maps"},
		{Root("/x").pidPath(Self, "maps"), "/x/self/maps"},
		{Root("/x").pidPath(Thread, "ns/ipc"), "/x/thread-self/ns/ipc"},
		{Root("/x").FDPath(7, 3), "/x/7/fd/3"},
		{Root("/x").MapFilePath(7, 0x1000, 0xabc000), "/x/7/map_files/1000-abc000"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestErrorNamesFile(t *testing.T) {
	r := testRoot(t, map[string]string{"7/maps": "nonsense\n", "7/smaps": "1-2 rwxz\n", "locks": "\x1b[2J\n"})
	for _, err := range r.Maps(7) {
		wantParseError(t, err, string(r)+"/7/maps", 1, "START-END")
	}
	for _, err := range r.Smaps(7) {
		wantParseError(t, err, string(r)+"/7/smaps", 1, "permissions")
	}
	_, err := r.Locks()
	wantParseError(t, err, string(r)+"/locks", 1, "a number")
	if s := err.Error(); strings.ContainsRune(s, 0x1b) {
		t.Errorf("the error carries an escape sequence: %q", s)
	}
	for _, err := range r.Maps(8) {
		if !errors.Is(err, fs.ErrNotExist) || !Gone(err) {
			t.Errorf("maps of a process that is not there: %v", err)
		}
	}
}

func TestPIDs(t *testing.T) {
	r := testRoot(t, map[string]string{
		"10/stat": "", "9/stat": "", "1/stat": "", "self/stat": "", "12x/stat": "", "007/stat": "",
		"2147483647/stat": "", "2147483648/stat": "", "99999999999999999999/stat": "",
	})
	got, err := r.PIDs()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, []int{1, 9, 10, 2147483647}, got)
	if _, err := Root(filepath.Join(string(r), "none")).PIDs(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("PIDs of a directory that is not there: %v", err)
	}
}

func TestGone(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{fs.ErrNotExist, true},
		{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, true},
		{fs.ErrPermission, false},
		{io.ErrUnexpectedEOF, false},
		{&ParseError{}, false},
	} {
		if got := Gone(c.err); got != c.want {
			t.Errorf("Gone(%v) = %v", c.err, got)
		}
	}
}
