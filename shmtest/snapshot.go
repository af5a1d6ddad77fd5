package shmtest

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Snapshot is what a process has and what exists in its IPC namespace and in
// the shm mount at one moment:
//
//   - its open descriptors;
//   - its mappings that are shared or belong to a file, but for the program
//     and its libraries;
//   - the files below the shm mount;
//   - System V segments and semaphore sets;
//   - its children, running or not waited for.
type Snapshot struct {
	things map[string]thing
}

// thing is one entry of a Snapshot.
type thing struct {
	// kind orders the entries of a difference.
	kind string
	// detail is said of it, but it is not compared.
	detail string
	// foreign: it may have been made by another process.
	foreign bool
	// missed: not only its appearance but also its disappearance counts.
	missed bool
}

// Take takes a snapshot of the calling process. It fails with
// errors.ErrUnsupported on systems other than Linux.
func Take() (*Snapshot, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.ErrUnsupported
	}
	primeRuntime()
	s := &Snapshot{things: map[string]thing{}}
	return s, errors.Join(
		s.takeDescriptors(),
		s.takeMappings(),
		s.takeFiles(),
		s.takeIPC(),
		s.takeChildren(),
	)
}

// Diff describes in a line each what after has and s has not: what was left
// behind between the two. A descriptor that was there and is gone is told
// too, because somebody closed what was not theirs. The result is empty if
// there is no difference.
//
// Where the process is not Isolated, segments, semaphore sets and files that
// other processes may have made are passed over.
func (s *Snapshot) Diff(after *Snapshot) []string {
	var lines []string
	add := func(sign, name string, th thing) {
		if th.foreign && !Isolated() {
			return
		}
		line := sign + " " + th.kind + " " + name
		if th.detail != "" {
			line += " (" + th.detail + ")"
		}
		lines = append(lines, line)
	}
	for name, th := range after.things {
		if _, ok := s.things[name]; !ok {
			add("left:", strings.TrimPrefix(name, th.kind+" "), th)
		}
	}
	for name, th := range s.things {
		if _, ok := after.things[name]; !ok && th.missed {
			add("gone:", strings.TrimPrefix(name, th.kind+" "), th)
		}
	}
	slices.Sort(lines)
	return lines
}

func (s *Snapshot) add(kind, name string, th thing) {
	th.kind = kind
	s.things[kind+" "+name] = th
}

// primeRuntime makes the runtime open what it opens when it is first needed
// and keeps for ever (its epoll and eventfd), so that they are in every
// snapshot, while an epoll or eventfd of the tests' own is told as what it is.
var primeRuntime = sync.OnceFunc(func() {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	r.Close()
	w.Close()
})
