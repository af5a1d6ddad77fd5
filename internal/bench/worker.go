package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
)

// order is what a worker is told, one a line.
type order struct {
	Do   string // open, join, admit, run, close
	Cell int
	Spec Spec
	Role int // 0 drives, the others answer
	N    int
	Name string // of the topics of this cell
	Dir  string
}

// reply is what it answers, one a line.
type reply struct {
	Ready bool   `json:",omitempty"` // it answers as soon as something comes
	Err   string `json:",omitempty"`
	PID   int    `json:",omitempty"`

	Begun, Ended   int64   `json:",omitempty"` // ns since 1970
	P50, P99, P999 float64 `json:",omitempty"`
	Rate           float64 `json:",omitempty"` // where not N in the time
	CPU            float64 `json:",omitempty"` // ns a sample
	Lost           uint64  `json:",omitempty"`
}

func (r *reply) laps(d []int64) { r.P50, r.P99, r.P999 = quantiles(d) }

// line is a transport for one cell.
type line interface {
	drive(ctx context.Context, n int, r *reply) error
	answer(ctx context.Context, n int, r *reply) error
	close() error
}

// Descriptors that every worker inherits.
const (
	fdMemory = 3 + iota
	fdSocket
	fdPipeIn
	fdPipeOut
)

// Where things are in the memory that the workers of a pair share.
const (
	memThere  = 0
	memBack   = ringSize
	memFutex  = 2 * ringSize
	memBuffer = 512 << 10
	memSize   = memBuffer + bufferData + bufferSize
)

// worker is a process that measures.
type worker struct {
	memory *mapping.Mapping
	socket net.Conn
	in     *os.File
	out    *os.File
	lines  map[int]line // by the number of the cell
}

// Worker is what the other processes run, with the processor to run on, or
// -1. It ends when its standard input does, so no worker outlives a killed
// parent.
func Worker(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("no processor")
	}
	cpu, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	orders := make(chan order)
	go func() {
		d := json.NewDecoder(bufio.NewReader(in))
		for {
			var o order
			if err := d.Decode(&o); err != nil {
				cancel(errParent)
				close(orders)
				return
			}
			orders <- o
		}
	}()
	if err := pin(cpu); err != nil {
		return err
	}
	w := &worker{lines: map[int]line{}}
	if err := w.adopt(); err != nil {
		return err
	}
	e := json.NewEncoder(out)
	for o := range orders {
		r := reply{PID: os.Getpid()}
		if err := w.obey(ctx, &o, &r, e); err != nil {
			r.Err = err.Error()
		}
		if err := e.Encode(&r); err != nil {
			break
		}
	}
	return w.close()
}

var errParent = errors.New("the parent has ended")

func now() int64 { return time.Now().UnixNano() }

// pin binds every thread of this process to one processor.
func pin(cpu int) error {
	if cpu < 0 {
		return nil
	}
	// Threads that are born meanwhile inherit from one that is seen in the
	// second round at the latest.
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if err := sys.SetAffinity(tid, cpu); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return err
			}
		}
	}
	return nil
}

func (w *worker) adopt() (err error) {
	if w.memory, err = mapping.SharedFile(fdMemory, 0, memSize, mapping.PROT_READ|mapping.PROT_WRITE, nil); err != nil {
		return err
	}
	f := os.NewFile(fdSocket, "socket")
	defer f.Close()
	if w.socket, err = net.FileConn(f); err != nil {
		return err
	}
	w.in, w.out = os.NewFile(fdPipeIn, "pipe"), os.NewFile(fdPipeOut, "pipe")
	return nil
}

func (w *worker) obey(ctx context.Context, o *order, r *reply, e *json.Encoder) (err error) {
	l := w.lines[o.Cell]
	t, isTopic := l.(*topicLine)
	switch o.Do {
	case "open":
		return w.open(o)
	case "join":
		if !isTopic {
			return nil
		}
		switch {
		case o.Role > 0:
			n := 1
			if o.Spec.Pattern == paced {
				n = o.Spec.Subscribers
			}
			return t.join(ctx, o.Dir, o.Name+"-there", n)
		case o.Spec.Pattern == latency:
			return t.join(ctx, o.Dir, o.Name+"-back", 1)
		}
		return nil
	case "admit":
		if !isTopic {
			return nil
		}
		return t.admit()
	case "run":
		// At a fixed rate, who was lapped asks again while it goes on.
		if isTopic && o.Spec.Pattern != paced {
			if err := t.admitted(); err != nil {
				return err
			}
		}
		// Whoever ends closes what may block.
		defer context.AfterFunc(ctx, func() { w.socket.Close(); w.in.Close(); w.out.Close() })()
		if o.Role == 0 {
			r.Begun = now()
			err = l.drive(ctx, o.N, r)
		} else {
			if err := e.Encode(&reply{Ready: true}); err != nil {
				return err
			}
			err = l.answer(ctx, o.N, r)
		}
		r.Ended = now()
		return err
	case "close":
		delete(w.lines, o.Cell)
		return l.close()
	}
	return fmt.Errorf("no order %q", o.Do)
}

func (w *worker) open(o *order) error {
	region := mem.Of(w.memory.Bytes())
	switch s := o.Spec; s.Transport {
	case limit:
		there, err := newRing(region, memThere)
		if err != nil {
			return err
		}
		back, err := newRing(region, memBack)
		if err != nil {
			return err
		}
		// The words stand where the cell before left them.
		there.at = mem.LoadAcquire64(there.head)
		there.seen = there.at
		back.at = mem.LoadAcquire64(back.head)
		back.seen = back.at
		w.lines[o.Cell] = &ringLine{there: there, back: back, echo: s.Pattern == latency}
	case buffer:
		l := &bufferLine{source: make([]byte, s.Size)}
		var err error
		if l.written, err = mem.Pointer[uint64](region, memBuffer); err != nil {
			return err
		}
		if l.read, err = mem.Pointer[uint64](region, memBuffer+128); err != nil {
			return err
		}
		l.data = region.Bytes()[memBuffer+bufferData:]
		l.at = mem.LoadAcquire64(l.read)
		w.lines[o.Cell] = l
	case futex:
		words, err := mem.Slice[uint32](region, memFutex, 128)
		if err != nil {
			return err
		}
		sent, err := mem.Pointer[uint64](region, memFutex+256)
		if err != nil {
			return err
		}
		w.lines[o.Cell] = &futexLine{there: &words[0], back: &words[32], sent: sent, idle: s.Idle, at: mem.LoadAcquire32(&words[0])}
	case unix:
		w.lines[o.Cell] = newStream(w.socket, w.socket, s)
	case pipe:
		w.lines[o.Cell] = newStream(w.in, w.out, s)
	case topics:
		l := newTopicLine(s)
		w.lines[o.Cell] = l
		switch {
		case o.Role == 0:
			return l.create(o.Dir, o.Name+"-there")
		case s.Pattern == latency:
			return l.create(o.Dir, o.Name+"-back")
		}
	default:
		return fmt.Errorf("no transport %q", s.Transport)
	}
	return nil
}

func (w *worker) close() error {
	var err error
	for _, l := range w.lines {
		err = errors.Join(err, l.close())
	}
	return errors.Join(err, w.memory.Unmap())
}
