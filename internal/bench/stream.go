package bench

import (
	"context"
	"encoding/binary"
	"io"
	"time"
)

// streamLine is what bytes are written to and read from: a connection, or a
// pair of pipes. Buffers are used again, and there are no deadlines.
type streamLine struct {
	plain
	in  io.Reader
	out io.Writer
	s   Spec
	buf []byte // for one message
	big []byte // for as many as are there

	place inPlace // where not nil, in place of in and out
	sink  uint64  // keeps what was read alive
}

// inPlace is a connection that lends what messages are written into, and
// shows what has come where it stands.
type inPlace interface {
	Reserve(n int) ([]byte, error)
	Commit(n int) error
	Peek() ([]byte, error)
	Discard(n int) error
}

// piece is how much is done in place at once: while the next is written, the
// one before is read.
const piece = 64 << 10

// put sends so many bytes as a message.
func (l *streamLine) put(n int) error {
	if l.place == nil {
		_, err := l.out.Write(l.buf[:n])
		return err
	}
	for left := l.buf[:n]; len(left) > 0; {
		b, err := l.place.Reserve(min(len(left), piece))
		if err != nil {
			return err
		}
		n := copy(b, left)
		if err := l.place.Commit(n); err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// get receives so many bytes and looks at them, as many at once as it likes.
func (l *streamLine) get(n int, touch bool) error {
	for n > 0 {
		if l.place != nil {
			b, err := l.place.Peek()
			if err != nil {
				return err
			}
			b = b[:min(n, len(b), piece)]
			l.sink += look(b, touch)
			if err := l.place.Discard(len(b)); err != nil {
				return err
			}
			n -= len(b)
			continue
		}
		k, err := l.in.Read(l.big[:min(n, len(l.big))])
		if err != nil {
			return err
		}
		l.sink += look(l.big[:k], touch)
		n -= k
	}
	return nil
}

func newStream(s Spec) streamLine {
	return streamLine{s: s, buf: make([]byte, max(s.Size, s.request())), big: make([]byte, max(64<<10, s.Size))}
}

func (l *streamLine) drive(ctx context.Context, n int, r *reply) error {
	d, err := l.send(n, overhead())
	r.laps(d)
	return err
}

func (l *streamLine) answer(ctx context.Context, n int, r *reply) error {
	d, err := l.receive(n)
	r.laps(d)
	return err
}

// send sends n messages, and in a round trip has each back before the next;
// then it gives the time of each, less overhead.
func (l *streamLine) send(n int, overhead int64) ([]int64, error) {
	t := newLapsOf(n, overhead)
	t.begin()
	for range n {
		if l.s.Idle > 0 {
			time.Sleep(l.s.Idle)
			binary.LittleEndian.PutUint64(l.buf, uint64(time.Now().UnixNano()))
		}
		if err := l.put(l.s.request()); err != nil {
			return nil, err
		}
		if l.s.Pattern == latency {
			if err := l.get(l.s.Size, false); err != nil {
				return nil, err
			}
			t.lap()
		}
	}
	return t.d, nil
}

// receive is the other side. After idleness it gives how long each was on its
// way.
func (l *streamLine) receive(n int) (d []int64, err error) {
	if l.s.Pattern == throughput {
		// Whoever reads a stream takes what is there.
		return nil, l.get(n*l.s.Size, l.s.Read == "touch")
	}
	for range n {
		if l.s.Idle > 0 {
			if _, err := io.ReadFull(l.in, l.buf); err != nil {
				return nil, err
			}
			d = append(d, time.Now().UnixNano()-int64(binary.LittleEndian.Uint64(l.buf)))
			continue
		}
		if err := l.get(l.s.request(), false); err != nil {
			return nil, err
		}
		if err := l.put(l.s.Size); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// pipeLine is two pipes, which every worker inherits.
type pipeLine struct {
	streamLine
	w *worker
}

// abort ends reads and writes that block.
func (l *pipeLine) abort() {
	l.w.in.Close()
	l.w.out.Close()
}
