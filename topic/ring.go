package topic

import (
	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// slotHeader stands before every payload; spec/topic.md, section 3.
type slotHeader struct {
	stamp  uint64
	seq    uint64
	length uint64
	flags  uint32
	_      uint32
	time   int64
	user   uint64
	_      [2]uint64
}

// entry is a line of the table in which the publisher answers subscribers.
type entry struct {
	id    [16]byte
	state uint64
	from  uint64
	_     [12]uint64
}

// What an entry's state says, in its low two bits; the rest is a generation
// that every change raises.
const (
	stateFree     = 0
	stateAdmitted = 1
	stateDemoted  = 2
)

// ring is the memory of `data`, with its places found and checked once. All
// geometry is kept here, privately: what stands in shared memory later is
// not asked again.
type ring struct {
	region   mem.Region
	slots    uint64
	mask     uint64
	capacity uint64
	headers  mem.Array[slotHeader]
	payload  int64 // offset of the first payload
	stride   int64 // of the payloads
	table    []entry

	// The hot words.
	head      *uint64
	epoch     *uint64
	since     *uint64
	end       *uint64
	publisher *[16]byte
	wake      *uint32
	fencefree *uint32
	want      *uint64
	alive     *uint64
	counters  *counters
}

// counters are the publisher's, for everyone to read.
type counters struct {
	published, bytes, holes, demoted, evicted, wakes, waits, housekeepings uint64
}

func newRing(r mem.Region, c *topicdir.Config, l *topicdir.Layout) (*ring, error) {
	g := &ring{
		region: r, slots: uint64(c.Slots), mask: uint64(c.Slots) - 1, capacity: uint64(c.Capacity),
		payload: l.Payload, stride: l.PayloadStride,
	}
	var err error
	if g.headers, err = mem.ArrayOf[slotHeader](r, l.SlotHeaders, uintptr(l.SlotStride), g.slots); err != nil {
		return nil, err
	}
	if g.table, err = mem.Slice[entry](r, l.Table, c.Subscribers); err != nil {
		return nil, err
	}
	hot := l.Hot
	g.head = place[uint64](r, hot+topicdir.HotHead, &err)
	g.epoch = place[uint64](r, hot+topicdir.HotEpoch, &err)
	g.since = place[uint64](r, hot+topicdir.HotSince, &err)
	g.end = place[uint64](r, hot+topicdir.HotEnd, &err)
	g.publisher = place[[16]byte](r, hot+topicdir.HotPublisher, &err)
	g.wake = place[uint32](r, hot+topicdir.HotWake, &err)
	g.fencefree = place[uint32](r, hot+topicdir.HotFenceFree, &err)
	g.want = place[uint64](r, hot+topicdir.HotWant, &err)
	g.alive = place[uint64](r, hot+topicdir.HotAlive, &err)
	g.counters = place[counters](r, hot+topicdir.HotCounters, &err)
	return g, err
}

// place finds one value, unless an earlier one was not found.
func place[T any](r mem.Region, off int64, err *error) *T {
	if *err != nil {
		return nil
	}
	p, e := mem.Pointer[T](r, off)
	*err = e
	return p
}

// bytes gives the payload of slot s with n bytes, n at most the capacity.
func (g *ring) bytes(s, n uint64) []byte {
	at := g.payload + int64(s)*g.stride
	return g.region.Bytes()[at : at+int64(n) : at+int64(n)]
}
