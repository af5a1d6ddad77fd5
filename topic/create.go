package topic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// Create makes a topic and becomes its publisher. Where the topic exists, its
// publisher is dead, its owner is this user and it is made as opts say, it is
// taken over: numbering goes on, and subscribers notice nothing. ErrBusy: a
// publisher lives. ErrType: the topic is made otherwise; the error says how.
func Create(name string, opts *Options) (*Publisher, error) {
	o := opts.orDefault()
	files, err := topicdir.Create(name, &topicdir.CreateOptions{
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
	ring, err := newRing(files.Data, &files.Config, &files.Layout)
	if err != nil {
		files.Close()
		return nil, opError("create", name, err)
	}
	if o.HugePages {
		if err := files.AdviseHuge(); err != nil {
			files.Close()
			return nil, opError("create", name, err)
		}
	}
	p := newPublisher(ring, owner{files}, files.Bell, o)
	if err := p.begin(files.ID, files.TookOver); err != nil {
		files.Close()
		return nil, err
	}
	if o.Housekeep > 0 {
		p.startIdle(o.Housekeep)
	}
	return p, nil
}

func newPublisher(g *ring, files host, bell mem.Region, o Options) *Publisher {
	p := &Publisher{
		ring: g, files: files, opts: o,
		bell:    newRinger(newBell(bell), g),
		blocked: make([]int32, g.slots),
		known:   map[topicdir.ID]struct{}{},
	}
	p.loan.p = p
	return p
}

// begin starts an epoch: the first, or after a publisher that is gone. The
// order of the steps is that of spec/topic.md, section 6.4.
func (p *Publisher) begin(id topicdir.ID, takeOver bool) error {
	g := p.ring
	head := mem.LoadAcquire64(g.head)
	if head >= maxNumber {
		return p.fail("create", fmt.Errorf("%d numbers are used: %w", head, ErrCorrupt))
	}
	var heirs []heir
	if takeOver {
		var err error
		if heirs, err = p.heirs(); err != nil {
			return err
		}
	}
	p.wakes = g.counters.wakes
	before := *g.epoch
	p.epoch = before
	if takeOver {
		p.epoch++
	}
	// since carries its epoch, so that subscribers have both in one load.
	mem.StoreRelease64(g.since, uint64(makeStamp(p.epoch, head, 0)))
	mem.StoreRelease64(g.epoch, p.epoch)
	mem.FullFence()
	if now := mem.LoadAcquire64(g.head); now > head && now < maxNumber {
		// The one before has lost its lock without dying, and published
		// until it saw the epoch. Somebody may hold that already.
		head = now
		mem.StoreRelease64(g.since, uint64(makeStamp(p.epoch, head, 0)))
	}
	p.next, p.last, p.shown = head, head, head
	p.busy = p.stamped(head)
	p.seq = p.sequence(head, before)
	if takeOver {
		// What was stamped and not shown counts no more.
		mem.Store(&g.counters.published, p.seq)
	}
	p.inherit(heirs)
	mem.StoreRelease64(g.end, 0)
	mem.StoreRelease64(g.want, 0)
	mem.FullFence()
	mem.Store(g.publisher, [16]byte(id))
	if err := p.housekeep(true); err != nil {
		return err
	}
	// The one before may have been killed before it woke whoever slept.
	p.bell.wakeAll(p.ring)
	if takeOver && p.opts.Logger != nil {
		p.opts.Logger.LogAttrs(context.Background(), slog.LevelInfo, "topic taken over",
			slog.String("topic", p.files.Name()), slog.Uint64("epoch", p.epoch),
			slog.Uint64("number", head), slog.Int("subscribers", len(p.readers)))
	}
	return nil
}

// sequence gives the dense sequence of the next sample: one more than that of
// the newest that was shown. Where holes have overwritten that, the first that
// the publisher before us stamped and did not come to show has it; and if
// there is none, its counter counted what it showed.
func (p *Publisher) sequence(head, epoch uint64) uint64 {
	g := p.ring
	if head > 0 {
		h := g.headers.At((head - 1) & g.mask)
		if st := stamp(h.stamp); st.kind() == kindSample && st.number() == head-1 {
			return h.seq + 1
		}
	}
	seq, first := g.counters.published, uint64(maxNumber)
	for i := range g.slots {
		h := g.headers.At(i)
		// Those before it may have left such stamps too, of another epoch.
		st := stamp(h.stamp)
		if st.kind() == kindSample && st.number() >= head && st.number() < first && st.epoch() == epoch&(1<<epochBits-1) {
			seq, first = h.seq, st.number()
		}
	}
	return seq
}

// stamped is behind the greatest number whose slot was taken, at least head:
// the publisher before us may have lent, queued and passed over more than it
// showed, and what stood there is gone.
func (p *Publisher) stamped(head uint64) uint64 {
	g := p.ring
	behind := head
	for i := range g.slots {
		st := stamp(g.headers.At(i).stamp)
		// It goes a round past the head, and past holes.
		if n := st.number(); st.kind() != kindNever && n >= behind && n-head < 4*g.slots {
			behind = n + 1
		}
	}
	return behind
}

// heir is a subscriber that the publisher before us had given a place.
type heir struct {
	member *member
	index  int
	keep   bool // it lives; else its place is free
}

// heirs finds the subscribers of all entries of the table, by their names.
// Where a file is missing, somebody has removed it, and whoever it belongs to
// may live and hold samples that nobody can see: that is an error, for what
// somebody holds must not change.
func (p *Publisher) heirs() (all []heir, err error) {
	for i := range p.ring.table {
		e := &p.ring.table[i]
		if e.state&3 == stateFree {
			continue
		}
		h := heir{index: i}
		m, err := p.files.Member(e.id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &shm.Error{
				Op: "create", Kind: "topic", Name: topicdir.Address(p.files.Name()),
				Err:  fmt.Errorf("the file of subscriber %v was removed, so nobody can tell whether it lives and what it holds: %w", topicdir.ID(e.id), ErrBusy),
				Hint: "remove the topic and create it anew",
			}
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrVersion), errors.Is(err, sys.ErrTruncated):
			// Its owner has made something else of it.
		case err != nil:
			return nil, p.fail("create", err)
		default:
			h.member = m
			_, twice := p.known[m.ID]
			h.keep = !twice && m.Alive() && (e.state&3 == stateAdmitted || e.state&3 == stateDemoted)
			p.known[m.ID] = struct{}{}
		}
		all = append(all, h)
	}
	return all, nil
}

// inherit takes over the entries of those that live, as they are, and finds
// out what they hold. The others' places are free.
func (p *Publisher) inherit(heirs []heir) {
	for _, h := range heirs {
		e := &p.ring.table[h.index]
		var r *reader
		if h.keep {
			r = p.newReader(h.member)
		}
		if r == nil {
			p.setState(h.index, stateFree)
			if h.member != nil && !h.member.Alive() {
				p.bury(h.member)
			}
			continue
		}
		p.readers = append(p.readers, r)
		r.index, r.admitted = h.index, e.state&3 == stateAdmitted
		if !p.look(r, true) {
			p.evict(r, truncated)
			continue
		}
		r.seenCursor = max(r.seenCursor, e.from)
		if r.admitted {
			// Who was demoted may have asked again already.
			if ask, ok := mem.TryLoad(r.ask); ok {
				r.answered = ask
			}
		}
	}
	p.setFloor()
}

// Close ends the topic: subscribers get io.EOF when they have taken what is
// there. The topic stays, to be read, until Remove; another Create goes on
// with it. ErrBusy, and nothing is closed, while a loan is out: its memory
// would be gone under whoever writes it. Later calls do nothing.
func (p *Publisher) Close() error {
	return p.finish("close", func() error { return p.files.Close() })
}

// Remove is Close, and takes the topic's name away as well, closed before or
// not; the memory goes when the last subscriber has closed it.
func (p *Publisher) Remove() error {
	fenced := false
	if !p.closed {
		epoch, ok := mem.TryLoad(p.ring.epoch)
		fenced = ok && epoch != p.epoch
	}
	if p.closed || fenced {
		if err := p.Close(); err != nil {
			return err
		}
		// It may have another publisher by now, and that is ErrBusy.
		return Remove(p.files.Name(), &RemoveOptions{Dir: p.opts.Dir})
	}
	return p.finish("remove", func() error { return p.files.Remove() })
}

// finish ends the topic, unless it is somebody else's by now, and then does
// away with the memory.
func (p *Publisher) finish(op string, do func() error) error {
	p.enter()
	if p.closed || p.loan.out {
		defer p.leave()
		if p.closed {
			return nil
		}
		return &shm.Error{
			Op: op, Kind: "topic", Name: topicdir.Address(p.files.Name()),
			Err: fmt.Errorf("a loan is out: %w", ErrBusy), Hint: "publish or discard it first",
		}
	}
	p.closed, p.free = true, 0
	// The memory may have been cut short; that must not keep it from being
	// given back.
	p.ring.region.Guard(func() error {
		if mem.LoadAcquire64(p.ring.epoch) == p.epoch {
			if p.last > p.shown {
				p.show()
			}
			mem.StoreRelease64(p.ring.end, 1+p.last)
			mem.Store(&p.ring.counters.wakes, p.wakes+p.bell.rings())
			p.bell.wakeAll(p.ring)
		}
		p.final = p.stats()
		return nil
	})
	p.leave()
	p.stopIdle()
	return do()
}
