// Package procfs parses the files of proc(5) that tell who uses which shared
// memory: System V segments, mappings, descriptors, locks, mounts, control
// groups and limits.
//
// It has two layers. The functions ParseX and the iterators take an
// [io.Reader] and know nothing about the file system; they compile and work
// on every operating system. [Root] names a directory, normally /proc, and its
// methods open the right file below it and parse that.
//
// # Guarantees
//
// No input makes a parser panic or hold more than one line of at most
// [MaxLine] bytes beyond what it returns. Malformed input gives a
// [*ParseError] that names the file, the line and what was expected there.
// Errors of the file system are returned as they came, so that [errors.Is]
// works on them and [Gone] can tell a process that has ended.
//
// All functions may be called by several goroutines at once. Nothing is
// cached: every call reads anew.
//
// # Limits
//
// A file of /proc is a series of glimpses, not a snapshot: what changes while
// it is read may be seen half. Names in it (of processes, files, mappings) are
// chosen by the processes themselves; [Printable] makes them safe to show, and
// the comments say which ones must not be believed.
package procfs

import (
	"io"
	"os"
	"strconv"
)

// Default is where proc(5) is normally mounted.
const Default Root = "/proc"

// Process ids that name the caller in the methods of [Root].
const (
	// Self is the calling process: the directory "self".
	Self = 0
	// Thread is the calling thread: the directory "thread-self". It differs
	// from Self in namespaces and control groups, when the thread has left
	// those of its process.
	Thread = -1
)

// Root is a directory with the shape of proc(5). The empty Root means
// [Default]; a test passes a directory of its own.
type Root string

// dir returns the directory that r stands for.
func (r Root) dir() string {
	if r == "" {
		return string(Default)
	}
	return string(r)
}

// path returns the path of a file that belongs to no process.
func (r Root) path(name string) string {
	return r.dir() + "/" + name
}

// pidPath returns the path of a file of process pid, or of [Self] or [Thread].
func (r Root) pidPath(pid int, name string) string {
	switch pid {
	case Self:
		return r.dir() + "/self/" + name
	case Thread:
		return r.dir() + "/thread-self/" + name
	}
	return r.dir() + "/" + strconv.Itoa(pid) + "/" + name
}

// parseFile opens the file at path, hands it to parse, and puts the path into
// a ParseError.
func parseFile[T any](path string, parse func(io.Reader) (T, error)) (T, error) {
	f, err := os.Open(path)
	if err != nil {
		var zero T
		return zero, err
	}
	defer f.Close()
	v, err := parse(f)
	return v, named(err, path)
}

// readAll reads at most limit bytes of r; more is an error.
func readAll(r io.Reader, name string, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, &ParseError{File: name, Line: 1, Want: "at most " + strconv.Itoa(limit) + " bytes", Got: excerpt(b)}
	}
	return b, nil
}
