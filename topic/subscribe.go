package topic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/internal/wait"
)

// Subscribe joins a topic. The context bounds the waits that opts ask for; it
// is not kept.
func Subscribe(ctx context.Context, name string, opts *SubscribeOptions) (*Subscriber, error) {
	s, err := enter(ctx, name, opts)
	for errors.Is(err, ErrRemoved) && ctx.Err() == nil {
		// Between opening and joining: there is another one now, or none.
		s, err = enter(ctx, name, opts)
	}
	if err != nil {
		return nil, err
	}
	if s.opts.WaitAdmission {
		if err := s.WaitAdmitted(ctx); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// enter opens the topic and joins it.
func enter(ctx context.Context, name string, opts *SubscribeOptions) (*Subscriber, error) {
	s, err := open(ctx, name, opts)
	if err != nil {
		return nil, err
	}
	m, err := s.peer.(*topicdir.Peer).Join(s.enrol)
	if err == nil {
		err = s.join(&own{m.ID, m.Region, m})
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Observe opens a topic for reading without joining it: nothing is written
// anywhere, any number may do it, and the publisher cannot tell. Samples are
// copies; what is overwritten before it is copied is lost, and told.
func Observe(ctx context.Context, name string, opts *SubscribeOptions) (*Subscriber, error) {
	return open(ctx, name, opts)
}

// start finds where to begin.
func (s *Subscriber) start() (err error) {
	defer s.caught(debug.SetPanicOnFault(true), "subscribe", &err)
	head := mem.LoadAcquire64(s.ring.head)
	if head >= maxNumber {
		return s.fail("subscribe", fmt.Errorf("the head is %d: %w", head, ErrCorrupt))
	}
	s.head = head
	switch s.opts.From {
	case Oldest:
		s.at = head - min(head, s.ring.slots)
	case Newest:
		s.at = head - min(head, 1)
	default:
		s.at = head
	}
	// What is overwritten from here on, before the first sample is taken, was
	// lost too. Where the sequence cannot be told, for the ring is in the
	// middle of being overwritten, counting begins with that sample.
	for c := s.at; c < head && !s.seqKnown; c++ {
		s.nextSeq, s.seqKnown = s.sequence(c)
	}
	if s.at == head && head > 0 {
		seq, ok := s.sequence(head - 1)
		s.nextSeq, s.seqKnown = seq+1, ok
	}
	s.seqKnown = s.seqKnown || s.at == 0
	return nil
}

// sequence gives the dense sequence of number c, if that is a sample.
func (s *Subscriber) sequence(c uint64) (seq uint64, ok bool) {
	h := s.ring.headers.At(c & s.ring.mask)
	st := stamp(mem.LoadAcquire64(&h.stamp))
	if !s.believe(st, c) {
		return 0, false
	}
	seq = h.seq
	mem.LoadFence()
	return seq, stamp(mem.LoadAcquire64(&h.stamp)) == st
}

// enrol writes what stands in a subscriber's own file when it gets its name.
func (s *Subscriber) enrol(r mem.Region) {
	var err error
	cursor := place[uint64](r, topicdir.MemberCursor, &err)
	ask := place[uint64](r, topicdir.MemberAsk, &err)
	if err == nil {
		mem.Store(cursor, s.at)
		mem.Store(ask, 1)
		if s.fenceFree = s.block && wait.FenceFree(); s.fenceFree {
			mem.Store(place[uint32](r, topicdir.MemberFenceFree, &err), 1)
		}
	}
}

// join takes the file into use and tells the publisher.
func (s *Subscriber) join(m *own) (err error) {
	s.member = m
	r := m.Region
	s.cursor = place[uint64](r, topicdir.MemberCursor, &err)
	s.ask = place[uint64](r, topicdir.MemberAsk, &err)
	s.stats = place[readerCounters](r, int64(topicdir.MemberCounters(s.config.Held)), &err)
	if err == nil {
		s.pins, err = mem.Slice[uint64](r, topicdir.MemberPins, s.config.Held)
	}
	if err != nil {
		return s.fail("subscribe", err)
	}
	s.holds = make([]uint64, s.config.Held)
	s.asked = 1
	s.bell.ring()
	return nil
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
			return nil, opError("subscribe", name, fmt.Errorf("%w: %w", ctx.Err(), err))
		case <-time.After(pause):
		}
	}
	if c := peer.Config; (o.Type != "" || o.TypeHash != [32]byte{}) && (c.TypeName != o.Type || c.TypeHash != o.TypeHash) {
		peer.Close()
		return nil, opError("subscribe", name, fmt.Errorf("it holds %q, asked for was %q: %w", c.TypeName, o.Type, ErrType))
	}
	st, err := stationFor(peer, o.Wait)
	if err != nil {
		return nil, err
	}
	s := newSubscriber(st, o)
	if err := s.start(); err != nil {
		st.leave()
		return nil, err
	}
	return s, nil
}

func newSubscriber(st *station, o SubscribeOptions) *Subscriber {
	s := &Subscriber{
		station: st, ring: st.ring, opts: o,
		block: st.config.Policy == topicdir.Block, turn: make(chan struct{}, 1),
		share: int(max(st.config.Slots/int64(reserveShare*st.config.Subscribers), 1)),
	}
	s.turn <- struct{}{}
	st.outlook.ask(o.OwnerGone)
	return s
}

// Admitted reports whether the publisher has answered, and from which number
// on its promises hold: samples in place, and under Block all of them.
func (s *Subscriber) Admitted() (from uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.member == nil {
		return 0, false
	}
	defer s.caught(debug.SetPanicOnFault(true), "subscribe", new(error))
	ok = s.admitted(^uint64(0))
	return s.from, ok
}

// WaitAdmitted waits for that. A publisher that is idle answers only where it
// calls Poll, or does so by Options.Housekeep. Where the context ends the
// wait, the error says what is missing: a place (ErrBusy), a publisher
// (ErrOwnerDied), or its answer.
//
// Under DropOldest it has waited long enough, too, when it was admitted and
// demoted again meanwhile, for a subscriber that takes nothing is lapped.
func (s *Subscriber) WaitAdmitted(ctx context.Context) error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 5*time.Millisecond) {
		if s.answered() {
			return nil
		}
		select {
		case <-ctx.Done():
			return s.notAdmitted(ctx.Err())
		case <-time.After(pause):
		}
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return s.fail("subscribe", shm.ErrClosed)
		}
	}
}

