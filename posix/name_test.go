package posix_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// model is what glibc does with a name, byte for byte: it gives the file's
// name below the mount, or an errno. Where musl and this package refuse what
// glibc takes for a directory, dots is true. A C string has no NUL byte.
func model(name string) (clean string, errno syscall.Errno, dots bool) {
	i := 0
	for i < len(name) && name[i] == '/' {
		i++
	}
	n := len(name) - i
	if n == 0 {
		return "", syscall.EINVAL, false
	}
	for _, c := range []byte(name[i:]) {
		if c == '/' || c == 0 {
			return "", syscall.EINVAL, false
		}
	}
	if n > 255 {
		return "", syscall.ENAMETOOLONG, false
	}
	dots = n == 1 && name[i] == '.' || n == 2 && name[i] == '.' && name[i+1] == '.'
	return name[i:], 0, dots
}

// conforms holds CleanName and its kin against the model.
func conforms(t tester, name string) {
	clean, errno, dots := model(name)
	if dots {
		clean, errno = "", syscall.EINVAL
	}
	got, err := posix.CleanName(name)
	if got != clean {
		t.Fatalf("CleanName(%q): %q, want %q", name, got, clean)
	}
	switch {
	case errno == 0 && err != nil:
		t.Fatalf("CleanName(%q): %v", name, err)
	case errno != 0:
		wantErrno(t, err, errno)
	}

	path, err := posix.Path(name, nil)
	switch {
	case errno == 0 && (err != nil || path != "/dev/shm/"+clean):
		t.Fatalf("Path(%q): %q, %v", name, path, err)
	case errno != 0:
		wantErrno(t, err, errno)
	}
	if errno == 0 {
		again, err := posix.CleanName("///" + got)
		if again != got || err != nil {
			t.Fatalf("CleanName(%q): %q, %v", "///"+got, again, err)
		}
	}
	// An address can be shown whatever the name, and tells names apart.
	address := posix.Address(name)
	if !strings.HasPrefix(address, "posix:/") || !utf8.ValidString(address) || strings.ContainsAny(address, "\n\r\x1b\x00") {
		t.Fatalf("Address(%q): %q", name, address)
	}
	if posix.Address(strings.TrimLeft(name, "/")) != address {
		t.Fatalf("Address(%q) depends on leading slashes", name)
	}
}

var odd = []string{
	"", "/", "//", "///", ".", "..", "...", "/.", "/..", "/.x", "a", "/a", "///a", "/a/", "a/", "/a/b", "a//", "./a", "../a", "/./a",
	" ", "/ ", "-rf", "/*", "\\", "/a\nb", "\x00", "/a\x00", "/a\x00/b", "/\xff\xfe", "ü", "/\u202etxt", "sem.x", "/sem.", "/.new-x",
	strings.Repeat("a", 254), strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 260), "///" + strings.Repeat("a", 255),
	strings.Repeat("/", 300), strings.Repeat("/", 300) + "a", strings.Repeat("ü", 127) + "a", strings.Repeat("ü", 128), strings.Repeat("a/", 2048),
}

// anyName draws names of which about half are good.
func anyName() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		part := rapid.OneOf(
			rapid.SampledFrom([]string{"/", "/", ".", "..", "a", "sem.", "ü", "\xff", " ", "\n", "\x7f"}),
			rapid.StringN(0, 8, 16),
		)
		name := strings.Join(rapid.SliceOfN(part, 0, 4).Draw(t, "parts"), "")
		if rapid.Bool().Draw(t, "pad") {
			// Around the longest length.
			total := rapid.IntRange(250, 262).Draw(t, "length")
			name += strings.Repeat("x", max(0, total-len(name)))
		}
		return strings.Repeat("/", rapid.IntRange(0, 3).Draw(t, "slashes")) + name
	})
}

func TestCleanName(t *testing.T) {
	for _, name := range odd {
		conforms(t, name)
	}
	t.Run("any", rapid.MakeCheck(func(t *rapid.T) { conforms(t, anyName().Draw(t, "name")) }))
}

func FuzzCleanName(f *testing.F) {
	for _, name := range odd {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { conforms(t, name) })
}

// TestNamesOfC: the C library of this machine answers as the model and this
// package do, but where they say otherwise.
func TestNamesOfC(t *testing.T) {
	shmtest.NeedIsolation(t) // the names are anybody's
	p := shmtest.Exec(t, peer(t), "names")
	ask := func(name string) (create, reading, remove syscall.Errno) {
		p.Send(hex.EncodeToString([]byte(name)))
		if _, err := fmt.Sscan(p.Recv(), &create, &reading, &remove); err != nil {
			t.Fatal(err)
		}
		return create, reading, remove
	}
	compare := func(t tester, name string) {
		if strings.Contains(name, "\x00") || len(name) > 4000 {
			return
		}
		create, reading, remove := ask(name)
		_, _, dots := model(name)
		c, r, u := errnos(t, name)
		if clean := strings.TrimLeft(name, "/"); len(clean) > posix.NameMax && !strings.Contains(clean, "/") {
			// Versions differ: EINVAL or ENAMETOOLONG, ENOENT or ENAMETOOLONG.
			for _, errno := range []*syscall.Errno{&create, &reading, &remove} {
				if *errno == syscall.EINVAL || *errno == syscall.ENOENT {
					*errno = syscall.ENAMETOOLONG
				}
			}
		}
		if dots {
			equal(t, fmt.Sprintf("glibc opens %q", name), reading, 0)
			reading = syscall.EINVAL
		}
		equal(t, fmt.Sprintf("creating %q", name), c, create)
		equal(t, fmt.Sprintf("opening %q", name), r, reading)
		equal(t, fmt.Sprintf("unlinking %q", name), u, remove)
	}
	for _, name := range odd {
		compare(t, name)
	}
	t.Run("any", rapid.MakeCheck(func(t *rapid.T) { compare(t, anyName().Draw(t, "name")) }))
	p.Wait()
}

// errnos does with a name what the C program does.
func errnos(t tester, name string) (create, reading, remove syscall.Errno) {
	errno := func(err error) (n syscall.Errno) {
		if err != nil && !errors.As(err, &n) {
			t.Fatal(err)
		}
		return n
	}
	open := func(flags int) syscall.Errno {
		o, err := posix.Open(name, flags, 0o600, nil)
		if err == nil {
			o.Close()
		}
		return errno(err)
	}
	create = open(posix.O_RDWR | posix.O_CREAT)
	reading = open(posix.O_RDONLY)
	return create, reading, errno(posix.Unlink(name, nil))
}

func TestAddress(t *testing.T) {
	for name, want := range map[string]string{
		"x":          "posix:/x",
		"/x":         "posix:/x",
		"///x":       "posix:/x",
		"":           "posix:/",
		"/a b":       "posix:/a b",
		"/ü":         "posix:/ü",
		"/a\nb":      `posix:/a\nb`,
		"/\x1b[31m":  `posix:/\x1b[31m`,
		"/\xff":      `posix:/\xff`,
		"/\u202etxt": `posix:/\u202etxt`,
		`/a"b`:       `posix:/a\"b`,
	} {
		equal(t, fmt.Sprintf("address of %q", name), posix.Address(name), want)
	}
}
