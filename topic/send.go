package topic

import (
	"context"
	"errors"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// Send copies data into the topic and publishes it.
func (p *Publisher) Send(ctx context.Context, data []byte) error {
	p.enter()
	var err error
	if p.put(data, 0) {
		p.show()
	} else if err = p.send(ctx, data); err == nil {
		p.show()
	}
	p.leave()
	return err
}

// SendBatch copies several samples in and shows them all at once, which
// costs less for each. It says how many were published: fewer than all only
// with an error.
func (p *Publisher) SendBatch(ctx context.Context, all [][]byte) (n int, err error) {
	p.enter()
	defer p.leave()
	var t int64
	if p.ring.capacity <= oneTime {
		t = p.time()
	}
	for _, data := range all {
		if !p.put(data, t) {
			if err = p.send(ctx, data); err != nil {
				break
			}
			t = 0 // it may have waited
		}
		n++
	}
	if n > 0 && !errors.Is(err, ErrFenced) {
		p.show()
	}
	return n, err
}

// oneTime is the size up to which the samples of a batch have one time: they
// are copied within microseconds, and shown at once.
const oneTime = 4096

// send makes data the next sample, as a loan is made and ended.
func (p *Publisher) send(ctx context.Context, data []byte) error {
	if err := p.lend(ctx, len(data)); err != nil {
		return err
	}
	mem.Copy(p.loan.data, data)
	return p.stampSample(&p.loan)
}

// put is send where nothing is in the way, as it is most often. False means
// that send has to see to it.
func (p *Publisher) put(data []byte, t int64) bool {
	g, n, size := p.ring, p.next, uint64(len(data))
	s := n & g.mask
	if size > g.capacity || p.loan.out || !p.clear(n, s) {
		return false
	}
	h := g.headers.At(s)
	p.claim(h, n)
	mem.Copy(g.bytes(s, size), data)
	if t == 0 {
		t = p.time()
	}
	if mem.LoadAcquire64(g.epoch) != p.epoch {
		return false
	}
	p.seal(h, size, t, 0, 0)
	return true
}
