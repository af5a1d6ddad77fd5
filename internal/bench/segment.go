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

// bounded is a direction as textbooks have it: slots, a semaphore that counts
// those that are full, and one that counts those that are free.
type bounded struct {
	slots
	s          *Spec
	full, free semaphore
}

func (b *bounded) begin(s *Spec, h halves) (err error) {
	b.slots, b.s = newSlots(s, h), s
	if b.full, err = newSemaphore(h.sender, s.Wait == spin); err != nil {
		return err
	}
	if b.free, err = newSemaphore(h.receiver, s.Wait == spin); err != nil {
		return err
	}
	// Both sides do, before anything is sent.
	atomic.StoreUint32(b.free.value, uint32(slotsFor(s.Size)))
	return nil
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
