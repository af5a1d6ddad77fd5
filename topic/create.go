package topic

import (
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// Create makes a topic and becomes its publisher. Where the topic exists, its
// publisher is dead, its owner is this user and it is made as opts say, it is
// taken over: numbering goes on, and subscribers notice nothing. ErrBusy: a
// publisher lives. ErrType: the topic is made otherwise; the error says how.
func Create(name string, opts *Options) (*Publisher, error) {
	o := opts.orDefault()
	owner, err := topicdir.Create(name, &topicdir.CreateOptions{
		Dir: o.Dir, Sharing: topicdir.Sharing(o.Sharing), GID: o.GID, Exclusive: o.Exclusive,
		Config: topicdir.Config{
			Slots: int64(o.Slots), Capacity: int64(o.Size), PayloadAlign: int64(o.Align),
			Subscribers: o.Subscribers, Held: o.Held,
			Policy: topicdir.Policy(o.Policy), Patience: o.Patience,
			TypeName: o.Type, TypeHash: o.TypeHash,
		},
	})
	if err != nil {
		return nil, err
	}
	ring, err := newRing(owner.Data, &owner.Config, &owner.Layout)
	if err != nil {
		owner.Close()
		return nil, opError("create", topicdir.Address(name), err)
	}
	p := &Publisher{
		ring: ring, owner: owner, opts: o,
		bell:    newRinger(newBell(owner.Bell), ring),
		blocked: make([]int32, ring.slots),
	}
	if err := p.begin(); err != nil {
		owner.Close()
		return nil, err
	}
	return p, nil
}

// begin starts an epoch: the first, or after a publisher that is gone.
func (p *Publisher) begin() error {
	g := p.ring
	head := mem.LoadAcquire64(g.head)
	if head >= maxNumber {
		return p.fail("create", ErrCorrupt)
	}
	p.next, p.busy, p.last, p.shown = head, head, head, head
	p.seq = p.sequence(head)
	p.epoch = *g.epoch
	if p.owner.TookOver {
		p.epoch++
	}
	// since carries its epoch, so that subscribers have both in one load.
	mem.StoreRelease64(g.since, uint64(makeStamp(p.epoch, head, 0)))
	mem.StoreRelease64(g.epoch, p.epoch)
	if p.owner.TookOver {
		if err := p.recover(); err != nil {
			return err
		}
	}
	*g.publisher = p.owner.ID
	mem.StoreRelease64(g.want, 0)
	mem.StoreRelease64(g.end, 0)
	if err := p.housekeep(true); err != nil {
		return err
	}
	// The one before may have been killed before it woke whoever slept.
	p.bell.wakeAll(p.ring)
	return nil
}

// sequence gives the dense sequence of the next sample: one more than that of
// the newest sample in the ring. The counter may be ahead, by samples that a
// killed publisher did not come to show.
func (p *Publisher) sequence(head uint64) uint64 {
	g := p.ring
	for c := head; c > 0 && head-c < g.slots; c-- {
		h := g.headers.At((c - 1) & g.mask)
		if st := stamp(h.stamp); st.kind() == kindSample && st.number() == c-1 {
			// Of what stood in between nobody knows how much was samples, but
			// that the counter counted them.
			return min(h.seq+1+(head-c), g.counters.published)
		}
	}
	return g.counters.published
}

// recover finds out what the subscribers of the publisher before us hold.
// An entry that it had admitted stays admitted, so its reader is taken in as
// it is; every other entry is free. What cannot be found out is an error: a
// sample that somebody holds must not change.
func (p *Publisher) recover() error {
	members, err := p.owner.Members()
	if err != nil {
		return err
	}
	for _, m := range members {
		if !m.Alive() {
			continue
		}
		r := p.newReader(m)
		if r == nil {
			continue
		}
		p.readers = append(p.readers, r)
		for i := range p.ring.table {
			e := &p.ring.table[i]
			if e.id != m.ID || e.state&3 == stateFree {
				continue
			}
			r.index, r.admitted = i, e.state&3 == stateAdmitted
			if !p.look(r, true) {
				p.evict(r, "its file was truncated")
				break
			}
			r.seenCursor = max(r.seenCursor, e.from)
			if r.admitted {
				// Who was demoted may have asked again already.
				if ask, ok := mem.TryLoad(r.ask); ok {
					r.answered = ask
				}
			}
		}
	}
	for i := range p.ring.table {
		if p.ring.table[i].state&3 != stateFree && !p.taken(i) {
			p.setState(i, stateFree)
		}
	}
	p.setFloor()
	return nil
}

// Close ends the topic: subscribers get io.EOF when they have taken what is
// there. The topic stays, to be read, until Remove; another Create goes on
// with it.
func (p *Publisher) Close() error {
	if p.closed {
		return nil
	}
	if p.loan.out {
		p.loan.Discard()
	}
	p.closed = true
	if mem.LoadAcquire64(p.ring.epoch) == p.epoch {
		mem.StoreRelease64(p.ring.end, 1+p.last)
		p.bell.wakeAll(p.ring)
	}
	return p.owner.Close()
}

// Remove ends the topic, closed or not, and takes its name away; the memory
// goes when the last subscriber has closed it.
func (p *Publisher) Remove() error {
	if p.closed {
		return Remove(p.owner.Name(), &RemoveOptions{Dir: p.opts.Dir})
	}
	p.closed = true
	if mem.LoadAcquire64(p.ring.epoch) == p.epoch {
		mem.StoreRelease64(p.ring.end, 1+p.last)
		p.bell.wakeAll(p.ring)
	}
	return p.owner.Remove()
}
