package bench

import (
	"context"
	"encoding/binary"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/mem"
)

// memory is a segment of the two sides of a cell, which has a name only until
// both have it. In it are two directions, each with a line of its own for
// every word, and slots.
type memory struct {
	s       Spec
	dir     string
	seg     *shm.Segment
	stride  int64
	forward halves
	reverse halves
}

// halves is one direction in the memory: what the sender and what the
// receiver writes, and the slots.
type halves struct {
	sender, receiver mem.Region
	slots            []byte
	stride           int // from one slot to the next
}

const (
	halfSize = 256 // of one side's words
	lineSize = 128
)

func newMemory(s Spec) memory {
	return memory{s: s, stride: int64(s.Size+lineSize-1) &^ (lineSize - 1)}
}

func (m *memory) open(o *order, r *reply) (err error) {
	m.dir = o.Dir
	if o.Role > 0 {
		return nil
	}
	r.Address = "/shm-" + o.Name
	if m.seg, err = shm.Create(r.Address, 2*m.half(), &shm.Options{Dir: m.dir}); err != nil {
		return err
	}
	return m.divide()
}

// half is the size of one direction.
func (m *memory) half() int64 { return 2*halfSize + int64(slotsFor(m.s.Size))*m.stride }

func (m *memory) join(ctx context.Context, o *order) (err error) {
	if o.Role == 0 {
		return nil
	}
	if m.seg, err = shm.Open(o.Address, &shm.Options{Dir: m.dir}); err != nil {
		return err
	}
	return m.divide()
}

// admit takes the name away.
func (m *memory) admit(ctx context.Context, o *order) error {
	if o.Role > 0 {
		return nil
	}
	return m.seg.Remove()
}

func (m *memory) divide() (err error) {
	all := mem.Of(m.seg.Bytes())
	for i, h := range []*halves{&m.forward, &m.reverse} {
		at := int64(i) * m.half()
		if h.sender, err = all.Slice(at, halfSize); err != nil {
			return err
		}
		if h.receiver, err = all.Slice(at+halfSize, halfSize); err != nil {
			return err
		}
		slots, err := all.Slice(at+2*halfSize, slotsFor(m.s.Size)*int(m.stride))
		if err != nil {
			return err
		}
		h.slots, h.stride = slots.Bytes(), int(m.stride)
	}
	return nil
}

func (m *memory) close() error {
	if m.seg == nil {
		return nil
	}
	// Where it came to no admission, the name is there still; the other side
	// gets an error then, which says nothing.
	m.seg.Remove()
	return m.seg.Close()
}

// put writes a message into a slot as the cell wants it.
func (s *Spec) put(slot, data []byte) {
	if s.Read == "touch" {
		binary.LittleEndian.PutUint64(slot, uint64(len(data)))
		return
	}
	copy(slot, data)
}
