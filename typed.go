package shm

import (
	"fmt"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// Typed is one value of type T at a fixed place in a Segment.
type Typed[T any] struct {
	s *Segment
	p *T
}

// At gives the value of type T at byte offset off. T must have one layout
// everywhere and hold no address: fixed-width numbers, bools, and arrays and
// structs of them; int, uint and uintptr are refused, as is everything that
// points (ErrType). off must be a multiple of T's alignment, and T must fit.
// Fields are little-endian, laid out as C lays them out.
func At[T any](s *Segment, off int64) (Typed[T], error) {
	if !s.gate.Enter() {
		return Typed[T]{}, s.fail("at", ErrClosed)
	}
	defer s.gate.Leave()
	p, err := mem.Pointer[T](s.region, off)
	if err != nil {
		return Typed[T]{}, s.viewError("at", err)
	}
	return Typed[T]{s, p}, nil
}

// Load copies the value out. Nothing makes the copy atomic: a peer may write
// meanwhile.
func (t Typed[T]) Load() (v T, err error) {
	if !t.s.gate.Enter() {
		return v, t.s.fail("load", ErrClosed)
	}
	v, ok := mem.TryLoad(t.p)
	if !ok {
		// It leaves the gate.
		return t.loadAgain()
	}
	t.s.gate.Leave()
	return v, nil
}

func (t Typed[T]) loadAgain() (v T, err error) {
	defer t.s.gate.Leave()
	err = t.s.region.Guard(func() error {
		v = *t.p
		return nil
	})
	return v, t.s.explain("load", err, false)
}

// Store copies the value in.
func (t Typed[T]) Store(v T) error {
	if !t.s.gate.Enter() {
		return t.s.fail("store", ErrClosed)
	}
	if t.s.readOnly {
		t.s.gate.Leave()
		return t.s.fail("store", errReadOnly)
	}
	if !mem.TryStore(t.p, v) {
		// It leaves the gate.
		return t.storeAgain(v)
	}
	t.s.gate.Leave()
	return nil
}

func (t Typed[T]) storeAgain(v T) error {
	defer t.s.gate.Leave()
	return t.s.explain("store", t.s.region.Guard(func() error {
		*t.p = v
		return nil
	}), true)
}

// Pointer is the value in place; nil after Close. It has the limits of
// Segment.Bytes.
func (t Typed[T]) Pointer() *T {
	if t.s.gate.Closed() {
		return nil
	}
	return t.p
}

// Slice gives n values of type T from byte offset off on, in place. T and off
// are as in At. The slice has the limits of Segment.Bytes.
func Slice[T any](s *Segment, off int64, n int) ([]T, error) {
	if !s.gate.Enter() {
		return nil, s.fail("slice", ErrClosed)
	}
	defer s.gate.Leave()
	v, err := mem.Slice[T](s.region, off, n)
	if err != nil {
		return nil, s.viewError("slice", err)
	}
	return v, nil
}

// Word is a word of shared memory that processes read and write atomically:
// one of the types of package sync/atomic.
type Word = mem.Word

// Atomic gives the word at byte offset off, in place; off must be a multiple
// of the word's size. C programs use the same word through stdatomic.h. The
// pointer has the limits of Segment.Bytes; storing to it in a Segment that
// is ReadOnly is a fatal fault.
//
//	n, err := shm.Atomic[atomic.Uint64](s, 8)
func Atomic[W Word](s *Segment, off int64) (*W, error) {
	if !s.gate.Enter() {
		return nil, s.fail("atomic", ErrClosed)
	}
	defer s.gate.Leave()
	w, err := mem.Atomic[W](s.region, off)
	if err != nil {
		return nil, s.viewError("atomic", err)
	}
	return w, nil
}

func (s *Segment) viewError(op string, err error) error {
	if _, ok := err.(*mem.TypeError); ok {
		err = &Error{
			Err:  fmt.Errorf("%w: %w", ErrType, err),
			Hint: "use numbers of a fixed width, bools, and arrays and structs of them",
		}
	}
	return s.fail(op, err)
}
