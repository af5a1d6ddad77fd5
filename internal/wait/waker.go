package wait

import (
	"math"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

const (
	// A flag that is found set patience times in a row, though nobody sleeps,
	// is set by somebody who does not sleep: a correct Sleeper raises it
	// hastyMost times at most without sleeping, and then holds still for a
	// moment.
	patience = 64
	// Then the flag is looked at in one of each stride wakes, for the next
	// restWakes of them.
	stride    = 16
	restWakes = 1024
	// A wake of nobody costs about a microsecond. Where there are fewer than
	// one in this time nothing is worth a delay.
	tooOften = 50 * time.Microsecond
)

// Waker wakes those who sleep on a word. One goroutine at a time uses it, the
// one that makes the changes.
//
// Guarantee: who sleeps at a Sleeper with this word and flag when Wake is
// called, and was not told of the change before, is woken. See Sleeper for
// the argument.
type Waker struct {
	// Word is the futex word. Nobody else writes it.
	Word *uint32
	// Flag is what sleepers raise (Bell.Flag).
	Flag *uint32
	// FenceFree says that this process is registered with membarrier(2) and
	// that sleepers can see that (FenceFree, Bell.FenceFree), before the
	// first Wake.
	FenceFree bool

	// What was done so far, for statistics.
	Rings   uint64 // the flag was up, and somebody may have been woken
	Empty   uint64 // of those, when nobody slept
	Skipped uint64 // times that the flag was not looked at

	streak int // rings for nobody, without the flag being down between them
	rest   int // wakes that are left of looking at the flag more rarely
	since  time.Time
}

// Wake wakes everybody who sleeps. It is called after each change.
//
// SYNC POINT: sleep. It meets Bell.Arm.
func (w *Waker) Wake() {
	if !w.FenceFree {
		mem.FullFence()
	}
	if w.rest != 0 && w.skip() {
		return
	}
	if mem.LoadAcquire32(w.Flag) != 0 {
		w.ring()
	} else if w.streak != 0 {
		w.streak = 0
	}
}

// Quiet reports that Wake would find nothing to do. It is Wake where that costs
// a load.
func (w *Waker) Quiet() bool {
	return w.FenceFree && w.rest|w.streak == 0 && mem.LoadAcquire32(w.Flag) == 0
}

func (w *Waker) skip() bool {
	w.rest--
	if w.rest%stride == 0 {
		return false
	}
	w.Skipped++
	return true
}

// ring takes the flag down before it changes the word: who raises it again in
// between finds another word than it wants to sleep on.
func (w *Waker) ring() {
	mem.Swap32(w.Flag, 0)
	w.Rings++
	if w.WakeAll() > 0 {
		w.streak, w.rest = 0, 0
		return
	}
	w.Empty++
	if w.rest > 0 {
		return
	}
	if w.streak == 0 {
		w.since = time.Now()
	}
	if w.streak++; w.streak == patience {
		if time.Since(w.since) < patience*tooOften {
			w.rest = restWakes
		}
		w.streak = 0
	}
}

// WakeAll changes the word and wakes everybody who sleeps on it, whatever the
// flag says, and gives their number. It is for changes after which no sleeper
// can be relied on to have raised the flag: a take-over, an end.
func (w *Waker) WakeAll() int {
	mem.Add32(w.Word, 1)
	return WakeWord(w.Word)
}

// WakeWord wakes everybody who sleeps on a word, in all processes, and gives
// their number. The word itself has to be changed before.
func WakeWord(word *uint32) int {
	// The only errors are of addresses, and the word was just touched.
	n, _ := sys.FutexWake(mem.Addr(word), math.MaxInt32)
	return n
}
