package shmtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Victim is a child process that is killed at one step of what it does, see
// EachStep.
type Victim struct {
	*Process
	// Said is what the child has sent since Await was called first: what it
	// has acknowledged before it came to its step.
	Said []string

	t     *testing.T
	stop  int
	step  Step
	says  bool // that it stands, and nobody has looked
	stood bool
	over  bool // it stands, or is done
	done  bool
	steps []Step
}

// Toll is what EachStep has done.
type Toll struct {
	Steps   []Step // of the whole operation
	Killed  int    // how many processes came to their step
	Escaped int    // how many were done before they came to it, for not every run takes the same steps
}

// Sites counts the places in the source that take the steps.
func (t *Toll) Sites() int {
	sites := map[string]bool{}
	for _, s := range t.Steps {
		sites[s.What+s.Site] = true
	}
	return len(sites)
}

// workers is how many scripts of EachStep run at a time. They wait most of the
// time.
const workers = 4

// EachStep kills a process at every step of an operation. The script starts
// the process with Victim.Start, calls Victim.Kill, and then looks whether
// those who live go on as they should:
//
//	shmtest.EachStep(t, 1, func(t *testing.T, v *shmtest.Victim) {
//		v.Start("writer", name)  // whose handler calls Child.Steps
//		v.Kill()
//		...
//	})
//
// It runs once to count the steps, and there the process is killed when it has
// done all; and then once for every step, or every n-th and the first of each
// place in the source, of which several run at a time, each a subtest. The
// process is killed before it takes the step.
//
// A step that nobody has announced fails the test, see Child.Steps.
func EachStep(t *testing.T, n int, script func(t *testing.T, v *Victim)) Toll {
	t.Helper()
	var toll Toll
	t.Run("all", func(t *testing.T) {
		v := &Victim{t: t}
		script(t, v)
		toll.Steps = v.steps
	})
	if t.Failed() {
		return toll
	}
	if len(toll.Steps) == 0 {
		t.Error("shmtest: no step at all: the handler has to call Child.Steps, and the binary to be built with the tag shmpoint")
		return toll
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan Step)
	for range workers {
		wg.Go(func() {
			for step := range work {
				t.Run(fmt.Sprintf("%03d", step.N), func(t *testing.T) {
					v := &Victim{t: t, stop: step.N}
					defer func() {
						if t.Failed() {
							t.Logf("killed at %v, before which it had said %q", v.step, v.Said)
						}
					}()
					script(t, v)
					mu.Lock()
					defer mu.Unlock()
					if !v.stood {
						toll.Escaped++
					} else {
						toll.Killed++
					}
				})
			}
		})
	}
	seen := map[string]bool{}
	for i, step := range toll.Steps {
		if place := step.What + step.Site; i%max(n, 1) == 0 || !seen[place] {
			seen[place] = true
			work <- step
		}
	}
	close(work)
	wg.Wait()
	return toll
}

// Other gives a second victim for the same script, which stops before step n of
// what it does: with both standing where they stand, and resumed one after the
// other, the script has them meet in an order that it chooses.
func (v *Victim) Other(n int) *Victim { return &Victim{t: v.t, stop: n} }

// Counting reports whether this is the run that counts the steps.
func (v *Victim) Counting() bool { return v.stop == 0 }

// Start starts the process, as the function Start does.
func (v *Victim) Start(handler string, args ...string) {
	v.t.Helper()
	v.StartCommand(Command{Handler: handler, Args: args})
}

// StartCommand is Start for a Command.
func (v *Victim) StartCommand(c Command) {
	v.t.Helper()
	c.Env = append(c.Env[:len(c.Env):len(c.Env)], fmt.Sprintf("%s=%d", envStep, v.stop))
	v.Process = c.Start(v.t)
}

// Await waits until the process stands before its step, or is done with all of
// them: then it is false. Nothing of the process runs while it stands; then
// the script can do to it, or to what it shares, whatever shall happen at just
// this moment, and kill it, or let it go on with Resume.
func (v *Victim) Await() (Step, bool) {
	v.t.Helper()
	for !v.over {
		v.hear(v.Recv())
	}
	if v.says {
		v.awaitStop() // it says that it stands a moment before it does
		v.says = false
	}
	return v.step, !v.done
}

// Resume lets the process go on from its step, and waits until it is done with
// the others.
func (v *Victim) Resume() {
	v.t.Helper()
	if _, stands := v.Await(); !stands {
		return
	}
	v.Cont()
	for v.over = false; !v.over; {
		v.hear(v.Recv())
	}
}

// Stands reports, without waiting, whether Await would not wait.
func (v *Victim) Stands() bool {
	for !v.over {
		line, ok, _, _ := v.out.take()
		if !ok {
			return false
		}
		v.hear(line)
	}
	return true
}

func (v *Victim) hear(line string) {
	v.t.Helper()
	if text, ok := strings.CutPrefix(line, saysStands); ok {
		v.step, v.says, v.stood, v.over = decodeStep(text), true, true, true
	} else if text, ok := strings.CutPrefix(line, saysStep); ok {
		v.steps = append(v.steps, decodeStep(text))
	} else if text, ok := strings.CutPrefix(line, saysHidden); ok {
		v.t.Errorf("shmtest: a step that nobody announced: %s", text)
	} else if strings.HasPrefix(line, saysDone) {
		v.over, v.done = true, true
	} else {
		v.Said = append(v.Said, line)
	}
}

// Kill waits until the process stands before its step, or is done, and kills
// it.
func (v *Victim) Kill() {
	v.t.Helper()
	v.Await()
	v.Process.Kill()
}
