package inspect

import (
	"fmt"
	"slices"
	"strings"
)

// ReasonCode says in a word what could not be seen.
type ReasonCode string

// The reasons for which a snapshot is partial.
const (
	ReasonProcesses ReasonCode = "processes"     // processes into which the caller may not look
	ReasonHidden    ReasonCode = "hidden"        // /proc hides the processes of other users (hidepid)
	ReasonNamespace ReasonCode = "pid-namespace" // processes outside the caller's pid namespace
	ReasonNoHolders ReasonCode = "no-holders"    // processes were left out as asked
	ReasonProc      ReasonCode = "proc"          // /proc could not be read
	ReasonSysV      ReasonCode = "sysv"          // segments could not be listed
	ReasonMount     ReasonCode = "mount"         // the shared memory mount could not be listed
	ReasonElsewhere ReasonCode = "elsewhere"     // of one segment: some attachments belong to no process that was seen
)

// Reason is something that could not be seen.
type Reason struct {
	Code      ReasonCode
	Processes int      // how many, for ReasonProcesses
	Users     []uint32 // whose, ascending, for ReasonProcesses
	Err       error    // the cause, where there was an error
}

// String gives the reason in words, without a full stop.
func (r Reason) String() string {
	switch r.Code {
	case ReasonProcesses:
		if r.Processes == 1 {
			return "1 process could not be looked into"
		}
		return fmt.Sprintf("%d processes could not be looked into", r.Processes)
	case ReasonHidden:
		return "processes of other users are hidden (/proc is mounted with hidepid)"
	case ReasonNamespace:
		return "processes outside this pid namespace (container) cannot be seen"
	case ReasonNoHolders:
		return "processes were not looked at"
	case ReasonProc:
		return fmt.Sprintf("processes cannot be seen: %v", r.Err)
	case ReasonElsewhere:
		return "it is attached in another namespace, or has been since a moment ago"
	case ReasonSysV:
		return fmt.Sprintf("System V segments cannot be listed: %v", r.Err)
	case ReasonMount:
		return fmt.Sprintf("POSIX objects cannot be listed: %v", r.Err)
	}
	return string(r.Code)
}

// inWords gives several reasons in one sentence.
func inWords(reasons []Reason) string {
	words := make([]string, len(reasons))
	for i, r := range reasons {
		words[i] = r.String()
	}
	return strings.Join(words, ", and ")
}

// Hint gives the next step for a person, "" where none is known.
func (r Reason) Hint() string {
	switch r.Code {
	case ReasonProcesses, ReasonHidden:
		return "root with all capabilities may look into every process"
	case ReasonNamespace:
		return "the host sees all processes"
	case ReasonProc, ReasonSysV:
		return "mount proc(5) on /proc"
	case ReasonMount:
		return "is a tmpfs mounted there?"
	}
	return ""
}

func (s *scan) reason(r Reason) { s.snap.Reasons = append(s.snap.Reasons, r) }

// bearsOnHolders reports whether the reason means that processes using an
// object may have been missed.
func (r Reason) bearsOnHolders() bool { return r.Code != ReasonSysV && r.Code != ReasonMount }

// denied counts a process into which the caller may not look.
func (s *scan) denied(uid uint32) {
	s.deniedCount++
	if i, found := slices.BinarySearch(s.deniedUsers, uid); !found {
		s.deniedUsers = slices.Insert(s.deniedUsers, i, uid)
	}
}
