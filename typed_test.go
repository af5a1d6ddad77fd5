package shm_test

import (
	"encoding/binary"
	"math"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
)

type sample struct {
	Seq   uint64
	Value [3]float32
	Flags uint16
	OK    bool
}

func TestTyped(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 4096, nil)
		v, err := shm.At[sample](s, 4096-24-8)
		want(t, err)
		in := sample{Seq: 0x0102030405060708, Value: [3]float32{1, -2, float32(math.Inf(1))}, Flags: 0xbeef, OK: true}
		want(t, v.Store(in))
		r := open(t, s.Address(), &shm.Options{ReadOnly: true})
		w, err := shm.At[sample](r, 4096-24-8)
		want(t, err)
		out, err := w.Load()
		want(t, err)
		if diff := cmp.Diff(in, out); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(in, *w.Pointer()); diff != "" {
			t.Error(diff)
		}
		// As a C struct has them, little-endian.
		b := make([]byte, 24)
		_, err = s.ReadAt(b, 4096-24-8)
		want(t, err)
		if binary.LittleEndian.Uint64(b) != in.Seq || binary.LittleEndian.Uint16(b[20:]) != 0xbeef || b[22] != 1 {
			t.Errorf("% x", b)
		}
		v.Pointer().Seq = 5
		if out, _ := w.Load(); out.Seq != 5 {
			t.Errorf("%+v", out)
		}
	})
}

func TestTypedRefuses(t *testing.T) {
	s := create(t, newAddress(t, "memfd"), 100, nil)
	at := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"past the end":  at(shm.At[uint64](s, 96)),
		"behind it":     at(shm.At[uint64](s, 104)),
		"far":           at(shm.At[uint64](s, math.MaxInt64-7)),
		"negative":      at(shm.At[uint64](s, -8)),
		"not aligned":   at(shm.At[uint64](s, 4)),
		"as a struct":   at(shm.At[sample](s, 4)),
		"too large":     at(shm.At[[101]byte](s, 0)),
		"slice":         at(shm.Slice[uint32](s, 0, 26)),
		"far slice":     at(shm.Slice[uint32](s, 0, math.MaxInt)),
		"less than 0":   at(shm.Slice[uint32](s, 0, -1)),
		"slice at 2":    at(shm.Slice[uint32](s, 2, 1)),
		"slice at -4":   at(shm.Slice[uint32](s, -4, 1)),
		"slice behind":  at(shm.Slice[uint32](s, 104, 0)),
		"word at 4":     at(shm.Atomic[atomic.Uint64](s, 4)),
		"word at 2":     at(shm.Atomic[atomic.Int32](s, 2)),
		"word at -8":    at(shm.Atomic[atomic.Int64](s, -8)),
		"word past end": at(shm.Atomic[atomic.Uint64](s, 96)),
	} {
		t.Run(name, func(t *testing.T) { want(t, err, syscall.EINVAL) })
	}
	type pointing struct {
		N uint32
		P *uint32
	}
	type holding struct{ A [2]pointing }
	for name, err := range map[string]error{
		"int":        at(shm.At[int](s, 0)),
		"uint":       at(shm.At[uint](s, 0)),
		"uintptr":    at(shm.At[uintptr](s, 0)),
		"string":     at(shm.At[string](s, 0)),
		"slice":      at(shm.At[[]byte](s, 0)),
		"map":        at(shm.At[map[int32]int32](s, 0)),
		"chan":       at(shm.At[chan bool](s, 0)),
		"func":       at(shm.At[func()](s, 0)),
		"interface":  at(shm.At[error](s, 0)),
		"pointer":    at(shm.At[*byte](s, 0)),
		"in structs": at(shm.At[holding](s, 0)),
		"in slices":  at(shm.Slice[string](s, 0, 1)),
		"no size":    at(shm.At[struct{}](s, 0)),
	} {
		t.Run(name, func(t *testing.T) { want(t, err, shm.ErrType) })
	}
}

func TestSlice(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 100, nil)
		v, err := shm.Slice[uint32](s, 4, 24)
		want(t, err)
		if len(v) != 24 || cap(v) != 24 {
			t.Errorf("%d of %d", len(v), cap(v))
		}
		v[23] = 0x04030201
		if b := s.Bytes()[96:]; string(b) != "\x01\x02\x03\x04" {
			t.Errorf("% x", b)
		}
		v, err = shm.Slice[uint32](s, 100, 0)
		want(t, err)
		if len(v) != 0 {
			t.Errorf("%d values", len(v))
		}
	})
}

func TestAtomic(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		s := create(t, address, 64, nil)
		a, err := shm.Atomic[atomic.Int32](s, 4)
		want(t, err)
		b, err := shm.Atomic[atomic.Uint32](s, 4)
		want(t, err)
		c, err := shm.Atomic[atomic.Int64](s, 56)
		want(t, err)
		d, err := shm.Atomic[atomic.Uint64](s, 56)
		want(t, err)
		a.Store(-1)
		c.Add(-2)
		if b.Load() != 1<<32-1 || d.Load() != 1<<64-2 {
			t.Errorf("%#x, %#x", b.Load(), d.Load())
		}
	})
}

func init() {
	shmtest.Handle("incrementer", func(c *shmtest.Child) {
		s, err := shm.Open(c.Args[0], nil)
		c.Check(err)
		n, err := strconv.Atoi(c.Args[1])
		c.Check(err)
		word, err := shm.Atomic[atomic.Uint64](s, 8)
		c.Check(err)
		c.Send("ready")
		c.Expect("go")
		for range n {
			word.Add(1)
		}
		c.Check(s.Close())
	})
}

// Two processes and this one increment one word: none is lost.
func TestAtomicProcesses(t *testing.T) {
	everyKind(t, func(t *testing.T, address string) {
		const n = 100_000
		s := create(t, address, 16, nil)
		word, err := shm.Atomic[atomic.Uint64](s, 8)
		want(t, err)
		one := shmtest.Start(t, "incrementer", s.Address(), strconv.Itoa(n))
		two := shmtest.Start(t, "incrementer", s.Address(), strconv.Itoa(n))
		one.Expect("ready")
		two.Expect("ready")
		one.Send("go")
		two.Send("go")
		for range n {
			word.Add(1)
		}
		one.Wait()
		two.Wait()
		if got := word.Load(); got != 3*n {
			t.Errorf("%d, want %d", got, 3*n)
		}
	})
}
