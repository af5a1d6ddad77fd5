package topicdir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Header is the common header of every file, but magic and ready.
type Header struct {
	Version  uint32
	Least    uint32
	Features uint64
	Kind     uint32
	Size     int64 // of the file, as the header says
	Instance ID    // of the topic in data and bell, else the file's own
	Topic    ID    // of the topic; zero in data
	Maker    Maker
}

// Maker says who made a file. It is what that process says of itself, and
// nothing that anybody relies on but against that process.
type Maker struct {
	PID          int
	Start        uint64 // ticks since boot, field 22 of /proc/PID/stat
	PIDNamespace uint64 // inode
	Boot         [16]byte
	Made         time.Time
	UID          uint32
}

var le = binary.LittleEndian

// knownFeatures are the feature bits that this package knows; there are none.
const knownFeatures = 0

// encode writes the header without its ready word into b, which has room for
// HeaderSize bytes that are zero.
func (h *Header) encode(b []byte) {
	copy(b[OffMagic:], Magic)
	le.PutUint32(b[OffVersion:], Version)
	le.PutUint32(b[OffLeast:], Version)
	le.PutUint64(b[OffFeatures:], h.Features)
	le.PutUint32(b[OffHeaderSize:], HeaderSize)
	le.PutUint32(b[OffKind:], h.Kind)
	le.PutUint64(b[OffFileSize:], uint64(h.Size))
	copy(b[OffInstance:], h.Instance[:])
	le.PutUint64(b[OffPID:], uint64(h.Maker.PID))
	le.PutUint64(b[OffStart:], h.Maker.Start)
	le.PutUint64(b[OffPIDNamespace:], h.Maker.PIDNamespace)
	copy(b[OffBoot:], h.Maker.Boot[:])
	le.PutUint64(b[OffMade:], uint64(h.Maker.Made.UnixNano()))
	le.PutUint32(b[OffUID:], h.Maker.UID)
	copy(b[OffTopic:], h.Topic[:])
}

// setReady stores the ready word, after everything else.
func setReady(r mem.Region) error {
	w, err := mem.Pointer[uint32](r, OffReady)
	if err == nil {
		mem.StoreRelease32(w, Ready)
	}
	return err
}

// copyHeader copies the header of a mapped file, so that every word of it is
// loaded once. The ready word is loaded first, with acquire.
func copyHeader(r mem.Region) ([]byte, error) {
	b := make([]byte, configEnd)
	if r.Len() < HeaderSize {
		return nil, corrupt("%d bytes are no header", r.Len())
	}
	err := r.Guard(func() error {
		w, err := mem.Atomic[atomic.Uint32](r, OffReady)
		if err != nil {
			return err
		}
		ready := w.Load()
		copy(b, r.Bytes())
		le.PutUint32(b[OffReady:], ready)
		return nil
	})
	var fault *mem.Fault
	if errors.As(err, &fault) {
		return nil, fmt.Errorf("%w: %w", sys.ErrTruncated, err)
	}
	return b, err
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), sys.ErrCorrupt)
}

