// Package shmtest helps to test programs that share memory: it finds what a
// test leaves behind, isolates it from the rest of the machine, and runs
// several processes in one test. It stands alone, on the standard library.
//
// A package's tests use it through TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }
//
// and several processes are the test binary executed again:
//
//	func init() {
//		shmtest.Handle("reader", func(c *shmtest.Child) {
//			obj := open(c.Args[0])
//			c.Send("ready")
//			c.Expect("go")
//			c.Send("read %q", obj.read())
//		})
//	}
//
//	func TestReader(t *testing.T) {
//		name := shmtest.Name(t)
//		...
//		p := shmtest.Start(t, "reader", name)
//		p.Expect("ready")
//		p.Send("go")
//		p.Expect(`read "hello"`)
//		p.Wait()
//	}
//
// # Guarantees
//
// Main compares whole snapshots from before and after the tests, not names
// that match a pattern: descriptors, mappings, files in the shm mount, System V
// segments and semaphore sets, and child processes. The test binary fails if
// they differ, and each difference is named.
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
// parent's, though it may not be able to open files there.
//
// Children do not add to a coverage profile.
//
// While fuzzing (go test -fuzz) the process is not isolated, and workers are
// not checked.
//
// Under an emulator of another architecture's user mode, set SHMTEST_EXEC to
// it (for instance qemu-aarch64-static), as a binary cannot be executed
// directly there unless binfmt_misc is configured.
package shmtest
