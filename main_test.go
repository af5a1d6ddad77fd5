package shm_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

// emulated tells whether another machine's code is run by qemu's user mode.
func emulated() bool { return os.Getenv("SHMTEST_EXEC") != "" }

// needFault skips the test where the address of a SIGBUS is not the one that
// was touched.
func needFault(t *testing.T) {
	t.Helper()
	if emulated() {
		t.Skip("needs the address of a fault, which the emulator does not tell")
	}
}

// sink keeps the compiler from leaving out a read.
var sink byte

// everyKind runs f for an address of each kind, under which there is nothing
// yet.
func everyKind(t *testing.T, f func(t *testing.T, address string)) {
	t.Helper()
	for _, kind := range []string{"posix", "sysv", "private", "memfd"} {
		t.Run(kind, func(t *testing.T) { f(t, newAddress(t, kind)) })
	}
}

func newAddress(t testing.TB, kind string) string {
	t.Helper()
	switch kind {
	case "posix":
		return "posix:/" + shmtest.Name(t)
	case "sysv":
		return sysv.Key(shmtest.Key(t)).String()
	case "private":
		return "sysv:private"
	}
	return "memfd:" + shmtest.Name(t)
}

// create makes memory that is gone after the test.
func create(t testing.TB, address string, size int64, opts *shm.Options) *shm.Segment {
	t.Helper()
	s, err := shm.Create(address, size, opts)
	if err != nil {
		t.Fatal(err)
	}
	tidy(t, s)
	return s
}

// tidy removes and closes s with the test, unless the test has.
func tidy(t testing.TB, s *shm.Segment) {
	t.Cleanup(func() {
		if err := s.Remove(); err != nil && !errors.Is(err, shm.ErrRemoved) && !errors.Is(err, shm.ErrClosed) {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// open opens memory that exists, until the test is over.
func open(t testing.TB, address string, opts *shm.Options) *shm.Segment {
	t.Helper()
	s, err := shm.Open(address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// want fails the test unless err is every one of targets, and a *shm.Error
// that says what failed, on what, and why. With no target err must be nil.
func want(t testing.TB, err error, targets ...error) {
	t.Helper()
	if why := unwanted(err, targets...); why != "" {
		t.Error(why)
	}
}

// unwanted is want for where there is no test, in children.
func unwanted(err error, targets ...error) string {
	if len(targets) == 0 {
		if err != nil {
			return fmt.Sprintf("error: %v", err)
		}
		return ""
	}
	if err == nil {
		return fmt.Sprintf("no error, want %v", targets)
	}
	for _, target := range targets {
		if !errors.Is(err, target) {
			return fmt.Sprintf("%v: not %v", err, target)
		}
	}
	var e *shm.Error
	switch {
	case !errors.As(err, &e):
		return fmt.Sprintf("%v: a %T and no *shm.Error", err, err)
	case e.Op == "" || e.Name == "" || e.Err == nil:
		return fmt.Sprintf("%#v: something is missing", e)
	}
	return ""
}
