package topic

import (
	"time"

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
func (p *Publisher) Poll() error { return p.housekeep(true) }

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
	p.ring.counters.housekeepings++
	if err := p.owner.Named(); err != nil {
		return p.fail("publish", err)
	}
	members, err := p.owner.Members()
	if err != nil {
		return p.fail("publish", err)
	}
	p.follow(members)
	return nil
}

// follow brings the readers into line with the files that are there.
func (p *Publisher) follow(members []*topicdir.Member) {
	here := map[*topicdir.Member]bool{}
	for _, m := range members {
		here[m] = true
	}
	kept := p.readers[:0]
	known := map[*topicdir.Member]bool{}
	for _, r := range p.readers {
		switch {
		case !here[r.member]:
			p.evict(r, "left")
			r.member.Close()
			continue
		case !r.member.Alive():
			p.evict(r, "dead")
			r.member.Unlink()
			r.member.Close()
			continue
		}
		known[r.member] = true
		kept = append(kept, r)
	}
	p.readers = kept
	for _, m := range members {
		if known[m] || !here[m] {
			continue
		}
		if !m.Alive() {
			m.Unlink()
			m.Close()
			continue
		}
		if r := p.newReader(m); r != nil {
			p.readers = append(p.readers, r)
		}
	}
	for _, r := range p.readers {
		p.answer(r)
	}
	p.setFloor()
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
	if err != nil || ask == r.answered {
		return
	}
	if p.admit(r) {
		r.answered = ask
	}
}

// newReader makes the publisher's view of a subscriber; nil when its file is
// not what it must be.
func (p *Publisher) newReader(m *topicdir.Member) *reader {
	r := &reader{member: m, index: -1, seenPins: make([]uint64, p.opts.Held), moved: time.Now()}
	var err error
	if r.cursor, err = mem.Pointer[uint64](m.Region, topicdir.MemberCursor); err == nil {
		if r.ask, err = mem.Pointer[uint64](m.Region, topicdir.MemberAsk); err == nil {
			r.pins, err = mem.Slice[uint64](m.Region, topicdir.MemberPins, p.opts.Held)
		}
	}
	if err != nil {
		return nil
	}
	return r
}
