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

	sink uint64 // keeps what was read alive
}

func newStream(s Spec) streamLine {
	return streamLine{s: s, buf: make([]byte, s.Size), big: make([]byte, max(64<<10, s.Size))}
}

func (l *streamLine) drive(ctx context.Context, n int, r *reply) error {
	d, err := l.send(n)
	r.laps(d)
	return err
}

func (l *streamLine) answer(ctx context.Context, n int, r *reply) error {
	d, err := l.receive(n)
	r.laps(d)
	return err
}

// send sends n messages, and in a round trip has each back before the next;
// then it gives the time of each.
func (l *streamLine) send(n int) ([]int64, error) {
	t := newLaps(n)
	t.begin()
	for range n {
		if l.s.Idle > 0 {
			time.Sleep(l.s.Idle)
			binary.LittleEndian.PutUint64(l.buf, uint64(time.Now().UnixNano()))
		}
		if _, err := l.out.Write(l.buf); err != nil {
			return nil, err
		}
		if l.s.Pattern == latency {
			if _, err := io.ReadFull(l.in, l.buf); err != nil {
				return nil, err
			}
			l.sink += look(l.buf, false)
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
		for left := n * l.s.Size; left > 0; {
			k, err := l.in.Read(l.big[:min(left, len(l.big))])
			if err != nil {
				return nil, err
			}
			l.sink += look(l.big[:k], l.s.Read == "touch")
			left -= k
		}
		return nil, nil
	}
	for range n {
		if _, err := io.ReadFull(l.in, l.buf); err != nil {
			return nil, err
		}
		if l.s.Idle > 0 {
			d = append(d, time.Now().UnixNano()-int64(binary.LittleEndian.Uint64(l.buf)))
			continue
		}
		l.sink += look(l.buf, false)
		if _, err := l.out.Write(l.buf); err != nil {
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
