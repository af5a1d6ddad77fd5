package bench

import (
	"context"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// The limit ring: 1,024 slots of 128 bytes, head and tail on lines of their
// own, 64 bytes copied in. Its twin in C is c/limit.c.
const (
	ringSlots = 1024
	ringSlot  = 128
	ringHead  = 0
	ringTail  = 128
	ringData  = 256
	ringSize  = ringData + ringSlots*ringSlot
)

// ring is one side's view of a ring.
type ring struct {
	head, tail *uint64
	slots      []byte
	at, seen   uint64 // the own cursor, and the other's when it was last seen
}

func newRing(r mem.Region, off int64) (*ring, error) {
	g := &ring{}
	var err error
	if g.head, err = mem.Pointer[uint64](r, off+ringHead); err != nil {
		return nil, err
	}
	if g.tail, err = mem.Pointer[uint64](r, off+ringTail); err != nil {
		return nil, err
	}
	data, err := r.Slice(off+ringData, ringSlots*ringSlot)
	g.slots = data.Bytes()
	return g, err
}

// stopped looks at the context now and then in a loop that spins.
func stopped(ctx context.Context, n int) bool { return n&0xffff == 0 && ctx.Err() != nil }

func (g *ring) send(ctx context.Context, b *[64]byte) bool {
	for n := 1; g.at-g.seen >= ringSlots; n++ {
		if g.seen = mem.LoadAcquire64(g.tail); stopped(ctx, n) {
			return false
		}
	}
	i := g.at % ringSlots * ringSlot
	*(*[64]byte)(g.slots[i : i+64]) = *b
	g.at++
	mem.StoreRelease64(g.head, g.at)
	return true
}

func (g *ring) receive(ctx context.Context) bool {
	for n := 1; g.at == g.seen; n++ {
		if g.seen = mem.LoadAcquire64(g.head); stopped(ctx, n) {
			return false
		}
	}
	i := g.at % ringSlots * ringSlot
	sink += sum(g.slots[i : i+64])
	g.at++
	mem.StoreRelease64(g.tail, g.at)
	return true
}

// ringLine is the limit as a transport, for 64 bytes.
type ringLine struct {
	plain
	there, back *ring
	echo        bool
}

func newRingLine(r mem.Region, s *Spec) (*ringLine, error) {
	there, err := newRing(r, memThere)
	if err != nil {
		return nil, err
	}
	back, err := newRing(r, memBack)
	if err != nil {
		return nil, err
	}
	// The words stand where the cell before left them.
	there.at = mem.LoadAcquire64(there.head)
	there.seen = there.at
	back.at = mem.LoadAcquire64(back.head)
	back.seen = back.at
	return &ringLine{there: there, back: back, echo: s.Pattern == latency}, nil
}

func (l *ringLine) drive(ctx context.Context, n int, r *reply) error {
	b := new([64]byte)
	t := newLaps(n)
	t.begin()
	for range n {
		if !l.there.send(ctx, b) {
			return context.Cause(ctx)
		}
		if l.echo {
			if !l.back.receive(ctx) {
				return context.Cause(ctx)
			}
			t.lap()
		}
	}
	r.laps(t.d)
	return nil
}

func (l *ringLine) answer(ctx context.Context, n int, r *reply) error {
	b := new([64]byte)
	for range n {
		if !l.there.receive(ctx) || l.echo && !l.back.send(ctx, b) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// bufferLine is the limit for large samples: one process writes a whole
// buffer, and then the other reads it. What counts is the reading.
type bufferLine struct {
	plain
	written, read *uint64
	data          []byte
	source        []byte
	at            uint64
}

const (
	bufferSize = 8 << 20
	bufferData = 4096
)

func newBufferLine(r mem.Region, s *Spec) (_ *bufferLine, err error) {
	l := &bufferLine{source: make([]byte, s.Size)}
	if l.written, err = mem.Pointer[uint64](r, memBuffer); err != nil {
		return nil, err
	}
	if l.read, err = mem.Pointer[uint64](r, memBuffer+128); err != nil {
		return nil, err
	}
	l.data = r.Bytes()[memBuffer+bufferData:]
	l.at = mem.LoadAcquire64(l.read)
	return l, nil
}

func (l *bufferLine) drive(ctx context.Context, n int, r *reply) error {
	for range n {
		for i := 0; i < len(l.data); i += len(l.source) {
			copy(l.data[i:], l.source)
		}
		l.at++
		mem.StoreRelease64(l.written, l.at)
		for k := 1; mem.LoadAcquire64(l.read) != l.at; k++ {
			if stopped(ctx, k) {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

func (l *bufferLine) answer(ctx context.Context, n int, r *reply) error {
	var spent int64
	for range n {
		l.at++
		for k := 1; mem.LoadAcquire64(l.written) != l.at; k++ {
			if stopped(ctx, k) {
				return context.Cause(ctx)
			}
		}
		t := clock()
		sink += sum(l.data)
		spent += clock() - t
		mem.StoreRelease64(l.read, l.at)
	}
	r.Rate = float64(n) * float64(len(l.data)/len(l.source)) / float64(spent) * 1e9
	return nil
}