// answered reports whether the publisher has admitted us. Under DropOldest a
// fast one has lapped a subscriber that takes nothing yet some microseconds
// later: that we were demoted tells as well that we were admitted, and we have
// asked again.
func (s *Subscriber) answered() bool {
	_, ok := s.Admitted()
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok || !s.block && s.demoted != 0
}

// notAdmitted says why.
func (s *Subscriber) notAdmitted(cause error) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fail := func(hint string, err error) error {
		return &shm.Error{Op: "subscribe", Kind: "topic", Name: topicdir.Address(s.peer.Name()), Err: err, Hint: hint}
	}
	if s.closed {
		return fail("", shm.ErrClosed)
	}
	defer s.caught(debug.SetPanicOnFault(true), "subscribe", &err)
	if s.member == nil {
		return fail("subscribe instead", fmt.Errorf("observers are never admitted: %w", cause))
	}
	if alive, err := s.peer.PublisherAlive(); err == nil && !alive {
		return fail("start the publisher", fmt.Errorf("it has no publisher that could admit this subscriber: %w: %w", ErrOwnerDied, cause))
	}
	taken := 0
	for i := range s.ring.table {
		if mem.LoadAcquire64(&s.ring.table[i].state)&3 != stateFree {
			taken++
		}
	}
	if taken == len(s.ring.table) {
		return fail("end another subscriber, create the topic with more (Options.Subscribers), or do without admission",
			fmt.Errorf("all %d places for subscribers are taken: %w: %w", taken, ErrBusy, cause))
	}
	return fail("an idle publisher has to call Poll", fmt.Errorf("the publisher has not admitted this subscriber yet: %w", cause))
}

// Close leaves the topic: every Next that waits gives fs.ErrClosed. While
// samples are held it is ErrBusy and nothing is closed: their memory would be
// gone under whoever reads them. Later calls do nothing.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	if held := s.holding(); held > 0 {
		defer s.mu.Unlock()
		return &shm.Error{
			Op: "close", Kind: "topic", Name: topicdir.Address(s.peer.Name()),
			Err: fmt.Errorf("%d samples are held: %w", held, ErrBusy), Hint: "release them first",
		}
	}
	s.closed = true
	func() { // what its own file cannot show any more nobody watches
		defer s.caught(debug.SetPanicOnFault(true), "close", new(error))
		s.unreserve()
	}()
	s.mu.Unlock()
	// Who sleeps must be out before the memory is.
	s.closing.Store(true)
	s.sleeper.Stir()
	s.waits.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.member != nil {
		if s.ask != nil {
			// So that the publisher can tell leaving from dying.
			s.member.Region.Guard(func() error {
				mem.StoreRelease64(s.ask, 0)
				return nil
			})
		}
		err = s.member.Leave()
		s.bell.ring()
	}
	return errors.Join(err, s.station.leave())
}
