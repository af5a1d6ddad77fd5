// Package examples tests that the examples do what their comments say.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

// build compiles an example.
func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(name))
	if out, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// run runs it at the top of the module, as the comments say.
func run(t *testing.T, bin, stdin string, args ...string) string {
	t.Helper()
	argv := append([]string{bin}, args...)
	if emulator := os.Getenv("SHMTEST_EXEC"); emulator != "" {
		argv = append([]string{emulator}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = ".."
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(bin), err, out)
	}
	return string(out)
}

func expect(t *testing.T, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("printed\n%s\nwhich does not match %s", got, pattern)
	}
}

func TestSysV(t *testing.T) {
	if !shmtest.Isolated() {
		t.Skip("the example's key is made of go.mod, and without CAP_SYS_ADMIN this test has no IPC namespace of its own: another program may use that key")
	}
	writer, reader := build(t, "sysv/writer"), build(t, "sysv/reader")
	expect(t, run(t, writer, "good morning\n"), `sysv:0x41[0-9a-f]{6} has sysv:id=\d+, 1024 bytes`)
	expect(t, run(t, reader, ""), `^Data read from memory: good morning\n`)
}

func TestPOSIX(t *testing.T) {
	if !shmtest.Isolated() {
		t.Skip("the example's object has a fixed name, and without CAP_SYS_ADMIN this test has no /dev/shm of its own")
	}
	writer, reader := build(t, "posix/writer"), build(t, "posix/reader")
	expect(t, run(t, writer, ""), `wrote 30 bytes into /dev/shm/example`)
	expect(t, run(t, reader, ""), `^read: hello from process to process\n$`)
}

func TestParentAndChild(t *testing.T) {
	if os.Getenv("SHMTEST_EXEC") != "" {
		t.Skip("the example executes itself, which user-mode emulation cannot do")
	}
	for _, name := range []string{"sysv/parentchild", "posix/parentchild"} {
		out := run(t, build(t, name), "")
		expect(t, out, `child \d+ reads: "from the parent"`)
		expect(t, out, `parent \d+ reads: "from the child"`)
	}
}

func TestMappings(t *testing.T) {
	out := run(t, build(t, "mappings"), "")
	expect(t, out, `another mapping reads "stored shared"`)
	expect(t, out, `here "stored for me", in the file still "stored shared"`)
	expect(t, out, `follows the file: "later"`)
}

func TestTopics(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("the example executes itself, which user-mode emulation cannot do")
	}
	expect(t, run(t, build(t, "topic/frames"), ""), `(?m)(^process \d+ saw \d+ frames and missed \d+\n){3}`)
	expect(t, run(t, build(t, "topic/ticks"), ""), `got 200000 ticks in order, none lost, volume 200000`)
	out := run(t, build(t, "topic/readtwice"), "")
	sum := regexp.MustCompile(`wrote 33554432 bytes, checksum ([0-9a-f]{8})`).FindStringSubmatch(out)
	if sum == nil || strings.Count(out, ": checksum "+sum[1]) != 4 {
		t.Errorf("printed\n%s\nwhere four checksums are to be as the writer's", out)
	}
}
