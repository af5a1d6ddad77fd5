package topic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/topic"
)

// follower is a subscriber that takes everything and looks at it: each sample
// is whole, its sequence goes on where the last one ended or what is missing is
// reported, and what it holds stays as it is.
type follower struct {
	t    testing.TB
	s    *topic.Subscriber
	hold int  // keeps the first so many
	all  bool // the topic blocks: nothing is missing after the admission

	held  []topic.Sample
	next  uint64        // sequence of the next sample
	lost  uint64        // since the first sample
	seen  atomic.Uint64 // next, for others
	moved chan struct{} // it has changed
	ended chan struct{} // closed after the end of the topic
	err   error         // why it ended, nil for io.EOF
}

// follow starts the follower of a subscriber.
func follow(t testing.TB, s *topic.Subscriber, hold int, all bool) *follower {
	f := &follower{t: t, s: s, hold: hold, all: all, moved: make(chan struct{}, 1), ended: make(chan struct{})}
	go f.run()
	return f
}

func (f *follower) run() {
	defer close(f.ended)
	first, behind := true, uint64(0) // the number of the last sample, and 1
	for {
		from, admitted := f.s.Admitted()
		m, err := f.s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			f.err = err
			return
		}
		i, err := check(m.Data)
		switch {
		case err != nil:
			f.err = err
		case i != m.Seq:
			f.err = fmt.Errorf("sample %d has sequence %d", i, m.Seq)
		case !first && m.Seq != f.next+m.Missed:
			f.err = fmt.Errorf("after %d came %d, with %d missed", f.next, m.Seq, m.Missed)
		case f.all && admitted && !first && behind >= from && m.Missed > 0:
			f.err = fmt.Errorf("%d are missing before %d, admitted from %d", m.Missed, m.Number, from)
		}
		if f.err != nil {
			return
		}
		if !first {
			f.lost += m.Missed
		}
		first, behind, f.next = false, m.Number+1, m.Seq+1
		if len(f.held) < f.hold {
			f.held = append(f.held, m)
		} else {
			m.Release()
		}
		f.seen.Store(f.next)
		select {
		case f.moved <- struct{}{}:
		default:
		}
	}
}

// await waits until everything below the sequence n was taken, and fails if
// that takes longer than the limit. It gives how long it took.
func (f *follower) await(n uint64, limit time.Duration) time.Duration {
	f.t.Helper()
	begun, timeout := time.Now(), time.After(limit)
	for f.seen.Load() < n {
		select {
		case <-f.moved:
		case <-f.ended:
			if f.err != nil || f.seen.Load() < n {
				f.t.Fatalf("it ended at %d of %d: %v", f.seen.Load(), n, f.err)
			}
		case <-timeout:
			f.t.Fatalf("after %v it is at %d of %d", limit, f.seen.Load(), n)
		}
	}
	return time.Since(begun)
}

// end waits for the end of the topic, which is after n samples, looks at what
// is held and lets it go.
func (f *follower) end(n uint64) {
	f.t.Helper()
	select {
	case <-f.ended:
	case <-time.After(watchdog):
		f.t.Fatalf("no end after %v", watchdog)
	}
	if f.err != nil {
		f.t.Fatal(f.err)
	}
	if f.next != n && f.next != 0 {
		f.t.Errorf("the last sample was %d of %d", f.next, n)
	}
	f.release()
	if err := f.s.Close(); err != nil {
		f.t.Error(err)
	}
}

// release looks at what is held and lets it go.
func (f *follower) release() {
	f.t.Helper()
	for i := range f.held {
		m := &f.held[i]
		if m.Data == nil {
			continue // released before
		}
		if n, err := check(m.Data); err != nil || n != m.Seq {
			f.t.Errorf("sample %d turned into %d while it was held: %v", m.Seq, n, err)
		}
		m.Release()
	}
}

// watchdog is how long anything may take on a machine that has other things to
// do; what takes longer hangs.
const watchdog = 20 * time.Second
