//go:build !shmpoint

package point

// On says that the program is built with the tag shmpoint. It is a constant,
// so that nothing is left of what depends on it where it is false.
const On = false

// Pass is called before each step, with what it is, and the bytes that it
// changes where these are memory.
func Pass(what string, addr, size uintptr) {}

// Watch has f called by every Pass from now on, on the thread that takes the
// step; nil ends that. It reports whether there are points at all.
func Watch(f func(what string, addr, size uintptr)) bool { return false }
