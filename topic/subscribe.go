package topic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/internal/wait"
)

// Subscribe joins a topic. The context bounds the waits that opts ask for; it
// is not kept.
func Subscribe(ctx context.Context, name string, opts *SubscribeOptions) (*Subscriber, error) {
	s, err := open(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	head := mem.LoadAcquire64(s.ring.head)
	s.head = head
	switch s.opts.From {
	case Oldest:
		if head > s.ring.slots {
			s.at = head - s.ring.slots
		}
	case Newest:
		s.at = head - min(head, 1)
	default:
		s.at = head
	}
	s.member, err = s.peer.Join(func(r mem.Region) {
		var err error
		*place[uint64](r, topicdir.MemberCursor, &err) = s.at
		*place[uint64](r, topicdir.MemberAsk, &err) = 1
	})
	if err != nil {
		s.peer.Close()
		return nil, err
	}
	r := s.member.Region
	s.cursor = place[uint64](r, topicdir.MemberCursor, &err)
	s.ask = place[uint64](r, topicdir.MemberAsk, &err)
	s.stats = place[readerCounters](r, int64(topicdir.MemberCounters(s.peer.Config.Held)), &err)
	if err == nil {
		s.pins, err = mem.Slice[uint64](r, topicdir.MemberPins, s.peer.Config.Held)
	}
	if err != nil {
		s.Close()
		return nil, opError("subscribe", topicdir.Address(name), err)
	}
	s.asked = 1
	s.bell.ring()
	if s.opts.WaitAdmission {
		if err := s.WaitAdmitted(ctx); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Observe opens a topic for reading without joining it: nothing is written
// anywhere, any number may do it, and the publisher cannot tell. Samples are
// copies; what is overwritten before it is copied is lost, and told.
func Observe(ctx context.Context, name string, opts *SubscribeOptions) (*Subscriber, error) {
	s, err := open(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	head := mem.LoadAcquire64(s.ring.head)
	s.head = head
	switch s.opts.From {
	case Oldest:
		if head > s.ring.slots {
			s.at = head - s.ring.slots
		}
	case Newest:
		s.at = head - min(head, 1)
	default:
		s.at = head
	}
	return s, nil
}

func open(ctx context.Context, name string, opts *SubscribeOptions) (*Subscriber, error) {
	var o SubscribeOptions
	if opts != nil {
		o = *opts
	}
	po := &topicdir.OpenOptions{Dir: o.Dir}
	if o.UID != nil {
		uid := int(*o.UID)
		po.UID = &uid
	}
	var peer *topicdir.Peer
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		var err error
		if peer, err = topicdir.Open(name, po); err == nil {
			break
		}
		if !o.WaitTopic || !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, opError("subscribe", topicdir.Address(name), fmt.Errorf("%w: %w", ctx.Err(), err))
		case <-time.After(pause):
		}
	}
	if c := peer.Config; (o.Type != "" || o.TypeHash != [32]byte{}) && (c.TypeName != o.Type || c.TypeHash != o.TypeHash) {
		peer.Close()
		return nil, opError("subscribe", topicdir.Address(name), fmt.Errorf("it holds %q, asked for was %q: %w", c.TypeName, o.Type, ErrType))
	}
	ring, err := newRing(peer.Data, &peer.Config, &peer.Layout)
	if err != nil {
		peer.Close()
		return nil, opError("subscribe", topicdir.Address(name), err)
	}
	bell := newBell(peer.Bell)
	return &Subscriber{
		ring: ring, peer: peer, opts: o, bell: bell,
		sleeper: wait.New(wait.Config{
			Word: ring.wake, Arm: bell.arm(ring.fencefree),
			Regions: []mem.Region{peer.Data}, Strategy: wait.Strategy(o.Wait),
		}),
		block: peer.Config.Policy == topicdir.Block,
	}, nil
}

// Admitted reports whether the publisher has answered, and from which number
// on its promises hold: samples in place, and under Block all of them.
func (s *Subscriber) Admitted() (from uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.member == nil {
		return 0, false
	}
	ok = s.admitted(^uint64(0))
	return s.from, ok
}

// WaitAdmitted waits for that. A publisher that is idle answers only where it
// calls Poll.
func (s *Subscriber) WaitAdmitted(ctx context.Context) error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if _, ok := s.Admitted(); ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return opError("subscribe", topicdir.Address(s.peer.Name()), fmt.Errorf("the publisher has not admitted this subscriber: %w", ctx.Err()))
		case <-time.After(pause):
		}
	}
}

// Close leaves the topic. Samples that are held must not be touched any
// more. Later calls do nothing.
func (s *Subscriber) Close() error {
	// Who sleeps must be out before the memory is.
	s.sleeper.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	if s.member != nil {
		err = s.member.Leave()
		s.bell.ring()
	}
	return errors.Join(err, s.peer.Close())
}
