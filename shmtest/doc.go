// Package shmtest helps to test programs that share memory: it finds what a
// test leaves behind, keeps it apart from the rest of the machine, and runs
// several processes in one test, and kills one of them at every step of what it
// does. It needs no other module.
//
// A package's tests use it through TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }
//
// and several processes are the test binary executed again:
//
//	func init() {
//		shmtest.Handle("reader", func(c *shmtest.Child) {
//			name := c.Args[0]
//			... // open it
//			c.Send("ready")
//			c.Expect("go")
//			c.Send("read %q", ...)
//		})
//	}
//
//	func TestReader(t *testing.T) {
//		name := shmtest.Name(t)
//		... // create it
//		p := shmtest.Start(t, "reader", name)
//		p.Expect("ready")
//		... // write to it
//		p.Send("go")
//		p.Expect(`read "hello"`)
//		p.Wait()
//	}
//
// Whether a protocol survives the death of a process at any moment EachStep
// shows: it runs a script once for every step that an operation takes, and
// kills the process there.
//
//	shmtest.Handle("writer", func(c *shmtest.Child) {
//		seg := ... // open c.Args[0]
//		c.Steps(func() { ... }) // what is to be survived
//		c.Hold()
//	})
//
//	func TestKilledWriter(t *testing.T) {
//		toll := shmtest.EachStep(t, 1, func(t *testing.T, v *shmtest.Victim) {
//			v.Start("writer", name)
//			v.Kill() // at its step
//			... // those who live go on
//		})
//		t.Log(len(toll.Steps), "steps")
//	}
//
// Run with the tag shmpoint (go test -tags shmpoint) every store that the
// packages of this module make into shared memory is a step, and every system
// call that makes, names, locks or removes a file. A program's own steps are
// announced with Child.Step, which needs no tag.
//
// # Guarantees
//
// Main compares whole snapshots from before and after the tests, not names
// that match a pattern: descriptors, mappings, files in the shm mount, System V
// segments and semaphore sets, and child processes. The test binary fails if
// they differ, and each difference is named. CheckLeaks does it for one test.
//
// Where the process has CAP_SYS_ADMIN, the tests run in an IPC namespace and
// with a /dev/shm of their own, so other test binaries, which go test runs at
// the same time, neither disturb nor are disturbed, and what is left behind
// vanishes with the process. See Isolated.
//
// No child outlives its test; when the test process itself is killed, by
// whatever signal, the kernel kills its children (PR_SET_PDEATHSIG). Kernel
// parameters and huge pages are given back even then, by a process of its own.
//
// Nothing waits for a fixed time. Every wait ends shortly before the test's
// deadline, with a message that says what was waited for.
//
// Every skip says what is missing.
//
// # Limits
//
// Without CAP_SYS_ADMIN segments and files count only where they can be
// attributed: segments whose creator is this process or a child that Start
// made, or whose key came from Key; files whose name contains one that Name
// made, or that Own declared. Descriptors, mappings and children are this
// process's in any case.
//
// Private anonymous mappings cannot be told from the Go runtime's own and are
// not in a Snapshot. Neither are message queues, nor what is open in other
// processes.
//
// The parent-death signal reaches a child, not what the child starts, and is
// lost when the child executes a set-user-ID program. Grandchildren have to see
// to it themselves, for instance by reading an inherited pipe to its end.
//
// A child of another user gets the test binary by a way that does not lead
// through the directories of go test, which are closed to others, or a copy if
// the umask has closed the binary itself. Its working directory is the
// parent's, though it may not be able to open files there. It cannot add to a
// coverage profile, as other children do that are not killed.
//
// A child whose Command asks for another user, capabilities, limits or
// namespaces executes the test binary twice, first to arrange them, so init
// functions run twice.
//
// While fuzzing (go test -fuzz) the process is not isolated, and workers are
// not checked.
//
// # Environment
//
// SHMTEST_ISOLATED=1 says that a wrapper has already given the test binary its
// own namespaces, and SHMTEST_ISOLATED=0 that it shall have none, for instance
// under a debugger.
//
// SHMTEST_EXEC is the user-mode emulator that runs a test binary of another
// architecture, for instance qemu-aarch64-static, and its arguments. A binary
// cannot be executed again without it unless binfmt_misc is configured.
//
// Other variables whose names begin with SHMTEST_ are for the package's own
// use.
package shmtest
