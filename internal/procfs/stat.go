package procfs

import (
	"bytes"
	"io"
	"time"
)

// UserHz is the number of clock ticks a second in which proc(5) counts. The
// kernel converts to it, whatever its own rate, and it is 100 on every
// architecture that Go supports.
const UserHz = 100

// maxStat bounds /proc/PID/stat, a line of about 350 bytes.
const maxStat = 64 << 10

// Stat is the part of /proc/PID/stat that identifies a process; see proc(5).
type Stat struct {
	PID  int
	Comm string // as [ParseComm] has it, without the parentheses
	// State is the letter of the state: R running, S sleeping, D waiting for
	// a disk, Z zombie, T stopped, X dead and others.
	State byte
	PPID  int
	// StartTicks is when the process started, in ticks of 1/[UserHz] second
	// since boot (in the reader's time namespace). With the id it identifies
	// a process inside one pid namespace during one boot.
	StartTicks uint64
	// VSize is the size of the address space in bytes, RSSPages the resident
	// part in pages.
	VSize    uint64
	RSSPages int64
}

// Zombie reports whether the process has ended and only waits to be reaped. It
// holds no memory any more.
func (s *Stat) Zombie() bool { return s.State == 'Z' || s.State == 'X' }

// StartTime returns when the process started, given the time of boot (see
// [Root.BootTime]). Since that is known to the second and follows changes of
// the clock, so does the result; for telling processes apart compare
// StartTicks.
func (s *Stat) StartTime(boot time.Time) time.Time {
	return boot.Add(ticks(s.StartTicks))
}

// ticks converts a count of ticks, as far as a Duration can hold it.
func ticks(n uint64) time.Duration {
	const tick = time.Second / UserHz
	const most = uint64(1<<63-1) / uint64(tick)
	return time.Duration(min(n, most)) * tick
}

// ParseStat parses /proc/PID/stat. The name in it may hold spaces, parentheses
// and newlines, so its end is the last parenthesis of the file.
func ParseStat(r io.Reader) (*Stat, error) {
	b, err := readAll(r, "stat", maxStat)
	if err != nil {
		return nil, err
	}
	fail := func(want string, got []byte) (*Stat, error) {
		return nil, &ParseError{File: "stat", Line: 1, Want: want, Got: excerpt(got)}
	}
	head, rest, ok := bytes.Cut(b, []byte(" ("))
	end := bytes.LastIndexByte(rest, ')')
	if !ok || end < 0 {
		return fail("PID (NAME)", b)
	}
	var s Stat
	pid, ok := parseInt32(head)
	if !ok {
		return fail("a process id", head)
	}
	s.PID = int(pid)
	s.Comm = string(rest[:end])
	rest = bytes.TrimSuffix(rest[end+1:], []byte{'\n'})
	// The number of a field is that of proc(5), which counts from 1.
	for n := 3; n <= 24; n++ {
		var word []byte
		word, rest = field(rest)
		ok := len(word) > 0
		switch n {
		case 3:
			if ok = len(word) == 1; ok {
				s.State = word[0]
			}
		case 4:
			var v int32
			v, ok = parseInt32(word)
			s.PPID = int(v)
		case 22:
			s.StartTicks, ok = parseUint(word, 10)
		case 23:
			s.VSize, ok = parseUint(word, 10)
		case 24:
			s.RSSPages, ok = parseInt(word)
		}
		if !ok {
			return fail(statFields[n], word)
		}
	}
	return &s, nil
}

// statFields says what is expected in a field of /proc/PID/stat.
var statFields = [25]string{
	3: "a state of one letter", 4: "the parent's process id", 5: "field 5", 6: "field 6",
	7: "field 7", 8: "field 8", 9: "field 9", 10: "field 10", 11: "field 11", 12: "field 12",
	13: "field 13", 14: "field 14", 15: "field 15", 16: "field 16", 17: "field 17",
	18: "field 18", 19: "field 19", 20: "field 20", 21: "field 21", 22: "a start time in field 22",
	23: "a size in field 23", 24: "a number of pages in field 24",
}

// Stat returns the state of process pid. It needs no privilege unless /proc is
// mounted with hidepid. See [ParseStat].
func (r Root) Stat(pid int) (*Stat, error) {
	return parseFile(r.pidPath(pid, "stat"), ParseStat)
}
