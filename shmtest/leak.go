package shmtest

import (
	"testing"
	"time"
)

// grace is how long what ends by itself, above all processes that are being
// killed and namespaces that are being taken down, may take to do so.
var grace = 2 * time.Second

// CheckLeaks takes a snapshot now and fails the test if, when it and its later
// cleanups are over, something has been left behind. Call it first in a test.
//
// The snapshot is of the whole process, so the test must not be parallel to
// others, nor leave a goroutine that works on.
func CheckLeaks(t testing.TB) {
	t.Helper()
	before, err := Take()
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		leaks, err := settle(before)
		if err != nil {
			t.Errorf("shmtest: %v", err)
		}
		for _, leak := range leaks {
			t.Errorf("shmtest: %s", leak)
		}
	})
}

// settle returns the difference since before when there is none, or when
// grace is over.
func settle(before *Snapshot) ([]string, error) {
	for limit, pause := time.Now().Add(grace), time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		after, err := Take()
		if err != nil {
			return nil, err
		}
		leaks := before.Diff(after)
		if len(leaks) == 0 || time.Now().After(limit) {
			return leaks, nil
		}
		time.Sleep(pause) // between two looks at what cannot be waited for
	}
}
