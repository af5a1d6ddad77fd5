package procfs

import (
	"errors"
	"fmt"
	"io/fs"
)

// ParseError says where a file of proc(5) was not as expected. It is returned
// by pointer; find it with [errors.As].
type ParseError struct {
	File string // path, or the file's usual name when a reader was parsed
	Line int    // counted from 1
	Want string // what was expected there
	Got  string // the beginning of what was found instead
}

// Error returns "FILE:LINE: want WANT, got "GOT"". What was found is quoted, so
// that a hostile name in it cannot reach a terminal raw.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s:%d: want %s, got %q", e.File, e.Line, e.Want, e.Got)
}

// maxExcerpt is how much of the offending text an error repeats.
const maxExcerpt = 80

// excerpt returns the beginning of b for [ParseError.Got].
func excerpt(b []byte) string {
	if len(b) > maxExcerpt {
		return string(b[:maxExcerpt]) + "..."
	}
	return string(b)
}

// named puts path into err when that is a ParseError made by a parser that
// knew only the usual name of its file.
func named(err error, path string) error {
	if err == nil {
		return nil // once a mapping: this must not allocate
	}
	var pe *ParseError
	if errors.As(err, &pe) {
		pe.File = path
	}
	return err
}

// Gone reports whether err says that the process (or the thread, or the
// descriptor) that was asked about has ended: ENOENT when its directory has
// vanished, ESRCH when it vanished while a file in it was being read. A scan
// over all processes skips such errors. A /proc that is not mounted looks the
// same; [Root.PIDs] tells the two apart.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || isESRCH(err)
}
