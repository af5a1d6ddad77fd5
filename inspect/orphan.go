package inspect

import (
	"fmt"
	"time"
)

// OrphanAge is how long nobody must have touched an object before Orphaned
// calls it an orphan: programs may be between two steps, or starting again.
const OrphanAge = 10 * time.Minute

// Orphaned is OrphanedAfter(OrphanAge).
func (o *Object) Orphaned() (bool, string) { return o.OrphanedAfter(OrphanAge) }

// OrphanedAfter reports whether the object looks forgotten, and in any case
// why. It never says so of what somebody uses, of what could not be seen
// fully, of what was touched less than idle ago, and of semaphores and other
// files that are no memory.
//
// A System V segment is an orphan when nothing is attached and its creator
// is dead. A POSIX object is one when no process has it open or mapped: the
// kernel does not record who made it. Both outlive their programs by design,
// so an orphan may still be wanted: data left for a program that comes later
// looks the same.
func (o *Object) OrphanedAfter(idle time.Duration) (bool, string) {
	used, certain := o.InUse()
	switch {
	case o.Kind != KindSysV && o.Kind != KindPOSIX:
		return false, fmt.Sprintf("a %s is not judged", o.kindWord())
	case o.Kind == KindSysV && used:
		return false, plural(int(o.NAttach), "attachment")
	case used:
		return false, "used by " + plural(len(o.Holders), "process")
	case !certain:
		return false, "nobody was seen to use it, but " + inWords(o.Reasons)
	case o.Removed:
		return false, "it is going already"
	}
	why := "no process has it open or mapped"
	if o.Kind == KindSysV {
		switch o.Creator.Life {
		case Alive:
			return false, fmt.Sprintf("not attached, but its creator lives: process %d (%s)", o.Creator.PID, o.Creator.Command)
		case Unknown:
			return false, "not attached, but whether its creator lives is not known"
		}
		why = fmt.Sprintf("not attached, and its creator, process %d, is dead", o.Creator.PID)
		if o.Creator.Reused {
			why += " (another process has the number now)"
		}
	}
	last := o.lastTouch()
	switch age := o.seen.Sub(last); {
	case last.IsZero():
		return false, why + ", but since when is not known"
	case age < idle:
		return false, fmt.Sprintf("%s, but it was touched %s ago", why, coarse(max(age, 0)))
	default:
		return true, fmt.Sprintf("%s; last touched %s ago", why, coarse(age))
	}
}

// lastTouch is the last time at which anything is known to have happened.
func (o *Object) lastTouch() time.Time {
	last := o.Created
	for _, t := range []time.Time{o.Modified, o.LastUsed} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func (o *Object) kindWord() string {
	if o.Kind == KindOther {
		return "file that is no shared memory object"
	}
	return string(o.Kind)
}

// coarse gives a duration as a person says it.
func coarse(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/(24*time.Hour)), "day")
}

func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "process":
		noun = "processe"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
