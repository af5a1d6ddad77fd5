package shmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// CC returns the path of a C compiler: $CC, gcc, cc or clang. It skips the test
// if there is none.
func CC(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CC"), "gcc", "cc", "clang"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("needs a C compiler: neither $CC nor gcc, cc or clang is there")
	return ""
}

// CompileC compiles a C program, given as its text, and returns the path of
// the binary, which is removed when the test is over. The flags follow the
// source file, so libraries can be named. It skips the test without a
// compiler and fails it if the program does not compile.
func CompileC(t testing.TB, source string, flags ...string) string {
	t.Helper()
	cc := CC(t)
	dir := t.TempDir()
	file, binary := filepath.Join(dir, "main.c"), filepath.Join(dir, "main")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatalf("shmtest: %v", err)
	}
	args := append([]string{"-O1", "-Wall", "-o", binary, file}, flags...)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("shmtest: %s %s: %v\n%s", cc, strings.Join(args, " "), err, out)
	}
	return binary
}
