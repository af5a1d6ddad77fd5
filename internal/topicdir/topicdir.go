// Package topicdir is the files of a topic: the directory NAME.topic with
// lock, data, p.ID, r.ID and bell, as spec/topic.md has them. It makes them,
// opens them, checks them, maps them, tells who lives and removes them. What
// goes on in the mapped memory afterwards is package topic's.
//
//	Create    the publisher's side: make a topic or take one over
//	Open      the subscriber's or observer's side; Peer.Join makes r.ID
//	Remove    rename away, then delete
//	List      the topics of a directory; Inspect tells all about one
//	Dead      what the dead have left, and why; Candidate.Remove prunes it
//	Dump      everything that stands in a topic, for post-mortems
//
// # Guarantees
//
//   - A topic, and every file in it, is complete, reserved and locked before
//     it has its name.
//   - Every file of somebody else is opened without following, without
//     waiting, and checked before it is mapped. What another process can
//     write is copied once and then checked against what the kernel says of
//     the file and what was asked for, not against itself.
//   - Descriptors that carry a lock are close-on-exec, never sent, and closed
//     by Close alone: no finalizer drops a lock.
//   - Nothing starts a goroutine, and nothing waits but for the file system, and
//     at most a second for who takes over, removes or prunes the very topic.
//
// # Limits
//
// A Region can be cut short by who may write its file; whoever touches it
// guards itself (mem.Region.Guard). One process must not open a topic's lock
// by other means: locks belong to descriptors, not to processes, so that does
// no harm here, unlike with F_SETLK.
//
// A file system without O_TMPFILE, or without /proc before Linux 6.10, makes
// r.ID under the name ".tmp-ID" first and renames it; one that is killed in
// between leaves that, which the next publisher removes.
package topicdir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
)

// ID names a topic or a participant. It is random and never used again.
type ID [16]byte

// NewID makes an ID.
func NewID() (id ID) {
	rand.Read(id[:])
	return id
}

// String gives the 32 lower-case hex digits that file names have.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID is the inverse of String; upper-case digits are refused.
func ParseID[T string | []byte](s T) (id ID, ok bool) {
	if len(s) != 2*len(id) {
		return ID{}, false
	}
	for i := range len(s) {
		digit := s[i]
		switch {
		case '0' <= digit && digit <= '9':
			digit -= '0'
		case 'a' <= digit && digit <= 'f':
			digit -= 'a' - 10
		default:
			return ID{}, false
		}
		id[i/2] = id[i/2]<<4 | digit
	}
	return id, true
}

const (
	suffix     = ".topic"
	newPrefix  = ".new-"
	deadPrefix = ".dead-"
	tempPrefix = ".tmp-"

	lockFile      = "lock"
	dataFile      = "data"
	bellFile      = "bell"
	publisherFile = "p."
	memberFile    = "r."
)

// MaxName is the longest name of a topic in bytes.
const MaxName = 200

// CheckName refuses what cannot be the name of a topic: it is 1 to MaxName
// bytes of UTF-8, without slashes and control characters, and does not start
// with a dot. Spaces and anything printable are allowed.
func CheckName(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "the name is empty"
	case len(name) > MaxName:
		reason = fmt.Sprintf("the name has %d bytes, %d are allowed", len(name), MaxName)
	case !utf8.ValidString(name):
		reason = "the name is not UTF-8"
	case strings.HasPrefix(name, "."):
		reason = "the name starts with a dot"
	case strings.Contains(name, "/"):
		reason = "the name has a slash"
	case strings.ContainsFunc(name, unicode.IsControl):
		reason = "the name has a control character"
	}
	if reason == "" {
		return nil
	}
	return &sys.Error{Op: "name", Kind: "topic", Name: Address(name), Err: fmt.Errorf("%s: %w", reason, fs.ErrInvalid)}
}

// Address gives the address of a topic for messages: "topic:NAME", with what
// is not printable quoted as Go strings are.
func Address(name string) string {
	quoted := fmt.Sprintf("%q", name)
	return "topic:" + quoted[1:len(quoted)-1]
}

// place is a topic's name and the directory that it stands in.
type place struct {
	dir  string
	name string
}

func newPlace(dir, name string) (place, error) {
	if dir == "" {
		dir = posix.DefaultDir
	}
	return place{dir, name}, CheckName(name)
}

func (p place) path() string { return p.dir + "/" + p.name + suffix }

// fail makes the error of an operation; one that was made already stays.
func (p place) fail(op string, err error) error {
	if e, ok := err.(*sys.Error); ok && e.Kind == "topic" {
		return err
	}
	e := &sys.Error{Op: op, Kind: "topic", Name: Address(p.name), Err: err}
	var h *hintError
	if errors.As(err, &h) {
		e.Hint = h.hint
	}
	return e
}

// hintError is an error with the next step for a person, which place.fail
// takes over.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

func hinted(hint string, format string, args ...any) error {
	return &hintError{fmt.Errorf(format, args...), hint}
}
