//go:build linux

package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// TestPython: observers in Python follow publishers in Go and in C, under both
// policies, through a take-over to the end, and say what they lost.
func TestPython(t *testing.T) {
	for _, policy := range []string{"block", "drop"} {
		for _, pair := range [][2]string{{"go", "c"}, {"c", "go"}} {
			t.Run(fmt.Sprintf("%s/%s, then %s", policy, pair[0], pair[1]), func(t *testing.T) {
				shmtest.CheckLeaks(t)
				name := shmtest.Name(t)
				remove(t, name)
				first := begin(t, pair[0], "pub", name, policy, 0, 1, 1)
				first.Expect("from 0")
				sub := begin(t, "go", "sub", name, "next", 0, 0)
				observer := begin(t, "python", "observe", name, "oldest", 50)
				observer.Expect("observing")
				start(first, sub)
				until(observer, "at")
				until(observer, "at")
				first.Kill()
				n := count(2_000, 20_000)
				second := begin(t, pair[1], "pub", name, policy, n)
				var from uint64
				if _, err := fmt.Sscanf(second.Recv(), "from %d", &from); err != nil || from == 0 {
					t.Fatal(from, err)
				}
				second.Expect("done")
				second.Wait()
				ended(t, sub)
				r := ended(t, observer)
				t.Logf("%+v", r)
				if r.next != from+n || r.taken+r.lost != r.next {
					t.Errorf("%+v of %d", r, from+n)
				}
			})
		}
	}
}

// TestPythonRate: an observer in Python keeps up with 10,000 samples a second,
// which a publisher that waits for nobody makes far more of.
func TestPythonRate(t *testing.T) {
	name := shmtest.Name(t)
	// So many slots that going round takes longer than Python takes for a copy.
	pub, err := topic.Create(name, &topic.Options{Size: 64, Slots: 1 << 17, Policy: topic.DropOldest})
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for data := make([]byte, 64); err == nil; {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				err = pub.Send(context.Background(), data)
			}
		}
		<-stop
		stopped <- err
	}()
	defer func() {
		close(stop)
		if err := errors.Join(<-stopped, pub.Remove()); err != nil {
			t.Error(err)
		}
	}()
	p := begin(t, "python", "rate", name, count(2_000, 20_000))
	p.Expect("observing")
	var rate float64
	var lost uint64
	line := p.Recv()
	if _, err := fmt.Sscanf(line, "%f samples a second, lost %d", &rate, &lost); err != nil {
		t.Fatal(line, err)
	}
	p.Wait()
	t.Log(line)
	if os.Getenv("SHM_STRESS") != "" && rate < 10_000 {
		t.Errorf("%s, want 10000 a second", line)
	}
}

// TestPythonFence: where loads can be reordered, a fence is found, or the
// observer refuses. The libatomic is that of the machine below.
func TestPythonFence(t *testing.T) {
	p := begin(t, "python", "fence", "x86_64")
	p.Expect("fenced")
	p.Wait()
	p = begin(t, "python", "fence", "aarch64")
	line := p.Recv()
	if line != "fenced" && !strings.HasPrefix(line, "LibatomicMissing: on aarch64 loads are reordered") {
		t.Error(line)
	}
	p.Wait()
	// One that nobody has.
	p = shmtest.Command{
		Path: shmtest.Python(t), Args: []string{"testdata/observer.py", "fence", "aarch64", "libnothing.so.1"},
	}.Start(t)
	if line := p.Recv(); !strings.HasPrefix(line, "LibatomicMissing: on aarch64 loads are reordered") || !strings.Contains(line, "libatomic1") {
		t.Error(line)
	}
	p.Wait()
}

// TestPythonCommand: python3 -m shmtopic.
func TestPythonCommand(t *testing.T) {
	python := shmtest.Python(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := func(args ...string) (string, string, int) {
		t.Helper()
		cmd := exec.CommandContext(ctx, python, append([]string{"-B", "-m", "shmtopic"}, args...)...)
		cmd.Dir = "python"
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		cmd.Run()
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	name := plant(t, goldenRing(t))
	out, errs, code := run(name, "--from", "oldest", "-n", "2")
	if want := "4  4 bytes  'more'\n5  4 bytes  'more'\n"; out != want || errs != "" || code != 0 {
		t.Errorf("exit %d, %q, %q, want %q", code, out, errs, want)
	}
	if out, _, code := run(name, "--from", "newest", "-n", "1", "--raw"); out != "more" || code != 0 {
		t.Errorf("exit %d, %q", code, out)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"nothing-of-that-name"}, "there is no topic at /dev/shm/nothing-of-that-name.topic"},
		{[]string{"a/b"}, "cannot be the name of a topic"},
		{[]string{name, "--owner-gone", "0.1"}, "has had no publisher for 0."},
	} {
		if _, errs, code := run(tt.args...); code != 1 || !strings.HasPrefix(errs, "shmtopic: ") || !strings.Contains(errs, tt.want) {
			t.Errorf("%q: exit %d, %q", tt.args, code, errs)
		}
	}
}
