package shmtest

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/point"
)

// Step is something that a process does and that others can see: it stores
// into memory that it shares, or makes, names, locks or removes a file.
type Step struct {
	N    int    // the first of an operation is 1
	What string // "store", or the system call
	Site string // who does it: function, file and line
}

func (s Step) String() string { return fmt.Sprintf("step %d, %s by %s", s.N, s.What, s.Site) }

// Steps reports whether this binary is built with the tag shmpoint, so that
// every step of the packages of this module counts. Without it those that
// Child.Step announces are the only ones.
func Steps() bool { return point.On }

// envStep tells a child at which step it stops; 0 to count them.
const envStep = "SHMTEST_STEP"

// What a victim says of itself, on its standard output between its own lines.
const (
	saysStep   = "\x01step "
	saysHidden = "\x01hidden "
	saysStands = "\x01stands "
	saysDone   = "\x01done "
)

// Steps runs op. Where a Victim was started, its steps are counted, and before
// the one at which it shall end the whole process stops. While the steps are
// counted it is also checked that there are no others: what changes in memory
// that is shared and writable, without having been announced, is reported. Of
// the files with the paths in others that is not asked, for other processes
// write them too.
func (c *Child) Steps(op func(), others ...string) {
	text, ok := os.LookupEnv(envStep)
	if !ok {
		op()
		return
	}
	stop, err := strconv.Atoi(text)
	c.Check(err)
	s := &stepper{child: c, stop: stop}
	for _, path := range others {
		inode, err := inodeOf(path)
		c.Check(err)
		s.others = append(s.others, inode)
	}
	s.look()
	c.steps = s
	point.Watch(s.pass)
	op()
	point.Watch(nil)
	c.steps = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compare()
	for _, line := range s.record {
		c.Send("%s", line)
	}
	c.Send("%s%d", saysDone, s.n)
}

// Step announces a step that the packages of this module do not know of, for
// instance that the child is about to write to b, which is shared memory.
func (c *Child) Step(what string, b []byte) {
	if s := c.steps; s != nil {
		r := mem.Of(b)
		var at uintptr
		if len(b) > 0 {
			at = r.Addr()
		}
		s.pass(what, at, uintptr(len(b)))
	}
}

// stepper counts the steps of a child.
type stepper struct {
	child  *Child
	stop   int
	others []string // inodes

	mu     sync.Mutex
	n      int
	areas  map[string]*area // by address
	record []string
	last   Step
	// What was announced last, and may have changed.
	addr, size uintptr
}

// area is memory that the child shares and can write, and what stood there at
// the last step.
type area struct {
	addr, size uintptr
	name       string
	shadow     []byte
}

// areaMost bounds what is compared at every step.
const areaMost = 4 << 20

// look finds the areas.
func (s *stepper) look() {
	text, err := os.ReadFile("/proc/self/maps")
	s.child.Check(err)
	known := s.areas
	s.areas = map[string]*area{}
	for line := range strings.Lines(string(text)) {
		addresses, perms, inode, file, ok := parseMapping(line)
		if !ok || perms[:2] != "rw" || perms[3] != 's' {
			continue
		}
		key := addresses + " " + inode
		if a := known[key]; a != nil {
			s.areas[key] = a
			continue
		}
		from, to, _ := strings.Cut(addresses, "-")
		low, err := strconv.ParseUint(from, 16, 64)
		s.child.Check(err)
		high, err := strconv.ParseUint(to, 16, 64)
		s.child.Check(err)
		a := &area{addr: uintptr(low), size: uintptr(high - low), name: path.Base(file)}
		if s.stop == 0 && a.size <= areaMost && !slices.Contains(s.others, inode) {
			a.shadow = bytes.Clone(a.bytes())
		}
		s.areas[key] = a
	}
}

func (a *area) bytes() []byte { return mem.At(a.addr, int(a.size)).Bytes() }

// pass is called before each step, by whoever takes it.
func (s *stepper) pass(what string, addr, size uintptr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	s.compare()
	s.addr, s.size = 0, 0
	if addr != 0 && !s.shared(addr) {
		return // a word of the process's own
	}
	s.n++
	s.addr, s.size = addr, size
	if s.stop == 0 || s.n == s.stop {
		s.last = Step{s.n, what, site()}
	}
	switch {
	case s.stop == 0:
		s.record = append(s.record, saysStep+s.last.encode())
	case s.n == s.stop:
		s.child.Send("%s%s", saysStands, s.last.encode())
		stopHere()
	}
}

func (s *stepper) shared(addr uintptr) bool {
	for _, a := range s.areas {
		if addr >= a.addr && addr < a.addr+a.size {
			return true
		}
	}
	return false
}

// compare reports what has changed since the last step, but for what that step
// announced.
func (s *stepper) compare() {
	for _, a := range s.areas {
		if a.shadow == nil {
			continue
		}
		now := a.bytes()
		if bytes.Equal(now, a.shadow) {
			continue
		}
		for i, b := range now {
			at := a.addr + uintptr(i)
			if b != a.shadow[i] && (at < s.addr || at >= s.addr+s.size) {
				s.record = append(s.record, fmt.Sprintf("%sbyte %d of %s changed after %v", saysHidden, i, a.name, s.last))
				break
			}
		}
		copy(a.shadow, now)
	}
}

// beneath are the packages that do the steps of others.
var beneath = []string{"/internal/point.", "/internal/mem.", "/internal/sys.", "/shmtest."}

// site finds who takes the step: the first function above the packages beneath.
func site() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
next:
	for {
		f, more := frames.Next()
		if !more {
			return f.Function
		}
		for _, p := range beneath {
			if strings.Contains(f.Function, p) {
				continue next
			}
		}
		return fmt.Sprintf("%s, %s:%d", path.Base(f.Function), path.Base(f.File), f.Line)
	}
}

func (s Step) encode() string { return fmt.Sprintf("%d\t%s\t%s", s.N, s.What, s.Site) }

func decodeStep(text string) (s Step) {
	var n string
	n, text, _ = strings.Cut(text, "\t")
	s.N, _ = strconv.Atoi(n)
	s.What, s.Site, _ = strings.Cut(text, "\t")
	return s
}
