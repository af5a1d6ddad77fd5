package topic

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

const (
	// lookEvery is how often a subscriber that waits looks whether the
	// topic's name is still there: one system call.
	lookEvery = time.Second

	// lookLeast bounds how often it asks whether the publisher lives.
	lookLeast = 10 * time.Millisecond

	// spinLook is how many looks at the head lie between two at the clock
	// where a subscriber never sleeps.
	spinLook = 1 << 12
)

// outlook is whether there is hope of further samples, as somebody who waited
// saw it last.
type outlook struct {
	none atomic.Pointer[shm.Error] // why there is none

	mu     sync.Mutex
	looked time.Time
	died   time.Time // when the publisher was first seen dead
}

// bad gives the reason why nothing will come.
func (o *outlook) bad() error {
	if err := o.none.Load(); err != nil {
		return err
	}
	return nil
}

// lookOut looks at the topic's name, and for the publisher if that was asked
// for, not more often than need be. It is called on the way to sleep, which
// the bound of every sleep brings about ten times a second.
func (s *Subscriber) lookOut() {
	o := &s.outlook
	o.mu.Lock()
	defer o.mu.Unlock()
	every := lookEvery
	if gone := s.opts.OwnerGone; gone > 0 {
		every = min(every, max(gone/4, lookLeast))
	}
	t := time.Now()
	if !o.looked.IsZero() && t.Sub(o.looked) < every {
		return
	}
	o.looked = t
	o.none.Store(s.noHope(t))
}

// noHope says why nothing will come any more, nil if something may. o.mu is
// held.
func (s *Subscriber) noHope(t time.Time) *shm.Error {
	name := topicdir.Address(s.peer.Name())
	if err := s.peer.Named(); err != nil {
		return &shm.Error{Op: "next", Kind: "topic", Name: name, Err: err, Hint: "subscribe again"}
	}
	if s.opts.OwnerGone <= 0 {
		return nil
	}
	o := &s.outlook
	alive, err := s.peer.PublisherAlive()
	switch {
	case err != nil:
		return nil // it cannot be known
	case alive:
		o.died = time.Time{}
		return nil
	case o.died.IsZero():
		o.died = t
	}
	if since := t.Sub(o.died); since >= s.opts.OwnerGone {
		return &shm.Error{
			Op: "next", Kind: "topic", Name: name,
			Err:  fmt.Errorf("it has had no publisher for %v: %w", since.Round(time.Millisecond), ErrOwnerDied),
			Hint: "start the publisher again: it goes on where the last one ended",
		}
	}
	return nil
}