// DecodeHeader checks the first bytes of a file, at least 512, that is size
// bytes long and must be of the kind. b must be a private copy.
func DecodeHeader(b []byte, kind uint32, size int64) (*Header, error) {
	if len(b) < configEnd || size < HeaderSize {
		return nil, corrupt("%d bytes are no header", min(int64(len(b)), size))
	}
	if m := b[OffMagic : OffMagic+8]; string(m) != Magic {
		return nil, corrupt("it starts with %q, not with %q", m, Magic)
	}
	if w := le.Uint32(b[OffReady:]); w != Ready {
		return nil, corrupt("it was never completed (ready word %#x)", w)
	}
	h := &Header{
		Version:  le.Uint32(b[OffVersion:]),
		Least:    le.Uint32(b[OffLeast:]),
		Features: le.Uint64(b[OffFeatures:]),
		Kind:     le.Uint32(b[OffKind:]),
		Size:     int64(le.Uint64(b[OffFileSize:])),
		Instance: ID(b[OffInstance:]),
		Topic:    ID(b[OffTopic:]),
		Maker: Maker{
			Start:        le.Uint64(b[OffStart:]),
			PIDNamespace: le.Uint64(b[OffPIDNamespace:]),
			Boot:         [16]byte(b[OffBoot:]),
			Made:         time.Unix(0, int64(le.Uint64(b[OffMade:]))),
			UID:          le.Uint32(b[OffUID:]),
		},
	}
	switch {
	case h.Version == 0 || h.Least == 0 || h.Least > h.Version:
		return nil, corrupt("layout version %d, readable from %d on, cannot be", h.Version, h.Least)
	case h.Least > Version:
		return nil, hinted("use a newer version of this program",
			"the layout is version %d, readable from version %d on, and this program knows version %d: %w", h.Version, h.Least, Version, sys.ErrVersion)
	}
	if unknown := h.Features & (1<<32 - 1) &^ knownFeatures; unknown != 0 {
		return nil, hinted("use a newer version of this program",
			"the layout is version %d with features %#x, which this program, of version %d, does not know: %w", h.Version, unknown, Version, sys.ErrVersion)
	}
	if h.Kind != kind {
		return nil, corrupt("it is of kind %d, not %d", h.Kind, kind)
	}
	if n := le.Uint32(b[OffHeaderSize:]); n != HeaderSize {
		return nil, corrupt("the header says that it has %d bytes, not %d", n, HeaderSize)
	}
	if h.Size < HeaderSize || h.Size > size {
		return nil, corrupt("the header says that the file has %d bytes, and it has %d", h.Size, size)
	}
	if pid := le.Uint64(b[OffPID:]); pid <= 1<<31-1 {
		h.Maker.PID = int(pid)
	}
	return h, nil
}

// encode writes the configuration into the header b of data.
func (c *Config) encode(b []byte, l *Layout) {
	le.PutUint64(b[OffSlots:], uint64(c.Slots))
	le.PutUint64(b[OffCapacity:], uint64(c.Capacity))
	le.PutUint64(b[OffSlotHeaders:], uint64(l.SlotHeaders))
	le.PutUint64(b[OffSlotStride:], uint64(l.SlotStride))
	le.PutUint64(b[OffPayload:], uint64(l.Payload))
	le.PutUint64(b[OffPayloadStride:], uint64(l.PayloadStride))
	le.PutUint64(b[OffPayloadAlign:], uint64(c.align()))
	le.PutUint64(b[OffTable:], uint64(l.Table))
	le.PutUint64(b[OffHot:], uint64(l.Hot))
	le.PutUint32(b[OffSubscribers:], uint32(c.Subscribers))
	le.PutUint32(b[OffHeld:], uint32(c.Held))
	le.PutUint32(b[OffPolicy:], uint32(c.Policy))
	le.PutUint32(b[OffTypeLength:], uint32(len(c.TypeName)))
	le.PutUint64(b[OffPatience:], uint64(c.Patience))
	copy(b[OffTypeHash:], c.TypeHash[:])
	copy(b[OffTypeName:], c.TypeName)
}

