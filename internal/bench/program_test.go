//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// write makes a file, and the directories that it needs.
func write(t *testing.T, text string, mode os.FileMode, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

const goMod = "module github.com/seed-298b2b26/shm/bench/grpc\n\ngo 1.26.0\n"

func TestCheckout(t *testing.T) {
	root, uid := t.TempDir(), os.Geteuid()
	deep := filepath.Dir(write(t, "", 0o600, root, "internal", "bench", "a.go"))
	if _, err := checkout(deep, uid); err != errNoProgram {
		t.Errorf("without a module: %v", err)
	}
	mod := write(t, "module github.com/seed-298b2b26/shm/bench/grpcurl\n", 0o600, root, "bench", "grpc", "go.mod")
	if _, err := checkout(deep, uid); err != errNoProgram {
		t.Errorf("with another module: %v", err)
	}
	write(t, goMod, 0o600, mod)
	for _, dir := range []string{root, deep, filepath.Dir(mod)} {
		if got, err := checkout(dir, uid); err != nil || got != filepath.Dir(mod) {
			t.Errorf("from %s: %q, %v", dir, got, err)
		}
	}
	// Somebody else's is not executed.
	if uid == 0 {
		if err := os.Chown(mod, 1, 1); err != nil {
			t.Fatal(err)
		}
	} else {
		uid++
	}
	if _, err := checkout(deep, uid); err == nil || !strings.Contains(err.Error(), "another user's") {
		t.Errorf("of another user: %v", err)
	}
}

// TestFindGRPC: whatever has the name is asked what it speaks.
func TestFindGRPC(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"echo " + protocol, ""},
		{"echo shm-bench 0", `speaks "shm-bench 0", and this is "` + protocol + `"`},
		{"echo unknown flag >&2; exit 2", "exit status 2: unknown flag"},
		{"yes | head", "does not say one line"},
	} {
		dir := t.TempDir()
		path := write(t, "#!/bin/sh\n[ \"$1\" = protocol ] || exit 9\n"+c.script+"\n", 0o700, dir, programGRPC)
		t.Setenv("PATH", dir+":/usr/bin:/bin")
		got, err := new(Bench).findGRPC(t.Context(), time.Minute)
		if c.want == "" {
			if err != nil || got.Path != path {
				t.Errorf("%s: %+v, %v", c.script, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.script, err, c.want)
		}
	}
}

// TestBuild: a go command that fails, or takes too long, is an answer like
// another, and nothing of it is left.
func TestBuild(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if _, err := build(t.Context(), dir, time.Minute); !errors.Is(err, errNoProgram) || !strings.Contains(err.Error(), "no go command") {
		t.Errorf("without a go command: %v", err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	command := func(script string) { write(t, "#!/bin/sh\n"+script+"\n", 0o700, dir, "go") }

	command("echo 'go: google.golang.org/grpc: no such host' >&2; exit 1")
	if _, err := build(t.Context(), dir, time.Minute); err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("without the proxy: %v", err)
	}
	command("echo $1 $2 $3 $4 $5 in $GOWORK")
	if got, err := build(t.Context(), "there", time.Minute); err != nil || got != "-C there tool -n "+programGRPC+" in off" {
		t.Errorf("%q, %v", got, err)
	}

	pids := filepath.Join(dir, "pids")
	command(fmt.Sprintf("sleep 1000 & echo $$ $! >%s.new; mv %[1]s.new %[1]s; wait", pids))
	if _, err := build(t.Context(), dir, time.Second); err == nil || !strings.Contains(err.Error(), "took longer than 1s") {
		t.Errorf("it hangs: %v", err)
	}
	os.Remove(pids)

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	go func() {
		for {
			if _, err := os.Stat(pids); err == nil {
				cancel(stop)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := build(ctx, dir, time.Minute); err != stop {
		t.Errorf("it was stopped: %v", err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range strings.Fields(string(text)) {
		deadline := time.Now().Add(10 * time.Second)
		for ended := false; !ended; time.Sleep(time.Millisecond) {
			// Nobody may have reaped it yet.
			stat, err := os.ReadFile("/proc/" + s + "/stat")
			ended = err != nil || strings.Contains(string(stat), ") Z ")
			if pid, _ := strconv.Atoi(s); time.Now().After(deadline) {
				syscall.Kill(pid, syscall.SIGKILL)
				t.Fatalf("process %d is left", pid)
			}
		}
	}
}
