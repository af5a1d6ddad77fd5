package shm

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// looks is how often explain looks at an object of which it cannot tell
// whether somebody is changing its size just now, or its memory is missing.
// The first ones follow each other at once, quickLooks of them.
const (
	looks      = 64
	quickLooks = 16
)

var errReadOnly = &Error{
	Err:  fmt.Errorf("it was opened read-only: %w", fs.ErrPermission),
	Hint: "open it without the option ReadOnly",
}

// explain says which cause a fault in the memory had. The kernel does not
// tell, so it is found out afterwards, from what the object is like then: a
// peer may have made it longer again by that time. stores says whether the
// access may have been one for writing.
func (s *Segment) explain(op string, err error, stores bool) error {
	f, ok := err.(*mem.Fault)
	if !ok {
		return err
	}
	for look := range looks {
		if look > quickLooks {
			// A peer's own rhythm must not be met again and again.
			time.Sleep(time.Duration(look) * time.Microsecond)
		}
		size, err := s.backing.size()
		switch {
		case err != nil:
			return s.fail(op, fmt.Errorf("%w, and the object cannot be asked: %w", f, err))
		case f.Off >= size:
			return s.fail(op, &Error{
				Err:  fmt.Errorf("%w: it has %d bytes now, %d are mapped, and byte %d was touched", ErrTruncated, size, s.Size(), f.Off),
				Hint: "another process made the object shorter; open it again to see what is left",
			})
		}
		truncatable, readOnly := s.backing.truncatable(), s.readOnly && stores
		switch touchable := s.touchable(f.Off); {
		case !touchable && truncatable && !s.backing.full():
			continue // cut off since the look, or no memory for the page
		case !touchable:
		case truncatable && readOnly:
			// Nothing can tell the one from the other.
			return s.fail(op, &Error{
				Err:  fmt.Errorf("byte %d was written and %w; or it was read, and %w for a moment", f.Off, errReadOnly.Err, ErrTruncated),
				Hint: errReadOnly.Hint,
			})
		case truncatable:
			return s.fail(op, &Error{
				Err:  fmt.Errorf("%w, and made longer again: byte %d was touched", ErrTruncated, f.Off),
				Hint: "another process changes the object's size; what was beyond its end is lost",
			})
		case readOnly:
			return s.fail(op, errReadOnly)
		}
		break
	}
	return s.fail(op, &Error{
		Err:  fmt.Errorf("%w: byte %d was touched and no memory could be had for its page", ErrNoSpace, f.Off),
		Hint: "the mount, the huge pages or the memory cgroup are full; an object that was created reserved cannot meet this",
	})
}

// touchable reports whether a byte can be read now.
func (s *Segment) touchable(off int64) bool {
	if off >= s.Size() {
		return false
	}
	var b [1]byte
	_, ok := s.region.TryReadAt(b[:], off)
	return ok
}
