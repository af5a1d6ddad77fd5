package wait

import (
	"context"
	"sync"
)

// waiter is a goroutine that sits on a channel.
type waiter struct {
	ready      func() bool
	told       chan error // takes one without blocking
	prev, next *waiter    // nil when in no list
}

var waiters = sync.Pool{New: func() any { return &waiter{told: make(chan error, 1)} }}

// join enters the list, or gives nil when there is no need to. It is called
// with the lock held, and gives it back.
//
// SYNC POINT: join. It meets pass.
func (s *Sleeper) join(ready func() bool) (*waiter, error) {
	defer s.mu.Unlock()
	if ok, err := s.look(ready); ok || err != nil {
		return nil, err
	}
	w := waiters.Get().(*waiter)
	w.ready = ready
	w.prev, w.next = s.list.prev, &s.list
	w.prev.next, w.next.prev = w, w
	return w, nil
}

// sit waits on the channel.
func (s *Sleeper) sit(ctx context.Context, w *waiter) error {
	var err error
	select {
	case err = <-w.told:
	case <-ctx.Done():
		s.mu.Lock()
		waiting := w.next != nil
		if waiting {
			w.leave()
		}
		last := s.serving && s.list.next == &s.list
		s.mu.Unlock()
		if !waiting {
			err = <-w.told
			break
		}
		err = ctx.Err()
		if last {
			s.rouse()
		}
	}
	w.ready = nil
	waiters.Put(w)
	return err
}

// leave takes a waiter out of the list.
func (w *waiter) leave() {
	w.prev.next, w.next.prev = w.next, w.prev
	w.prev, w.next = nil, nil
}

// tellAll empties the list.
func (s *Sleeper) tellAll(err error) {
	for w := s.list.next; w != &s.list; w = s.list.next {
		w.leave()
		w.told <- err
	}
}
