package bench

import (
	"context"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// futexLine is two futex words and nothing else: what sleeping and waking
// costs where nothing is sent.
type futexLine struct {
	plain
	there, back *uint32
	sent        *uint64 // time of the last wake-up
	idle        time.Duration
	at          uint32
}

func newFutexLine(r mem.Region, s *Spec) (*futexLine, error) {
	words, err := mem.Slice[uint32](r, memFutex, 128)
	if err != nil {
		return nil, err
	}
	sent, err := mem.Pointer[uint64](r, memFutex+256)
	if err != nil {
		return nil, err
	}
	return &futexLine{there: &words[0], back: &words[32], sent: sent, idle: s.Idle, at: mem.LoadAcquire32(&words[0])}, nil
}

// futexBound is how long a sleep lasts at most, to look at the context.
const futexBound = 100 * time.Millisecond

func wakeWord(word *uint32, v uint32) {
	mem.StoreRelease32(word, v)
	sys.FutexWake(mem.Addr(word), 1)
}

func waitWord(ctx context.Context, word *uint32, v uint32) error {
	for {
		got := mem.LoadAcquire32(word)
		if int32(got-v) >= 0 {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sys.FutexWait(mem.Addr(word), got, futexBound)
	}
}

func (l *futexLine) drive(ctx context.Context, n int, r *reply) error {
	t := newLaps(n)
	t.begin()
	for range n {
		l.at++
		if l.idle > 0 {
			time.Sleep(l.idle)
			mem.StoreRelease64(l.sent, uint64(time.Now().UnixNano()))
			wakeWord(l.there, l.at)
			continue
		}
		wakeWord(l.there, l.at)
		if err := waitWord(ctx, l.back, l.at); err != nil {
			return err
		}
		t.lap()
	}
	r.laps(t.d)
	return nil
}

func (l *futexLine) answer(ctx context.Context, n int, r *reply) error {
	var d []int64
	for range n {
		l.at++
		if err := waitWord(ctx, l.there, l.at); err != nil {
			return err
		}
		if l.idle > 0 {
			d = append(d, time.Now().UnixNano()-int64(mem.LoadAcquire64(l.sent)))
			continue
		}
		wakeWord(l.back, l.at)
	}
	r.laps(d)
	return nil
}
