package record

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"time"
)

// Writer writes a recording. It is used by one goroutine at a time; after an
// error it is of no use any more.
type Writer struct {
	w       *bufio.Writer
	samples uint64
	buf     [recSize]byte
}

// NewWriter begins a recording. What is written is buffered until Flush.
func NewWriter(w io.Writer, h *Header) (*Writer, error) {
	if len(h.Topic) > MaxText || len(h.Type) > MaxText {
		return nil, fmt.Errorf("record: names of %d and %d bytes are too long", len(h.Topic), len(h.Type))
	}
	b := make([]byte, fixedSize, padded(uint64(fixedSize+len(h.Topic)+len(h.Type))))
	b = append(append(b, h.Topic...), h.Type...)
	b = b[:cap(b)]
	copy(b, Magic)
	le.PutUint32(b[offVersion:], Version)
	le.PutUint32(b[offLeast:], 1)
	le.PutUint32(b[offSize:], uint32(len(b)))
	le.PutUint64(b[offBegan:], uint64(nanos(h.Began)))
	le.PutUint64(b[offSlots:], h.Slots)
	le.PutUint64(b[offCapacity:], h.Capacity)
	le.PutUint64(b[offAlign:], h.Align)
	le.PutUint64(b[offPatience:], uint64(h.Patience))
	le.PutUint32(b[offPolicy:], h.Policy)
	le.PutUint32(b[offSubscribers:], h.Subscribers)
	le.PutUint32(b[offHeld:], h.Held)
	le.PutUint32(b[offTopicLength:], uint32(len(h.Topic)))
	le.PutUint32(b[offTypeLength:], uint32(len(h.Type)))
	copy(b[offTypeHash:], h.TypeHash[:])
	le.PutUint32(b[offSum:], sum(b))
	out := &Writer{w: bufio.NewWriterSize(w, 1<<16)}
	if _, err := out.w.Write(b); err != nil {
		return nil, err
	}
	return out, nil
}

// Write appends a sample. The data is not kept.
func (w *Writer) Write(s *Sample) error {
	b := w.buf[:]
	clear(b)
	le.PutUint32(b[recKind:], kindSample)
	le.PutUint32(b[recFlags:], s.Flags)
	le.PutUint64(b[recLength:], uint64(len(s.Data)))
	le.PutUint64(b[recNumber:], s.Number)
	le.PutUint64(b[recSeq:], s.Seq)
	le.PutUint64(b[recTime:], uint64(nanos(s.Time)))
	le.PutUint64(b[recUser:], s.User)
	le.PutUint32(b[recDataSum:], sum(s.Data))
	le.PutUint32(b[recSum:], sum(b[:recSum]))
	if _, err := w.w.Write(b); err != nil {
		return err
	}
	if _, err := w.w.Write(s.Data); err != nil {
		return err
	}
	w.samples++
	var zeros [8]byte
	n := uint64(len(s.Data))
	_, err := w.w.Write(zeros[:padded(n)-n])
	return err
}

// Samples is how many were written.
func (w *Writer) Samples() uint64 { return w.samples }

// Flush hands what is buffered to the writer below.
func (w *Writer) Flush() error { return w.w.Flush() }

// End ends the recording and flushes it: why, and how many samples the
// recorder lost on the way.
func (w *Writer) End(why Reason, lost uint64) error {
	b := w.buf[:]
	clear(b)
	le.PutUint32(b[recKind:], kindEnd)
	le.PutUint32(b[recFlags:], uint32(why))
	le.PutUint64(b[recNumber:], w.samples)
	le.PutUint64(b[recSeq:], lost)
	le.PutUint64(b[recTime:], uint64(nanos(time.Now())))
	le.PutUint32(b[recSum:], sum(b[:recSum]))
	if _, err := w.w.Write(b); err != nil {
		return err
	}
	return w.w.Flush()
}

// nanos is the time since 1970, as near as 64 bits come.
func nanos(t time.Time) int64 {
	n := t.UnixNano()
	switch {
	case time.Unix(0, n).Equal(t):
		return n
	case t.Unix() < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}
