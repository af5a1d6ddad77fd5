package grpc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/bench"
	"github.com/seed-298b2b26/shm/shmtest"
)

// ownWorker is the first argument of this program as a worker of the
// measurement that has no gRPC.
const ownWorker = "bench-worker"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ownWorker {
		if err := bench.Worker(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(shmtest.Main(m))
}

// newBench is what `shm bench --quick --json --only` runs.
func newBench(only string) *bench.Bench {
	return &bench.Bench{JSON: true, Quick: true, Only: only, Self: func() (bench.Command, error) {
		path, err := os.Executable()
		return bench.Command{Path: path, Args: []string{"bench", ownWorker}}, err
	}}
}

// install puts the program into PATH.
func install(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "shm-bench-grpc"), "./shm-bench-grpc")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// measured holds that each call was measured over both, and has its parts.
func measured(t *testing.T, text string, alone bool) {
	t.Helper()
	found := map[string]bool{}
	d := json.NewDecoder(strings.NewReader(text))
	for d.More() {
		var r bench.Row
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Transport != Service.Name {
			continue
		}
		if r.Skipped != "" || r.P50 <= 0 || r.P999 < r.P50 || len(r.PIDs) != 2 || (r.AloneRatio > 0) != alone || (r.UnixRatio > 0) != (r.Over == "shmnet") {
			t.Errorf("%+v", r)
		}
		found[fmt.Sprint(r.Over, r.Free)] = true
	}
	if len(found) != 4 {
		t.Errorf("rows of %v, want both transports, bound and not, in\n%s", found, text)
	}
}

// TestMeasured has shm bench measure gRPC with the program from PATH.
func TestMeasured(t *testing.T) {
	install(t)
	for only, alone := range map[string]bool{"gRPC unary, 1 MiB": true, "gRPC unary, 1 KiB, 64 callers": false} {
		t.Run(only, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			var out bytes.Buffer
			b := newBench(only)
			b.Out = &out
			if err := b.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			measured(t, out.String(), alone)
		})
	}
}

// TestBuilt has it built here, in a checkout; in another user's it says so.
func TestBuilt(t *testing.T) {
	var out bytes.Buffer
	b := newBench("gRPC unary, 64 B")
	b.Out = &out
	if err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "is another user's, so it is not built from there") {
		measured(t, out.String(), true)
	}
}

func init() {
	shmtest.Handle("measure", func(c *shmtest.Child) {
		b := newBench("gRPC unary")
		b.Out = os.Stdout
		c.Check(b.Run(context.Background()))
	})
}

// TestKilled: the program's processes do not outlive the measurement's.
func TestKilled(t *testing.T) {
	install(t)
	p := shmtest.Start(t, "measure")
	var r bench.Row
	if err := json.Unmarshal([]byte(p.Recv()), &r); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if r.Transport != Service.Name || len(r.PIDs) != 2 {
		t.Fatalf("the first row is %+v", r)
	}
	for _, pid := range r.PIDs {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if err != nil || !strings.HasPrefix(string(text), "shm-bench-grpc") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %d is left", pid)
			}
		}
	}
}
