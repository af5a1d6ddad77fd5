package shmtest

// setup is what a child arranges for itself before it executes the program
// that it is to be. It is done in the child, after one execution of the test
// binary and before the next, because a new namespace, a mount and a limit
// have to be arranged by a thread that then executes, and because most of it
// needs the privileges that the program shall not have.
type setup struct {
	Path string   // executed at last
	Argv []string // with the program's name
	Self bool     // Path is the test binary (or its emulator)
	// Report is a descriptor. A refusal is written to it as JSON; that it is
	// closed, by execve, means success.
	Report int

	User     *User
	DropCaps []Cap
	KeepCaps []Cap
	Rlimits  []Rlimit
	OwnIPC   bool
	OwnShm   bool
	ShmSize  int64
}

// refusal is why it was not done.
type refusal struct {
	Need string // what was needed
	Err  string // what the system said
	Skip bool   // it is the system that does not let us, not a mistake
}
