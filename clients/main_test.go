//go:build linux

package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) {
	code := shmtest.Main(m)
	os.RemoveAll(built.dir)
	os.Exit(code)
}

// built are the programs that were compiled already, by their flags: most
// tests want the same few.
var built struct {
	sync.Mutex
	dir      string
	programs map[string]string
}

var (
	// strict is how the header has to compile.
	strict = []string{"-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"}

	// sanitized is how most tests run it: what the sanitizers find is fatal.
	// Optimized it takes a compiler several times as long.
	sanitized = []string{"-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"}
)

// compile gives the program of a file below testdata, compiled by cc with the
// flags, once for all tests.
func compile(t testing.TB, cc, source string, flags ...string) string {
	t.Helper()
	key := strings.Join(append([]string{cc, source}, flags...), " ")
	built.Lock()
	defer built.Unlock()
	if path := built.programs[key]; path != "" {
		return path
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "clients")
		if err != nil {
			t.Fatal(err)
		}
		// Tests run children as other users.
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		built.dir, built.programs = dir, map[string]string{}
	}
	path := filepath.Join(built.dir, fmt.Sprintf("%s%d", strings.TrimSuffix(filepath.Base(source), ".c"), len(built.programs)))
	if out, err := tryCompile(cc, source, path, flags...); err != nil {
		t.Fatalf("%s: %v\n%s", key, err, out)
	}
	built.programs[key] = path
	return path
}

// tryCompile compiles a file below testdata.
func tryCompile(cc, source, to string, flags ...string) (string, error) {
	args := append([]string{"-Ic", "-o", to}, flags...)
	out, err := exec.Command(cc, append(args, filepath.Join("testdata", source))...).CombinedOutput()
	return string(out), err
}

// peer is the peer in C, under the sanitizers.
func peer(t testing.TB, flags ...string) string {
	t.Helper()
	return compile(t, shmtest.CC(t), "peer.c", slices.Concat(strict, sanitized, flags)...)
}

// optimized is the peer in C as its users have it.
func optimized(t testing.TB) string {
	t.Helper()
	return compile(t, shmtest.CC(t), "peer.c", slices.Concat(strict, []string{"-O2"})...)
}
