package bench

import (
	"context"
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// semaphore counts, and lets wait: what sem_post and sem_wait do in C.
type semaphore struct {
	value, waiting *uint32
	spins          bool
}

func newSemaphore(r mem.Region, spins bool) (s semaphore, err error) {
	s.spins = spins
	if s.value, err = mem.Pointer[uint32](r, 0); err != nil {
		return s, err
	}
	s.waiting, err = mem.Pointer[uint32](r, lineSize)
	return s, err
}

func (s *semaphore) post() {
	atomic.AddUint32(s.value, 1)
	if !s.spins && atomic.LoadUint32(s.waiting) > 0 {
		sys.FutexWake(mem.Addr(s.value), 1)
	}
}

func (s *semaphore) wait(ctx context.Context) bool {
	for n := 1; ; n++ {
		v := atomic.LoadUint32(s.value)
		switch {
		case v > 0:
			if atomic.CompareAndSwapUint32(s.value, v, v-1) {
				return true
			}
		case s.spins:
			if stopped(ctx, n) {
				return false
			}
		default:
			atomic.AddUint32(s.waiting, 1)
			sys.FutexWait(mem.Addr(s.value), 0, futexBound)
			atomic.AddUint32(s.waiting, ^uint32(0))
			if ctx.Err() != nil {
				return false
			}
		}
	}
}

// segmentLine is what textbooks do with shared memory: slots, a semaphore that
// counts those that are full, and one that counts those that are free.
type segmentLine struct {
	memory
	there, back bounded
	data        []byte
}

// bounded is one direction.
type bounded struct {
	halves
	s          *Spec
	stride     int
	full, free semaphore
	at         int // the next slot
}

func newSegmentLine(s Spec) *segmentLine {
	return &segmentLine{memory: newMemory(s), data: make([]byte, s.Size)}
}

func (l *segmentLine) open(o *order, r *reply) error {
	if err := l.memory.open(o, r); err != nil || o.Role > 0 {
		return err
	}
	if err := l.both(); err != nil {
		return err
	}
	for _, b := range []*bounded{&l.there, &l.back} {
		atomic.StoreUint32(b.free.value, uint32(slotsFor(l.s.Size)))
	}
	return nil
}

func (l *segmentLine) join(ctx context.Context, o *order) error {
	if err := l.memory.join(ctx, o); err != nil || o.Role == 0 {
		return err
	}
	return l.both()
}

func (l *segmentLine) both() error {
	if err := l.there.begin(&l.memory, l.forward); err != nil {
		return err
	}
	return l.back.begin(&l.memory, l.reverse)
}

func (b *bounded) begin(m *memory, h halves) (err error) {
	b.halves, b.s, b.stride = h, &m.s, int(m.stride)
	if b.full, err = newSemaphore(h.sender, m.s.Wait == spin); err != nil {
		return err
	}
	b.free, err = newSemaphore(h.receiver, m.s.Wait == spin)
	return err
}

// next gives the next slot.
func (b *bounded) next() []byte {
	slot := b.slots[b.at : b.at+b.s.Size]
	if b.at += b.stride; b.at == len(b.slots) {
		b.at = 0
	}
	return slot
}

func (b *bounded) send(ctx context.Context, data []byte) bool {
	if !b.free.wait(ctx) {
		return false
	}
	b.s.put(b.next(), data)
	b.full.post()
	return true
}

func (b *bounded) receive(ctx context.Context) bool {
	if !b.full.wait(ctx) {
		return false
	}
	read(b.next(), b.s.Read == "touch")
	b.free.post()
	return true
}

func (l *segmentLine) drive(ctx context.Context, n int, r *reply) error {
	t := newLaps(n)
	t.begin()
	for range n {
		if !l.there.send(ctx, l.data) {
			return context.Cause(ctx)
		}
		if l.s.Pattern == latency {
			if !l.back.receive(ctx) {
				return context.Cause(ctx)
			}
			t.lap()
		}
	}
	r.laps(t.d)
	return nil
}

func (l *segmentLine) answer(ctx context.Context, n int, r *reply) error {
	for range n {
		if !l.there.receive(ctx) || l.s.Pattern == latency && !l.back.send(ctx, l.data) {
			return context.Cause(ctx)
		}
	}
	return nil
}
