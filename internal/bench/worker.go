package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/seed-298b2b26/shm"
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
	Name string // of what the cell makes
	Dir  string // of topics and segments

	Address string // what the driving side said when it opened
}

// reply is what it answers, one a line.
type reply struct {
	Ready   bool   `json:",omitempty"` // it answers as soon as something comes
	Err     string `json:",omitempty"`
	Skip    string `json:",omitempty"` // why the cell cannot be measured
	PID     int    `json:",omitempty"`
	Address string `json:",omitempty"` // for the other side

	Begun, Ended   int64   `json:",omitempty"` // ns since 1970
	P50, P99, P999 float64 `json:",omitempty"`
	Rate           float64 `json:",omitempty"` // where not N in the time
	CPU            float64 `json:",omitempty"` // ns a sample
	Lost           uint64  `json:",omitempty"`
	Laps           []int64 `json:",omitempty"` // all of them, where they are few
}

// fewLaps are sent whole, so that the percentiles are those of all rounds.
const fewLaps = 4096

func (r *reply) laps(d []int64) {
	r.P50, r.P99, r.P999 = quantiles(d)
	if len(d) <= fewLaps {
		r.Laps = d
	}
}

// skipped is why a cell cannot be measured on this machine.
type skipped struct{ error }

func (s skipped) Unwrap() error { return s.error }

// line is a transport for one cell. Each process of the cell opens it, then
// each joins, and then each admits; whoever drives is always the first. What
// the driving side says in its answer to open, the others are told.
type line interface {
	open(o *order, r *reply) error
	join(ctx context.Context, o *order) error
	admit(ctx context.Context, o *order) error
	drive(ctx context.Context, n int, r *reply) error
	answer(ctx context.Context, n int, r *reply) error
	close() error
}

// plain is a line that needs no opening, or no closing.
type plain struct{}

func (plain) open(*order, *reply) error           { return nil }
func (plain) join(context.Context, *order) error  { return nil }
func (plain) admit(context.Context, *order) error { return nil }
func (plain) close() error                        { return nil }

// breaker is a line that blocks where no context reaches.
type breaker interface{ abort() }

// Descriptors that every worker inherits.
const (
	fdMemory = 3 + iota
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
	procs  int  // GOMAXPROCS as it was before there was one processor
	pinned bool // to one
	fixed  bool // GOMAXPROCS is what we have set
	memory *mapping.Mapping
	in     *os.File
	out    *os.File
	lines  map[int]line // by the number of the cell

	services map[string]Service
}

// What Worker is asked in place of a processor: what it speaks, and to build
// another one, see builder.
const (
	orderProtocol = "protocol"
	orderBuild    = "build"
)

// anywhere in place of a processor leaves the choice to the kernel. No -1: that
// would be a flag.
const anywhere = "any"

// protocol is the version of what is said between Bench and Worker, and of
// Spec. Who changes what a cell is counts on, so that no other program measures
// what was not asked.
const protocol = "shm-bench 1"

// Worker is what the other processes run, with the processor to run on, or
// anywhere. It ends when its standard input does, so no worker outlives a killed
// parent. A program of its own may bring more services than the one that is
// here, which is net/http; asked for the protocol, it says what it speaks.
func Worker(ctx context.Context, args []string, in io.Reader, out io.Writer, more ...Service) error {
	switch {
	case len(args) > 0 && args[0] == orderBuild:
		return builder(ctx, args[1:], in, out)
	case len(args) != 1:
		return fmt.Errorf("no processor")
	case args[0] == orderProtocol:
		_, err := fmt.Fprintln(out, protocol)
		return err
	}
	cpu := -1
	if args[0] != anywhere {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		cpu = n
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
	w := &worker{procs: runtime.GOMAXPROCS(0), pinned: cpu >= 0, lines: map[int]line{}, services: map[string]Service{}}
	for _, s := range append(more, overHTTP) {
		w.services[s.Name] = s
	}
	if err := pin(cpu); err != nil {
		return err
	}
	if err := w.adopt(); err != nil {
		return err
	}
	e := json.NewEncoder(out)
	for o := range orders {
		r := reply{PID: os.Getpid()}
		if err := w.obey(ctx, &o, &r, e); err != nil {
			r.Err = err.Error()
			if errors.As(err, new(skipped)) || errors.Is(err, shm.ErrNoSpace) {
				r.Skip = r.Err
			}
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
	w.in, w.out = os.NewFile(fdPipeIn, "pipe"), os.NewFile(fdPipeOut, "pipe")
	return nil
}

func (w *worker) obey(ctx context.Context, o *order, r *reply, e *json.Encoder) (err error) {
	l := w.lines[o.Cell]
	switch o.Do {
	case "open":
		if l, err = w.line(&o.Spec); err != nil {
			return err
		}
		w.lines[o.Cell] = l
		return l.open(o, r)
	case "join":
		return l.join(ctx, o)
	case "admit":
		return l.admit(ctx, o)
	case "run":
		w.setProcs(o.Spec.Wait)
		if b, ok := l.(breaker); ok {
			defer context.AfterFunc(ctx, b.abort)()
		}
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
		if l == nil {
			return nil
		}
		delete(w.lines, o.Cell)
		return l.close()
	}
	return fmt.Errorf("no order %q", o.Do)
}

// setProcs sets GOMAXPROCS for a cell. The Go runtime notices, about a second
// later, that a process has been bound to one processor, and sets 1. That is
// well for who sleeps, and set here at once. But topics that find 1 think that
// nobody runs beside them, and do not spin.
func (w *worker) setProcs(wait string) {
	n := w.procs
	if wait == sleep && w.pinned {
		n = 1
	}
	if runtime.GOMAXPROCS(0) != n || w.pinned && !w.fixed {
		runtime.GOMAXPROCS(n) // which the runtime leaves alone from now on
		w.fixed = true
	}
}

// line makes the line of a cell.
func (w *worker) line(s *Spec) (line, error) {
	if wire, ok := wires[s.Transport]; ok {
		return newConnLine(wire, *s), nil
	}
	if service, ok := w.services[s.Transport]; ok {
		wire, ok := wires[s.Over]
		if !ok {
			return nil, fmt.Errorf("%s over %q is not possible", s.Transport, s.Over)
		}
		return newServiceLine(service, wire, *s), nil
	}
	region := mem.Of(w.memory.Bytes())
	switch s.Transport {
	case limit:
		if s.Size == small && s.Read == "all" {
			return newRingLine(region, s)
		}
		return newSlotLine(*s, &wide{}, &wide{}), nil
	case buffer:
		return newBufferLine(region, s)
	case futex:
		return newFutexLine(region, s)
	case segment:
		return newSlotLine(*s, &bounded{}, &bounded{}), nil
	case pipe:
		l := &pipeLine{streamLine: newStream(*s), w: w}
		l.in, l.out = w.in, w.out
		return l, nil
	case topics:
		return newTopicLine(*s), nil
	}
	return nil, fmt.Errorf("no transport %q", s.Transport)
}

func (w *worker) close() error {
	var err error
	for _, l := range w.lines {
		err = errors.Join(err, l.close())
	}
	return errors.Join(err, w.memory.Unmap())
}
