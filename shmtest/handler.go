package shmtest

import (
	"fmt"
	"os"
)

var handlers = map[string]func(*Child){}

// Handle registers what a child process of that name does, for Start. It is
// called from an init function or from TestMain before Main, so that the child,
// which is the same binary, registers it too. The child's exit status is 0
// when f returns. Handle panics if the name is taken.
func Handle(name string, f func(c *Child)) {
	if _, taken := handlers[name]; taken {
		panic("shmtest: two handlers are named " + name)
	}
	handlers[name] = f
}

// runHandler is the life of a child process.
func runHandler(name string) int {
	f, ok := handlers[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "shmtest: no handler named %q\n", name)
		return 2
	}
	// What the child executes is not a child of the same name.
	os.Unsetenv(envChild)
	f(newChild(name))
	return 0
}
