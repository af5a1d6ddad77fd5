package procfs

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"
)

// MaxLine is the longest line, in bytes, that a parser accepts. The kernel
// bounds what it prints by the page size or by PATH_MAX with every byte
// escaped, and is far below this.
const MaxLine = 1 << 20

// lineBuffer is the size of a line reader's first buffer. The kernel hands out
// these files a page at a time, so that more would gain nothing.
const lineBuffer = 16 << 10

// maxKept is the largest buffer that goes back into the pool.
const maxKept = 256 << 10

// lineBuffers keeps buffers for the next file: a scan of all processes opens
// hundreds, one after the other.
var lineBuffers = sync.Pool{New: func() any {
	b := make([]byte, lineBuffer)
	return &b
}}

// lineReader cuts a stream into lines. Unlike bufio.Scanner it counts them,
// names the file in its errors and borrows its buffer from a pool.
type lineReader struct {
	r          io.Reader
	file       string // for errors
	n          int    // number of the line that next returned last
	buf        *[]byte
	start, end int // what has been read and not been returned
	eof        bool
	err        error
}

// newLineReader returns a lineReader over r; file is the name used in errors.
// The caller must call close.
func newLineReader(r io.Reader, file string) *lineReader {
	return &lineReader{r: r, file: file, buf: lineBuffers.Get().(*[]byte)}
}

// close gives the buffer back. Lines returned before are invalid afterwards.
func (l *lineReader) close() {
	if l.buf != nil && cap(*l.buf) <= maxKept {
		lineBuffers.Put(l.buf)
	}
	l.buf = nil
}

// next returns the next line without its newline. The line is valid until the
// next call of next or close. At the end, or after an error, it returns false
// and err tells which.
func (l *lineReader) next() ([]byte, bool) {
	if l.err != nil {
		return nil, false
	}
	scanned := l.start // no newline stands before this
	for {
		buf := *l.buf
		if i := bytes.IndexByte(buf[scanned:l.end], '\n'); i >= 0 {
			line := buf[l.start : scanned+i]
			l.start = scanned + i + 1
			return l.take(line)
		}
		if l.eof {
			if l.start == l.end {
				return nil, false
			}
			line := buf[l.start:l.end]
			l.start = l.end
			return l.take(line)
		}
		if l.end-l.start > MaxLine {
			return l.take(buf[l.start:l.end])
		}
		scanned = l.end
		scanned -= l.fill()
		if l.err != nil {
			return nil, false
		}
	}
}

// take counts line and returns it, unless it is too long.
func (l *lineReader) take(line []byte) ([]byte, bool) {
	l.n++
	if len(line) > MaxLine {
		l.err = l.fail("a line of at most "+strconv.Itoa(MaxLine)+" bytes", line)
		return nil, false
	}
	return line, true
}

// fill reads more into the buffer, making room first. It returns by how many
// bytes the unread part has moved towards the front.
func (l *lineReader) fill() (moved int) {
	buf := *l.buf
	if l.end == len(buf) {
		dst := buf
		if l.end-l.start > len(buf)/2 {
			dst = make([]byte, 2*len(buf))
		}
		copy(dst, buf[l.start:l.end])
		moved = l.start
		l.start, l.end = 0, l.end-l.start
		*l.buf = dst
		buf = dst
	}
	// A reader may return nothing without an error, but not for ever.
	for range 100 {
		n, err := l.r.Read(buf[l.end:])
		if n < 0 || n > len(buf)-l.end {
			l.err = errors.New("procfs: reader returned an impossible count")
			return moved
		}
		l.end += n
		switch {
		case err == io.EOF:
			l.eof = true
			return moved
		case err != nil:
			l.err = err
			return moved
		case n > 0:
			return moved
		}
	}
	l.err = io.ErrNoProgress
	return moved
}

// fail returns the error for the line that next returned last.
func (l *lineReader) fail(want string, got []byte) error {
	return &ParseError{File: l.file, Line: l.n, Want: want, Got: excerpt(got)}
}
