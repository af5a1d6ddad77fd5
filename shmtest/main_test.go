package shmtest_test

import (
	"os"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

// theM is for the handler "tests", which runs this package's tests in a child.
var theM *testing.M

func TestMain(m *testing.M) {
	theM = m
	os.Exit(shmtest.Main(m))
}

// envInner names what TestInner is to do.
const envInner = "SHMTEST_INNER"

// inner are the tests that a child runs, by the name that envInner has.
var inner = map[string]func(t *testing.T){}

// TestInner is what the tests of this package make a test binary of their own
// run, to see what Main makes of it.
func TestInner(t *testing.T) {
	do := inner[os.Getenv(envInner)]
	if do == nil {
		return
	}
	do(t)
}

// The handler "tests" is a test binary from its very start, with its arguments
// as the flags.
func init() {
	shmtest.Handle("tests", func(c *shmtest.Child) {
		os.Args = append(os.Args[:1], c.Args...)
		os.Exit(shmtest.Again(theM))
	})
}

// testBinary returns the command that runs the named inner test. What isolated
// is, "" for not yet known, is said in the environment.
func testBinary(name, isolated string, flags ...string) shmtest.Command {
	env := []string{envInner + "=" + name, "SHMTEST_ISOLATED=" + isolated}
	return shmtest.Command{
		Handler: "tests",
		Args:    append([]string{"-test.run=^TestInner$"}, flags...),
		Env:     env,
	}
}
