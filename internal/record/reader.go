package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Reader reads a recording. It is used by one goroutine at a time.
type Reader struct {
	Header Header

	r       *bufio.Reader
	samples uint64
	data    bytes.Buffer
	at      int64 // offset of the next record
	done    error
	end     *End
}

// End is the end of a recording that has one.
type End struct {
	Why     Reason
	Samples uint64 // in the recording
	Lost    uint64 // before they could be recorded
	Time    time.Time
}

// NewReader begins to read. What is no recording is sys.ErrCorrupt, one of a
// newer format sys.ErrVersion, and ErrCut one that was cut off in its header.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{r: bufio.NewReaderSize(r, 1<<16)}
	if err := in.header(); err != nil {
		return nil, err
	}
	return in, nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, sys.ErrCorrupt)...)
}

func (r *Reader) header() error {
	b := make([]byte, fixedSize, maxHeader)
	n, err := io.ReadFull(r.r, b)
	if n < len(Magic) || string(b[:len(Magic)]) != Magic {
		if err != nil && !isEnd(err) {
			return err
		}
		return corrupt("it is no recording: it does not begin with %q", Magic)
	}
	if err != nil {
		return cut(err)
	}
	if v, least := le.Uint32(b[offVersion:]), le.Uint32(b[offLeast:]); v == 0 || least > Version {
		return fmt.Errorf("the recording has format %d, for readers that know %d; this one knows %d: %w", v, least, Version, sys.ErrVersion)
	}
	size := le.Uint32(b[offSize:])
	topicLen, typeLen := le.Uint32(b[offTopicLength:]), le.Uint32(b[offTypeLength:])
	if size < fixedSize || size > maxHeader || size%8 != 0 || topicLen > MaxText || typeLen > MaxText || fixedSize+topicLen+typeLen > size {
		return corrupt("its header says that it has %d bytes, with names of %d and %d", size, topicLen, typeLen)
	}
	b = b[:size]
	if _, err := io.ReadFull(r.r, b[fixedSize:]); err != nil {
		return cut(err)
	}
	want := le.Uint32(b[offSum:])
	le.PutUint32(b[offSum:], 0)
	if sum(b) != want {
		return corrupt("the checksum of its header is wrong")
	}
	// After the checksum: a bit that is wrong by accident is no feature.
	if f := le.Uint64(b[offFeatures:]) & (1<<32 - 1); f != 0 {
		return fmt.Errorf("the recording has features %#x that this reader does not know: %w", f, sys.ErrVersion)
	}
	text := b[fixedSize:]
	r.Header = Header{
		Topic: string(text[:topicLen]), Type: string(text[topicLen : topicLen+typeLen]),
		Began: time.Unix(0, int64(le.Uint64(b[offBegan:]))),
		Slots: le.Uint64(b[offSlots:]), Capacity: le.Uint64(b[offCapacity:]), Align: le.Uint64(b[offAlign:]),
		Patience: time.Duration(le.Uint64(b[offPatience:])),
		Policy:   le.Uint32(b[offPolicy:]), Subscribers: le.Uint32(b[offSubscribers:]), Held: le.Uint32(b[offHeld:]),
		TypeHash: [32]byte(b[offTypeHash:]),
	}
	r.at = int64(size)
	return nil
}

// Next gives the next sample; its data is valid until the next call. io.EOF:
// the recording is complete; ErrCut: it is cut off; sys.ErrCorrupt: it is
// damaged. After each of them it stays at that.
func (r *Reader) Next() (Sample, error) {
	if r.done != nil {
		return Sample{}, r.done
	}
	s, err := r.next()
	if err != nil {
		r.done = err
		return Sample{}, err
	}
	r.samples++
	return s, nil
}

func (r *Reader) next() (Sample, error) {
	for {
		at := r.at
		var b [recSize]byte
		if _, err := io.ReadFull(r.r, b[:]); err != nil {
			return Sample{}, cut(err)
		}
		if b == [recSize]byte{} {
			// File systems leave zeros behind what was written when the
			// machine dies.
			return Sample{}, ErrCut
		}
		if sum(b[:recSum]) != le.Uint32(b[recSum:]) {
			return Sample{}, corrupt("the checksum of the record at byte %d is wrong", at)
		}
		n := le.Uint64(b[recLength:])
		kind := le.Uint32(b[recKind:])
		if kind == kindEnd {
			r.end = &End{
				Why: Reason(le.Uint32(b[recFlags:])), Samples: le.Uint64(b[recNumber:]), Lost: le.Uint64(b[recSeq:]),
				Time: time.Unix(0, int64(le.Uint64(b[recTime:]))),
			}
			if r.end.Samples != r.samples {
				return Sample{}, corrupt("it ends after %d samples and says that it has %d", r.samples, r.end.Samples)
			}
			return Sample{}, io.EOF
		}
		if n > 1<<62 || kind == kindSample && n > r.Header.Capacity {
			return Sample{}, corrupt("the record at byte %d says that it has %d bytes, in slots of %d", at, n, r.Header.Capacity)
		}
		if err := r.payload(padded(n)); err != nil {
			return Sample{}, err
		}
		r.at += recSize + int64(padded(n))
		if kind != kindSample {
			continue // of a later version, which may be left out
		}
		data := r.data.Bytes()[:n]
		if sum(data) != le.Uint32(b[recDataSum:]) {
			return Sample{}, corrupt("the checksum of the sample at byte %d is wrong", at)
		}
		return Sample{
			Number: le.Uint64(b[recNumber:]), Seq: le.Uint64(b[recSeq:]), Time: time.Unix(0, int64(le.Uint64(b[recTime:]))),
			User: le.Uint64(b[recUser:]), Flags: le.Uint32(b[recFlags:]), Data: data,
		}, nil
	}
}

// payload reads n bytes. The memory grows with what is there, whatever the
// record says.
func (r *Reader) payload(n uint64) error {
	r.data.Reset()
	if _, err := io.CopyN(&r.data, r.r, int64(n)); err != nil {
		return cut(err)
	}
	return nil
}

// Samples is how many Next has given.
func (r *Reader) Samples() uint64 { return r.samples }

// End is the recording's end, nil before io.EOF and where there is none.
func (r *Reader) End() *End { return r.end }

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// cut makes the end of the file an end of the recording.
func cut(err error) error {
	if isEnd(err) {
		return ErrCut
	}
	return err
}
