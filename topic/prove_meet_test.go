//go:build shmpoint

package topic_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

func init() {
	publisherOps["pass"] = func(v *victim) {
		for range 3 {
			v.send()
		}
	}
	shmtest.Handle("prove taker", func(c *shmtest.Child) {
		v := newVictim(c)
		v.join()
		c.Send("joined")
		c.Expect("go")
		v.s.Admitted()
		var m topic.Sample
		c.Steps(func() { m = v.next() }, v.bell())
		c.Expect("look")
		v.hold(m)
		first := m.Seq
		m.Release()
		c.Send("whole, %d", first)
		c.Hold()
	})
}

// meetSteps is how many steps a take has, and some.
const meetSteps = 5

// TestProveMeet kills nobody: a subscriber stands before each step of a take
// while the publisher comes to each step of passing it by; then the subscriber
// goes on, and holds what it took, and then the publisher. What is held must
// stay as it is: nobody else would notice that one of the two looked too early.
func TestProveMeet(t *testing.T) {
	a := newToll(t)
	for _, policy := range policies {
		for j := 1; j <= meetSteps; j++ {
			// The next number takes the place of the first, which is not taken.
			s := stage{Policy: policy, Op: "pass", Warm: 8, Patience: time.Millisecond}
			a.each(t, fmt.Sprintf("%v take %d meets", policy, j), func(t *testing.T, v *shmtest.Victim) { proveMeet(t, v, s, j) })
		}
	}
}

func proveMeet(t *testing.T, v *shmtest.Victim, s stage, j int) {
	s.Dir = shmtest.Dir(t)
	s.start(t, v, "prove publisher")
	v.Expect("there")
	taker := v.Other(j)
	s.start(t, taker, "prove taker")
	taker.Expect("joined")
	v.Send("go")
	v.Expect("ready")
	taker.Send("go")
	taker.Await()
	v.Send("go")
	v.Await()
	taker.Resume()
	v.Resume()
	taker.Send("look")
	var seq uint64
	if line := taker.Recv(); !scanned(line, "whole, %d", &seq) {
		t.Errorf("it says %q", line)
	}
	taker.Process.Kill()
	v.Process.Kill()
	if err := topic.Remove(stageName, &topic.RemoveOptions{Dir: s.Dir}); err != nil {
		t.Error(err)
	}
	s.empty(t)
}

func scanned(line, format string, into ...any) bool {
	n, err := fmt.Sscanf(line, format, into...)
	return err == nil && n == len(into)
}
