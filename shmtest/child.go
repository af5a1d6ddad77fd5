package shmtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// Child is a child process as its handler sees it. It talks to the parent in
// lines on standard input and output; standard error goes to the test's log.
// A Child is not safe for concurrent use.
type Child struct {
	// Args are the arguments that Start was given.
	Args []string

	name  string
	in    *bufio.Reader
	steps *stepper // nil but in Steps
}

func newChild(name string) *Child {
	return &Child{Args: os.Args[1:], name: name, in: bufio.NewReader(os.Stdin)}
}

// Send sends a line to the parent. It is formatted as fmt.Sprintf does if
// there are args.
func (c *Child) Send(line string, args ...any) {
	if len(args) > 0 {
		line = fmt.Sprintf(line, args...)
	}
	// One write, so that lines of several processes on one pipe stay whole.
	if _, err := os.Stdout.WriteString(line + "\n"); err != nil {
		c.Fatal(err)
	}
}

// Recv waits for the next line from the parent. It reports false when there
// will be none, because the parent has closed its end or has died.
func (c *Child) Recv() (string, bool) {
	line, err := c.in.ReadString('\n')
	if err != nil && err != io.EOF {
		c.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n"), err == nil
}

// Expect waits for the next line from the parent, which must be want.
func (c *Child) Expect(want string) {
	got, ok := c.Recv()
	switch {
	case !ok:
		c.Fatalf("expected %q, but the parent has closed its end", want)
	case got != want:
		c.Fatalf("expected %q, got %q", want, got)
	}
}

// Hold waits until the parent closes its end (by Process.Wait or Exit) or
// dies. What a child has meanwhile, it has as long as the test wants.
func (c *Child) Hold() {
	io.Copy(io.Discard, c.in)
}

// File returns the i-th of the files that the parent passed in
// Command.ExtraFiles: descriptor 3+i.
func (c *Child) File(i int) *os.File {
	return os.NewFile(uintptr(3+i), fmt.Sprintf("extra file %d", i))
}

// Log writes to standard error, and so to the test's log.
func (c *Child) Log(args ...any) { fmt.Fprintln(os.Stderr, args...) }

// Logf is like Log, formatted as fmt.Sprintf does.
func (c *Child) Logf(format string, args ...any) { c.Log(fmt.Sprintf(format, args...)) }

// Fatal is Log, and then the child ends with status 1.
func (c *Child) Fatal(args ...any) {
	c.Log(append([]any{"fatal:"}, args...)...)
	os.Exit(1)
}

// Fatalf is like Fatal, formatted as fmt.Sprintf does.
func (c *Child) Fatalf(format string, args ...any) { c.Fatal(fmt.Sprintf(format, args...)) }

// Check is Fatal unless err is nil.
func (c *Child) Check(err error) {
	if err != nil {
		c.Fatal(err)
	}
}

// Helper does nothing. It is there for interfaces that testing.TB satisfies.
func (c *Child) Helper() {}
