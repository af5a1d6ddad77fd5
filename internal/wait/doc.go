// Package wait lets goroutines sleep until another process has changed
// something in shared memory, and wakes those that sleep (spec/topic.md,
// section 8). It knows nothing of topics: it has a futex word, a flag that
// says that somebody sleeps, and a condition that the caller looks at.
//
// # Guarantees
//
//   - No wake-up is lost between correct peers; the argument stands at
//     [Sleeper].
//   - While nobody sleeps a waker makes no system call.
//   - However many goroutines wait at a Sleeper, one thread sleeps for them.
//   - A wait obeys its context. Memory that vanishes is an error.
//
// # Limits
//
// Whoever may write the flag can cost the waker system calls and a sleeper
// some delay, and whoever can read the futex word can send its sleepers to
// another one (FUTEX_REQUEUE). No sleep lasts longer than a bound because of
// them.
//
// A thread in a system call keeps its processor until the Go scheduler takes
// it away. With GOMAXPROCS 1 that takes some milliseconds, if something else
// becomes ready to run just after the thread has gone to sleep.
package wait
