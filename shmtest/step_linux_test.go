package shmtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

// The file of TestEachStep holds two counters, which the same process raises
// one after the other, and tells when both are up.
func init() {
	shmtest.Handle("two counters", func(c *shmtest.Child) {
		b := mapCounters(c, c.Args[0])
		c.Send("ready")
		c.Steps(func() {
			for range 3 {
				c.Step("first", b[:1])
				b[0]++
				c.Step("second", b[8:9])
				b[8]++
				c.Send("counted %d", b[8])
			}
		})
		c.Hold()
	})
	shmtest.Handle("hidden store", func(c *shmtest.Child) {
		b := mapCounters(c, c.Args[0])
		var others []string
		if len(c.Args) > 1 {
			others = c.Args[:1]
		}
		private := make([]byte, 8)
		c.Steps(func() {
			c.Step("own", private)
			private[0]++
			c.Step("first", b[:1])
			b[0]++
			b[17]++
		}, others...)
		c.Hold()
	})
}

func mapCounters(c *shmtest.Child, path string) []byte {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	c.Check(err)
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	c.Check(err)
	return b
}

func counters(t *testing.T) string {
	name := filepath.Join(shmtest.Dir(t), "counters")
	if err := os.WriteFile(name, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEachStep(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	toll := shmtest.EachStep(t, 1, func(t *testing.T, v *shmtest.Victim) {
		name := counters(t)
		v.Start("two counters", name)
		v.Expect("ready")
		step, stands := v.Await()
		if stands == v.Counting() {
			t.Errorf("stands: %v", stands)
		}
		v.Kill()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if b[0] != b[8] && b[0] != b[8]+1 {
			t.Errorf("counters %d and %d", b[0], b[8])
		}
		if len(v.Said) != int(b[8]) {
			t.Errorf("counter %d, and it said %q", b[8], v.Said)
		}
		if !v.Counting() {
			if n := int(b[0]) + int(b[8]); n != step.N-1 {
				t.Errorf("at %v it had done %d steps", step, n)
			}
			mu.Lock()
			seen = append(seen, step.What)
			mu.Unlock()
		} else if b[8] != 3 {
			t.Errorf("it was done with %d", b[8])
		}
	})
	if len(toll.Steps) != 6 || toll.Killed != 6 || toll.Escaped != 0 || toll.Sites() != 2 {
		t.Errorf("%+v", toll)
	}
	slices.Sort(seen)
	if got := strings.Join(seen, " "); got != "first first first second second second" {
		t.Error(got)
	}
	for i, s := range toll.Steps {
		if s.N != i+1 || !strings.Contains(s.Site, "step_linux_test.go:") {
			t.Error(s)
		}
	}
}

// TestHiddenStep: what changes without being announced is reported, and where.
func TestHiddenStep(t *testing.T) {
	name := counters(t)
	p := shmtest.Command{Handler: "hidden store", Args: []string{name}, Env: []string{"SHMTEST_STEP=0"}}.Start(t)
	for _, want := range []string{"\x01step 1\tfirst\t", "\x01hidden byte 17 of counters changed after step 1, first by ", "\x01done 1"} {
		if got := p.Recv(); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	p.Kill()
	// Not where others write, too.
	p = shmtest.Command{Handler: "hidden store", Args: []string{name, "others"}, Env: []string{"SHMTEST_STEP=0"}}.Start(t)
	p.Recv()
	p.Expect("\x01done 1")
	p.Kill()
}

// A process that is killed before every step of what it does leaves the two
// counters of a file at most one apart. Where the program uses a package of
// this module, and is built with the tag shmpoint, its steps need not be
// announced.
func ExampleEachStep() {
	shmtest.Handle("counter", func(c *shmtest.Child) {
		var shared []byte // of the file c.Args[0]
		c.Steps(func() {
			c.Step("first", shared[:1])
			shared[0]++
			c.Step("second", shared[8:9])
			shared[8]++
		})
		c.Hold()
	})

	var t *testing.T // the test's
	toll := shmtest.EachStep(t, 1, func(t *testing.T, v *shmtest.Victim) {
		v.Start("counter", "/dev/shm/counters")
		v.Kill()
		b, _ := os.ReadFile("/dev/shm/counters")
		if b[0] != b[8] && b[0] != b[8]+1 {
			t.Errorf("counters %d and %d", b[0], b[8])
		}
	})
	fmt.Println(toll.Killed, "processes killed")
}
