package shmtest_test

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a test inside a test: it notes how it fails or is skipped, and
// the test around it goes on.
type recorder struct {
	testing.TB
	timeout time.Duration

	mu       sync.Mutex
	logged   []string
	failed   bool
	skipped  bool
	cleanups []func()
}

// record runs f as a test of its own, cleanups included.
func record(t testing.TB, timeout time.Duration, f func(t testing.TB)) *recorder {
	r := &recorder{TB: t, timeout: timeout}
	run := func(f func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
	run(func() { f(r) })
	for _, cleanup := range slices.Backward(r.cleanups) {
		run(cleanup)
	}
	return r
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.logged, "\n")
}

// has fails t unless the recorded test has failed and said all of want.
func (r *recorder) has(t testing.TB, want ...string) {
	t.Helper()
	if !r.failed {
		t.Errorf("the test inside has not failed; it said %q", r.text())
	}
	for _, w := range want {
		if !strings.Contains(r.text(), w) {
			t.Errorf("the test inside has not said %q but %q", w, r.text())
		}
	}
}

func (r *recorder) note(text string, failed, skipped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logged = append(r.logged, text)
	r.failed = r.failed || failed
	r.skipped = r.skipped || skipped
}

// Write is for Output.
func (r *recorder) Write(b []byte) (int, error) {
	r.note(string(b), false, false)
	return len(b), nil
}

func (r *recorder) Output() io.Writer           { return r }
func (r *recorder) Deadline() (time.Time, bool) { return time.Now().Add(r.timeout), true }
func (r *recorder) Cleanup(f func())            { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(f string, a ...any)     { r.note(fmt.Sprintf(f, a...), false, false) }
func (r *recorder) Errorf(f string, a ...any)   { r.note(fmt.Sprintf(f, a...), true, false) }
func (r *recorder) Fatalf(f string, a ...any) {
	r.note(fmt.Sprintf(f, a...), true, false)
	runtime.Goexit()
}
func (r *recorder) Fatal(a ...any) { r.Fatalf("%s", fmt.Sprint(a...)) }
func (r *recorder) Skipf(f string, a ...any) {
	r.note(fmt.Sprintf(f, a...), false, true)
	runtime.Goexit()
}
func (r *recorder) Skip(a ...any) { r.Skipf("%s", fmt.Sprint(a...)) }
