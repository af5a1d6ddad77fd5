package shmtest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// TestingM is what Main needs of a *testing.M. It is an interface so that
// Main can be combined with other packages that wrap a *testing.M.
type TestingM interface {
	// Run runs the tests and returns an exit status.
	Run() int
}

// The environment variables with which a test binary talks to its
// re-executions.
const (
	// envIsolated tells whether System V IPC and the shm mount are the
	// test process's own: "1" they are, "0" they are not and shall not be,
	// unset: not tried yet.
	envIsolated = "SHMTEST_ISOLATED"
	// envChild names the handler that a child process runs.
	envChild = "SHMTEST_CHILD"
	// envSetup holds what a child has to arrange before it becomes what it
	// is to be, see setup.
	envSetup = "SHMTEST_SETUP"
	// envExec is the emulator and its arguments that precede the path of
	// the test binary wherever it is re-executed.
	envExec = "SHMTEST_EXEC"
	// envSelf is the path of the test binary for the emulator, if the path
	// that the binary knows of itself is closed to it.
	envSelf = "SHMTEST_SELF"
)

// entered is set by Enter. Without it a child process would run the tests
// again, which would start children that run the tests again.
var entered bool

// Main runs the tests of m between two snapshots and returns the exit status
// for os.Exit. It is called from TestMain, before anything that has an effect:
//
//	func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }
//
// Where the process may (CAP_SYS_ADMIN), it first moves itself into a new IPC
// namespace and a new mount namespace with an empty tmpfs on /dev/shm and
// executes itself again there, keeping its process id, arguments, working
// directory and standard streams. What other processes create and remove
// meanwhile is then invisible, and every difference counts. Elsewhere Main
// counts only what can be attributed to this process; see the package comment.
//
// Main returns the status of m.Run, but 1 if that is 0 and something was left
// behind; each thing that was is named on standard error.
//
// In a process that Start or Command.Start made, Main runs the handler and
// does not return.
func Main(m TestingM) int {
	Enter()
	if flagSet("test.fuzzworker") || flagSet("test.list") {
		// It is the fuzz workers' coordinator that is checked.
		return m.Run()
	}
	return runChecked(m)
}

// Enter is the first part of Main: it runs the handler of a child process, and
// isolates others. It is for a TestMain in which something else has to come
// before the tests but after that, and does nothing when it is called again.
// With testscript, whose commands are the test binary under another name and
// shall stay where they are:
//
//	type checked struct{ m *testing.M }
//
//	func (c checked) Run() int { return shmtest.Main(c.m) }
//
//	func TestMain(m *testing.M) {
//		if commands[filepath.Base(os.Args[0])] == nil {
//			shmtest.Enter()
//		}
//		testscript.Main(checked{m}, commands)
//	}
func Enter() {
	if entered {
		return
	}
	entered = true
	if spec, ok := os.LookupEnv(envSetup); ok {
		os.Exit(setUp(spec))
	}
	if name, ok := os.LookupEnv(envChild); ok {
		os.Exit(runHandler(name))
	}
	if !flag.Parsed() {
		flag.Parse()
	}
	// A fuzz worker talks to its coordinator on the descriptors 3 to 5 and
	// shares memory with it, and both are better left alone.
	if flagSet("test.fuzz") || flagSet("test.fuzzworker") || flagSet("test.list") {
		return
	}
	if os.Getenv(envIsolated) == "" {
		if err := isolate(); err != nil {
			notIsolated = err
			os.Setenv(envIsolated, "0")
		}
	}
}

// runChecked runs the tests between two snapshots.
func runChecked(m TestingM) int {
	before, err := Take()
	if errors.Is(err, errors.ErrUnsupported) {
		return m.Run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "shmtest: cannot look before the tests: %v\n", err)
		return 1
	}
	status := m.Run()
	leaks, err := settle(before)
	if err != nil {
		fmt.Fprintf(os.Stderr, "shmtest: cannot look after the tests: %v\n", err)
		return 1
	}
	if len(leaks) > 0 {
		fmt.Fprintf(os.Stderr, "shmtest: the tests did not leave things as they were:\n\t%s\n",
			strings.Join(leaks, "\n\t"))
		if status == 0 {
			status = 1
		}
	}
	return status
}

// flagSet tells whether the named flag has a value other than its empty one.
func flagSet(name string) bool {
	f := flag.Lookup(name)
	return f != nil && f.Value.String() != "" && f.Value.String() != "false"
}

// Emulated reports whether the tests run under a user-mode emulator
// (SHMTEST_EXEC), whose answers are not always the kernel's. A test of what it
// cannot show skips with the reason.
func Emulated() bool { return os.Getenv(envExec) != "" }
