package topicdir

import (
	"io"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// data dumps the file data: header, configuration, hot lines, table, slots.
func (d *dump) data() error {
	d.held = MaxHeld
	p, fd, b := d.header(dataFile, KindData, HeaderSize, false)
	if fd != nil {
		defer fd.Close()
	}
	if err := d.emit(p); err != nil || b == nil {
		return err
	}
	config, layout, ok, err := d.configuration(b)
	if err != nil || !ok {
		return err
	}
	head, since, err := d.hot(fd, &layout)
	if err != nil {
		return err
	}
	if err := d.table(fd, &config, &layout); err != nil {
		return err
	}
	return d.slots(fd, &config, &layout, head, since)
}

// configuration dumps what stands in b, and tells whether the rest of the
// file can be found by it.
func (d *dump) configuration(b []byte) (Config, Layout, bool, error) {
	u64 := func(off int) uint64 { return le.Uint64(b[off:]) }
	u32 := func(off int) uint64 { return uint64(le.Uint32(b[off:])) }
	p := &Part{Name: "configuration", File: dataFile}
	p.add("slots", u64(OffSlots))
	p.add("capacity", u64(OffCapacity))
	p.add("slot_headers_at", u64(OffSlotHeaders))
	p.add("slot_header_stride", u64(OffSlotStride))
	p.add("payload_at", u64(OffPayload))
	p.add("payload_stride", u64(OffPayloadStride))
	p.add("alignment", u64(OffPayloadAlign))
	p.add("table_at", u64(OffTable))
	p.add("hot_lines_at", u64(OffHot))
	p.add("entries", u32(OffSubscribers))
	p.add("held", u32(OffHeld))
	p.add("policy", u32(OffPolicy))
	p.add("patience_ns", int64(u64(OffPatience)))
	p.add("type_hash", ID(b[OffTypeHash:]).String()+ID(b[OffTypeHash+16:]).String())
	p.add("type", string(b[OffTypeName:OffTypeName+min(u32(OffTypeLength), MaxTypeName)]))
	c, l, err := DecodeConfig(b, int64(u64(OffFileSize)))
	p.Problem = err
	if err == nil {
		d.held = c.Held
	}
	return c, l, err == nil, d.emit(p)
}

// read fills b from off on; less than all of it is a problem of the part.
func (p *Part) read(fd *sys.FD, b []byte, off int64) bool {
	n, err := fd.ReadAt(b, off)
	switch {
	case n == len(b):
		return true
	case err == nil, err == io.EOF:
		err = corrupt("the file ends before byte %d", off+int64(len(b)))
	}
	p.Problem = err
	return false
}

func (d *dump) hot(fd *sys.FD, l *Layout) (head, since uint64, err error) {
	p := &Part{Name: "hot", File: dataFile}
	b := make([]byte, HotSize)
	if p.read(fd, b, l.Hot) {
		u64 := func(off int) uint64 { return le.Uint64(b[off:]) }
		head, since = u64(HotHead), u64(HotSince)
		p.add("head", head)
		p.add("epoch", u64(HotEpoch))
		p.add("since_epoch", since>>(64-sinceEpochBits))
		p.add("since_number", since<<sinceEpochBits>>(sinceEpochBits+2))
		p.add("end", u64(HotEnd))
		p.add("publisher", ID(b[HotPublisher:]).String())
		p.add("wake", uint64(le.Uint32(b[HotWake:])))
		p.add("fence_free", uint64(le.Uint32(b[HotFenceFree:])))
		p.add("want", u64(HotWant))
		for i, key := range []string{"published", "bytes_published", "holes", "demoted", "evicted", "wakes", "waits", "housekeepings"} {
			p.add(key, u64(HotCounters+8*i))
		}
		p.add("alive", time.Unix(0, int64(u64(HotAlive))))
	}
	return head, since, d.emit(p)
}

func (d *dump) table(fd *sys.FD, c *Config, l *Layout) error {
	b := make([]byte, EntrySize)
	for i := range c.Subscribers {
		p := &Part{Name: "entry", File: dataFile}
		p.add("index", uint64(i))
		if !p.read(fd, b, l.Entry(i)) {
			return d.emit(p)
		}
		state := le.Uint64(b[EntryState:])
		if state&3 == StateNone {
			continue
		}
		p.add("id", ID(b[EntryID:]).String())
		p.add("generation", state>>2)
		p.add("kind", [...]string{"free", "admitted", "demoted", "3"}[state&3])
		p.add("from", le.Uint64(b[EntryFrom:]))
		if err := d.emit(p); err != nil {
			return err
		}
	}
	return nil
}

// slots dumps the headers of slots. What a stamp is worth stands beside it:
// shown to subscribers; not shown yet; or of a publisher that was replaced
// before.
func (d *dump) slots(fd *sys.FD, c *Config, l *Layout, head, since uint64) error {
	const many = 1024
	size := int64(slotUsed)
	if l.SlotStride <= HeaderSize {
		size = l.SlotStride * many // at once
	}
	b := make([]byte, size)
	for i := int64(0); i < c.Slots; {
		n := min(max(size/l.SlotStride, 1), c.Slots-i)
		part := &Part{Name: "slot", File: dataFile}
		chunk := b[:min(size, (n-1)*l.SlotStride+slotUsed)]
		if !part.read(fd, chunk, l.Slot(i)) {
			part.add("slot", uint64(i))
			return d.emit(part)
		}
		for k := range n {
			p := slotPart(uint64(i+k), chunk[k*l.SlotStride:], head, since)
			if p == nil {
				continue
			}
			if err := d.emit(p); err != nil {
				return err
			}
		}
		i += n
	}
	return nil
}

// slotPart is one slot; nil if it was never used.
func slotPart(slot uint64, b []byte, head, since uint64) *Part {
	stamp := le.Uint64(b[SlotStamp:])
	if stamp == 0 {
		return nil
	}
	epoch, number := stamp>>(64-sinceEpochBits), stamp<<sinceEpochBits>>(sinceEpochBits+2)
	sinceEpoch, first := since>>(64-sinceEpochBits), since<<sinceEpochBits>>(sinceEpochBits+2)
	state := "shown"
	switch {
	case number >= head:
		state = "not shown"
	case (number >= first) != (epoch == sinceEpoch):
		state = "of a replaced publisher"
	}
	p := &Part{Name: "slot", File: dataFile}
	p.add("slot", slot)
	p.add("epoch", epoch)
	p.add("number", number)
	p.add("kind", [...]string{"never used", "sample", "hole", "busy"}[stamp&3])
	p.add("state", state)
	p.add("seq", le.Uint64(b[SlotSeq:]))
	p.add("length", le.Uint64(b[SlotLength:]))
	p.add("flags", uint64(le.Uint32(b[SlotFlags:])))
	p.add("time", time.Unix(0, int64(le.Uint64(b[SlotTime:]))))
	p.add("word", le.Uint64(b[SlotWord:]))
	return p
}
