package demo

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-298b2b26/shm"
)

const (
	readers     = 3
	sharedBytes = 1 << 20
)

// oneToThree is what a pipe cannot do: one writer, three readers, and every
// reader reads the same bytes, twice.
func (d *Demo) oneToThree(ctx context.Context) error {
	d.title("One writer, %d readers, the same bytes twice", readers)
	name := fmt.Sprintf("/shm-demo-%d-readers", os.Getpid())
	s, err := shm.Create(name, sharedBytes, &shm.Options{Dir: d.Dir})
	if err != nil {
		return err
	}
	defer s.Close()
	gone := false
	defer func() {
		if !gone {
			s.Remove()
		}
	}()
	var sum uint32
	err = s.Update(func(b []byte) error {
		fill(b, 1)
		sum = checksum(0, b)
		return nil
	})
	if err != nil {
		return err
	}
	d.tell("writer", "process %d wrote %d bytes into %s, checksum %08x", os.Getpid(), sharedBytes, name, sum)
	var all []*peer
	for range readers {
		p, err := d.start(ctx, nil, "reader", s.Address(), d.Dir)
		if err != nil {
			return err
		}
		defer p.end()
		all = append(all, p)
	}
	for _, p := range all {
		if _, err := p.line(ctx); err != nil {
			return err
		}
	}
	gone = true
	if err := s.Remove(); err != nil {
		return err
	}
	for round := range 2 {
		for _, p := range all {
			if err := p.tell(); err != nil {
				return err
			}
		}
		for _, p := range all {
			got, err := p.line(ctx)
			if err != nil {
				return err
			}
			if got != fmt.Sprintf("%08x", sum) {
				return fmt.Errorf("reader %d got checksum %s, written was %08x", p.pid(), got, sum)
			}
			d.tell("reader", "process %d, round %d: checksum %s", p.pid(), round+1, got)
		}
	}
	d.tell("", "Reading took nothing away; with a pipe the first reader would have had it all.")
	return nil
}

// fill writes bytes that no compression and no zero page makes easy.
func fill(b []byte, seed uint64) {
	x := seed*0x9e3779b97f4a7c15 + 1
	for len(b) >= 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[0], b[1], b[2], b[3] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24)
		b[4], b[5], b[6], b[7] = byte(x>>32), byte(x>>40), byte(x>>48), byte(x>>56)
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(i)
	}
}
