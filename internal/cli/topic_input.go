package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/seed-298b2b26/shm"
)

// batchMost bounds how many samples are read before they are published, and
// batchBytes how much they are.
const (
	batchMost  = 256
	batchBytes = 1 << 18
)

// batch is some samples of the input, in one piece of memory.
type batch struct {
	buf  []byte
	ends []int // where each sample ends in buf
	err  error // what came after them: io.EOF, or why there is no more
}

// samples gives them one by one, in into.
func (b *batch) samples(into [][]byte) [][]byte {
	into = into[:0]
	at := 0
	for _, end := range b.ends {
		into = append(into, b.buf[at:end:end])
		at = end
	}
	return into
}

// form is a way in which samples stand in a stream.
type form interface {
	// read appends the next sample to buf.
	read(r *bufio.Reader, buf []byte) ([]byte, error)
	// ready reports whether read would find all it needs in what was read
	// ahead.
	ready(r *bufio.Reader) bool
}

// batches reads samples in a goroutine of its own, for reading may take for
// ever, and gives them as they come: all that are there at once. Each batch is
// given back through free when it is done with.
func batches(ctx context.Context, in io.Reader, f form) (full <-chan *batch, free chan<- *batch) {
	out, back := make(chan *batch, 1), make(chan *batch, 2)
	back <- new(batch)
	back <- new(batch)
	go func() {
		r := bufio.NewReaderSize(in, 1<<16)
		for {
			var b *batch
			select {
			case b = <-back:
			case <-ctx.Done():
				return
			}
			b.buf, b.ends = b.buf[:0], b.ends[:0]
			for {
				n := len(b.buf)
				b.buf, b.err = f.read(r, b.buf)
				if b.err != nil {
					b.buf = b.buf[:n]
					break
				}
				b.ends = append(b.ends, len(b.buf))
				if len(b.ends) == batchMost || len(b.buf) >= batchBytes || !f.ready(r) {
					break
				}
			}
			err := b.err
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out, back
}

// lines is text, a sample a line, without its newline.
type lines struct {
	most int // bytes of a line
	n    int // lines read
}

func (l *lines) read(r *bufio.Reader, buf []byte) ([]byte, error) {
	from := len(buf)
	l.n++
	for {
		piece, err := r.ReadSlice('\n')
		buf = append(buf, piece...)
		if err == nil {
			buf = buf[:len(buf)-1]
		}
		if len(buf)-from > l.most {
			return buf, tooLong(fmt.Sprintf("line %d", l.n), l.most)
		}
		switch {
		case err == io.EOF && len(buf) > from:
			return buf, nil // the last one, without a newline
		case err != bufio.ErrBufferFull:
			return buf, err
		}
	}
}

func (l *lines) ready(r *bufio.Reader) bool {
	ahead, _ := r.Peek(r.Buffered())
	return bytes.IndexByte(ahead, '\n') >= 0
}

// frames are samples with their lengths before them: 32 bits, little-endian.
type frames struct {
	most int
	n    int
}

const frameHeader = 4

func (f *frames) read(r *bufio.Reader, buf []byte) ([]byte, error) {
	f.n++
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return buf, f.cut(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if uint64(n) > uint64(f.most) {
		return buf, tooLong(fmt.Sprintf("frame %d says that it has %d bytes and", f.n, n), f.most)
	}
	from := len(buf)
	buf = append(buf, make([]byte, n)...)
	if _, err := io.ReadFull(r, buf[from:]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return buf, f.cut(err)
	}
	return buf, nil
}

// cut says that the input ended inside a frame.
func (f *frames) cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &shm.Error{Op: "read", Err: fmt.Errorf("the input ends in the middle of frame %d: %w", f.n, err),
			Hint: "a frame is its length in 4 bytes, little-endian, and so many bytes; what came before it was published"}
	}
	return err
}

func (f *frames) ready(r *bufio.Reader) bool {
	head, err := r.Peek(min(frameHeader, r.Buffered()))
	return err == nil && len(head) == frameHeader && uint64(binary.LittleEndian.Uint32(head))+frameHeader <= uint64(r.Buffered())
}

func tooLong(what string, most int) error {
	return &shm.Error{Op: "read", Err: fmt.Errorf("%s is longer than a slot of %d bytes: %w", what, most, syscall.EMSGSIZE),
		Hint: "--size makes longer slots; what came before it was published"}
}