// DecodeConfig checks the configuration in the first 512 bytes of data, b,
// whose header says that the file has size bytes. b must be a private copy.
func DecodeConfig(b []byte, size int64) (Config, Layout, error) {
	if len(b) < configEnd {
		return Config{}, Layout{}, corrupt("%d bytes are no configuration", len(b))
	}
	u64 := func(off int) uint64 { return le.Uint64(b[off:]) }
	u32 := func(off int) uint32 { return le.Uint32(b[off:]) }
	fail := func(format string, args ...any) (Config, Layout, error) {
		return Config{}, Layout{}, corrupt(format, args...)
	}
	n, capacity, align := u64(OffSlots), u64(OffCapacity), u64(OffPayloadAlign)
	m, k, typeLength := u32(OffSubscribers), u32(OffHeld), u32(OffTypeLength)
	policy, patience := Policy(u32(OffPolicy)), int64(u64(OffPatience))
	switch {
	case n < MinSlots || n > MaxSlots || n&(n-1) != 0:
		return fail("%d slots cannot be", n)
	case m < 1 || m > MaxSubscribers:
		return fail("a table of %d entries cannot be", m)
	case k < 1 || k > MaxHeld:
		return fail("%d samples held by a subscriber cannot be", k)
	case n <= uint64(m)*uint64(k)+1:
		return fail("%d slots for %d subscribers that hold %d samples each cannot be", n, m, k)
	case policy != Block && policy != DropOldest:
		return fail("%v cannot be", policy)
	case patience < -1:
		return fail("a patience of %d ns cannot be", patience)
	case align < 1 || align > MaxAlign || align&(align-1) != 0:
		return fail("payloads aligned to %d bytes cannot be", align)
	case capacity < 1 || capacity > uint64(size):
		return fail("payloads of %d bytes in a file of %d cannot be", capacity, size)
	case typeLength > MaxTypeName:
		return fail("the name of a type with %d bytes cannot be", typeLength)
	}
	name := b[OffTypeName : OffTypeName+typeLength]
	if !utf8.Valid(name) || bytes.IndexByte(name, 0) >= 0 {
		return fail("%q cannot be the name of a type", name)
	}
	slotStride, payloadStride := u64(OffSlotStride), u64(OffPayloadStride)
	switch {
	case slotStride < slotUsed || slotStride%8 != 0:
		return fail("slot headers every %d bytes cannot be", slotStride)
	case payloadStride < capacity || payloadStride%align != 0:
		return fail("payloads of %d bytes every %d, aligned to %d, cannot be", capacity, payloadStride, align)
	}
	sections := [...]section{
		{"hot lines", u64(OffHot), 1, HotSize, Line},
		{"table", u64(OffTable), uint64(m), EntrySize, Line},
		{"slot headers", u64(OffSlotHeaders), n, slotStride, 8},
		{"payloads", u64(OffPayload), n, payloadStride, align},
	}
	for i := range sections {
		if err := sections[i].check(uint64(size)); err != nil {
			return Config{}, Layout{}, err
		}
		for j := range sections[:i] {
			if sections[i].overlaps(&sections[j]) {
				return fail("the %s overlap the %s", sections[i].name, sections[j].name)
			}
		}
	}
	c := Config{
		Slots: int64(n), Capacity: int64(capacity), PayloadAlign: int64(align),
		Subscribers: int(m), Held: int(k), Policy: policy, Patience: time.Duration(patience),
		TypeName: string(name), TypeHash: [32]byte(b[OffTypeHash:]),
	}
	l := Layout{
		Hot: int64(sections[0].off), Table: int64(sections[1].off),
		SlotHeaders: int64(sections[2].off), SlotStride: int64(slotStride),
		Payload: int64(sections[3].off), PayloadStride: int64(payloadStride), Size: size,
	}
	return c, l, nil
}

// section is a part of data: count pieces of stride bytes from off on.
type section struct {
	name               string
	off, count, stride uint64
	align              uint64
}

func (s *section) end() uint64 { return s.off + s.count*s.stride }

// check refuses a section that is not wholly between the header and the end
// of the file; afterwards end does not overflow.
func (s *section) check(size uint64) error {
	hi, bytes := bits.Mul64(s.count, s.stride)
	if hi != 0 || s.off < HeaderSize || s.off > size || bytes > size-s.off {
		return corrupt("%s, %d of %d bytes from %d on, are not inside the file of %d", s.name, s.count, s.stride, s.off, size)
	}
	if s.off%s.align != 0 {
		return corrupt("%s from %d on are not aligned to %d bytes", s.name, s.off, s.align)
	}
	return nil
}

func (s *section) overlaps(t *section) bool { return s.off < t.end() && t.off < s.end() }
