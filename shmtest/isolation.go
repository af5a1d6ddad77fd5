package shmtest

import (
	"errors"
	"os"
	"testing"
)

// notIsolated is why Main could not isolate the process, if it tried.
var notIsolated error

// Isolated tells whether this process has System V IPC and the shm mount for
// itself, so that whatever is there was made by the tests. Main sees to it
// where it may; a wrapper that has done it already says so with
// SHMTEST_ISOLATED=1, and SHMTEST_ISOLATED=0 keeps Main from doing it (for
// instance under a debugger).
func Isolated() bool { return os.Getenv(envIsolated) == "1" }

// NeedIsolation skips the test unless Isolated.
func NeedIsolation(t testing.TB) {
	t.Helper()
	if Isolated() {
		return
	}
	why := notIsolated
	if why == nil {
		why = errors.New("not attempted (" + envIsolated + "=" + os.Getenv(envIsolated) + ", or fuzzing)")
	}
	t.Skipf("needs IPC and mount namespaces of its own: %v", why)
}
