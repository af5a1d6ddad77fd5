package topic

import (
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

const (
	// housekeepEvery bounds how late a join, a death or the topic's removal
	// is noticed when the bell says nothing.
	housekeepEvery = time.Second

	// housekeepPause bounds how often the bell can make us scan the
	// directory: whoever rings it in a loop costs ten scans a second.
	housekeepPause = 100 * time.Millisecond
)

// Poll does what a publisher must do besides publishing: it admits who has
// joined, drops who has died, and notices that the topic's name is gone.
// Loan and Send do it too, so only a publisher that is idle calls it, now and
// then.
func (p *Publisher) Poll() error {
	p.enter()
	defer p.leave()
	if p.closed {
		return p.fail("poll", shm.ErrClosed)
	}
	return p.housekeep(true)
}

// housekeep does it when the bell has news, at most every housekeepPause, and
// in any case every housekeepEvery.
func (p *Publisher) housekeep(force bool) error {
	if mem.LoadAcquire64(p.ring.epoch) != p.epoch {
		// The table and the subscribers' files are our successor's.
		return p.fail("publish", ErrFenced)
	}
	t := time.Now()
	since := t.Sub(p.looked)
	news := p.bell.heard()
	if !force && since < housekeepEvery && (news == p.news || since < housekeepPause) {
		return nil
	}
	p.looked, p.news = t, news
	c := p.ring.counters
	mem.Add(&c.housekeepings, 1)
	mem.Store(&c.wakes, p.wakes+p.bell.rings())
	mem.StoreRelease64(p.ring.alive, uint64(t.UnixNano()))
	if err := p.files.Named(); err != nil {
		return p.fail("publish", err)
	}
	return p.follow()
}

// follow brings the readers into line with the files that are there.
func (p *Publisher) follow() error {
	for range scansMost {
		dropped := p.drop()
		members, err := p.files.Members()
		if err != nil {
			return p.fail("publish", err)
		}
		if !p.meet(members) && !dropped || len(p.files.Refused()) == 0 {
			break
		}
		// Files of the dead may have kept others from being opened.
	}
	for _, r := range p.readers {
		p.answer(r)
	}
	p.setFloor()
	return nil
}

// scansMost bounds how often the directory is scanned at once.
const scansMost = 16

// drop forgets subscribers that live no more. Their lock decides, not whether
// their file still has its name: who removes the file of a living subscriber
// does not make what it holds free.
func (p *Publisher) drop() (any bool) {
	kept := p.readers[:0]
	for _, r := range p.readers {
		if r.member.Alive() {
			kept = append(kept, r)
			continue
		}
		p.evict(r, p.end(r))
		p.bury(r.member)
		any = true
	}
	clear(p.readers[len(kept):])
	p.readers = kept
	return any
}

// meet takes in subscribers that are new, and reports whether some of them
// were dead.
func (p *Publisher) meet(members []*topicdir.Member) (dead bool) {
	for _, m := range members {
		if _, ok := p.known[m.ID]; ok {
			continue
		}
		one := newMember(m)
		if !m.Alive() {
			p.bury(one)
			dead = true
			continue
		}
		if r := p.newReader(one); r != nil {
			p.readers = append(p.readers, r)
			p.known[m.ID] = struct{}{}
		}
	}
	return dead
}

// bury removes the file of a subscriber that is dead and has no entry.
func (p *Publisher) bury(m *member) {
	delete(p.known, m.ID)
	m.Unlink()
	m.Close()
}

// answer admits a reader that asks.
func (p *Publisher) answer(r *reader) {
	if r.admitted {
		return
	}
	var ask uint64
	err := r.member.Region.Guard(func() error {
		ask = mem.LoadAcquire64(r.ask)
		return nil
	})
	if err != nil || ask == 0 || ask == r.answered {
		return
	}
	if p.admit(r) {
		r.answered = ask
	}
}

// newReader makes the publisher's view of a subscriber; nil when its file is
// not what it must be.
func (p *Publisher) newReader(m *member) *reader {
	r := &reader{member: m, index: -1, seenPins: make([]uint64, p.opts.Held), moved: time.Now()}
	var err error
	if r.cursor, err = mem.Pointer[uint64](m.Region, topicdir.MemberCursor); err == nil {
		if r.ask, err = mem.Pointer[uint64](m.Region, topicdir.MemberAsk); err == nil {
			if r.fenceFree, err = mem.Pointer[uint32](m.Region, topicdir.MemberFenceFree); err == nil {
				r.pins, err = mem.Slice[uint64](m.Region, topicdir.MemberPins, p.opts.Held)
			}
		}
	}
	if err != nil {
		return nil
	}
	return r
}
