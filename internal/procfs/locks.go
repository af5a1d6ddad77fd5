package procfs

import (
	"bytes"
	"io"
	"math"
)

// Classes of locks, as [Lock.Class] has them.
const (
	LockPOSIX = "POSIX"  // fcntl(2) F_SETLK: owned by a process
	LockOFD   = "OFDLCK" // fcntl(2) F_OFD_SETLK: owned by an open file description
	LockFlock = "FLOCK"  // flock(2)
	LockLease = "LEASE"  // fcntl(2) F_SETLEASE
)

// LockEOF is the End of a lock that reaches to the end of the file, however
// long that becomes.
const LockEOF = math.MaxInt64

// Lock is a line of /proc/locks, or a line "lock:" of /proc/PID/fdinfo/FD; see
// proc(5).
type Lock struct {
	ID      int64  // number in this reading; who waits has that of the lock waited for
	Waiting bool   // not held: somebody waits for it
	Class   string // LockPOSIX and so on
	Mode    string // ADVISORY; for leases ACTIVE, BREAKING or BREAKER
	Type    string // READ, WRITE or UNLCK
	// PID is the holder; -1 for OFD locks, which belong to no process, and 0
	// for a process that is not visible in the reader's pid namespace.
	PID   int32
	Dev   Dev // of the file; with Inode 0 the kernel did not know it
	Inode uint64
	// Start and End are the first and the last byte, or LockEOF.
	Start, End int64
}

// lockWords are the words that occur in the file, kept to allocate nothing
// when one is met.
var lockWords = []string{
	LockPOSIX, LockOFD, LockFlock, LockLease, "DELEG", "ACCESS", "ADVISORY", "MANDATORY",
	"ACTIVE", "BREAKING", "BREAKER", "READ", "WRITE", "UNLCK",
}

// lockWord returns b as a string.
func lockWord(b []byte) string {
	for _, w := range lockWords {
		if string(b) == w {
			return w
		}
	}
	return string(b)
}

// parse parses one line into l. When the line is malformed it returns what it
// wanted and what it found.
func (l *Lock) parse(line []byte) (want string, got []byte) {
	*l = Lock{}
	word, rest := field(line)
	number, ok := bytes.CutSuffix(word, []byte{':'})
	if ok {
		l.ID, ok = parseInt(number)
	}
	if !ok {
		return "a number and a colon", word
	}
	word, rest = field(rest)
	if string(word) == "->" {
		l.Waiting = true
		word, rest = field(rest)
	}
	for _, dst := range []*string{&l.Class, &l.Mode, &l.Type} {
		if len(word) == 0 {
			return "CLASS MODE TYPE", line
		}
		*dst = lockWord(word)
		word, rest = field(rest)
	}
	if l.PID, ok = parseInt32(word); !ok {
		return "a process id", word
	}
	word, rest = field(rest)
	if string(word) != "<none>:0" {
		colon := bytes.LastIndexByte(word, ':')
		if colon < 0 {
			return "MAJOR:MINOR:INODE", word
		}
		var ok1, ok2 bool
		l.Dev, ok1 = parseDev(word[:colon], 16)
		l.Inode, ok2 = parseUint(word[colon+1:], 10)
		if !ok1 || !ok2 {
			return "MAJOR:MINOR:INODE", word
		}
	}
	word, rest = field(rest)
	if l.Start, ok = parseInt(word); !ok {
		return "the first byte", word
	}
	word, _ = field(rest)
	if string(word) == "EOF" {
		l.End = LockEOF
	} else if l.End, ok = parseInt(word); !ok {
		return "the last byte or EOF", word
	}
	return "", nil
}

// ParseLocks parses /proc/locks. A lock that is waited for is followed by those
// who wait.
func ParseLocks(r io.Reader) ([]Lock, error) {
	lr := newLineReader(r, "locks")
	defer lr.close()
	var locks []Lock
	for {
		line, ok := lr.next()
		if !ok {
			return locks, lr.err
		}
		var l Lock
		if want, got := l.parse(line); want != "" {
			return nil, lr.fail(want, got)
		}
		locks = append(locks, l)
	}
}

// Locks returns the locks of the system, without those of processes that the
// reader's pid namespace does not show. It needs no privilege.
func (r Root) Locks() ([]Lock, error) {
	return parseFile(r.path("locks"), ParseLocks)
}
