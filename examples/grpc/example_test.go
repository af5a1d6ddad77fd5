// Package grpc tests that the programs below do what their comments say.
package grpc

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// TestCalls makes a unary and a streaming call between two processes.
func TestCalls(t *testing.T) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	server := shmtest.Exec(t, build(t, "server"), path)
	server.Expect("listening at " + path)

	client := shmtest.Exec(t, build(t, "client"), path)
	if line := client.Recv(); !regexp.MustCompile(`^unary: hello gRPC, this is process \d+$`).MatchString(line) {
		t.Errorf("the client says %q", line)
	}
	client.Expect("stream: 1000 of 1000 messages came back, 31968000 bytes")
	client.Wait()

	server.Signal(syscall.SIGINT)
	server.Wait()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file is still there: %v", err)
	}
}
