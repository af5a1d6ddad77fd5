package topicdir

// The offsets and sizes of layout version 1, as spec/topic.md has them. Sizes
// and offsets are in bytes.

// Magic starts every file of a topic but lock.
const Magic = "shmtopic"

// Version is the layout that this package writes, and the newest that it
// reads.
const Version = 1

// Line is the distance between words of different purpose.
const Line = 128

// HeaderSize is the size of the header of every file.
const HeaderSize = 4096

// Kinds of files.
const (
	KindData       = 1
	KindSubscriber = 2
	KindPublisher  = 3
	KindBell       = 4
)

// Ready is the ready word of a complete file: "REDY".
const Ready = 0x59444552

// The common header.
const (
	OffMagic        = 0
	OffVersion      = 8
	OffLeast        = 12
	OffFeatures     = 16
	OffHeaderSize   = 24
	OffKind         = 28
	OffFileSize     = 32
	OffInstance     = 40
	OffPID          = 56
	OffStart        = 64
	OffPIDNamespace = 72
	OffBoot         = 80
	OffMade         = 96
	OffUID          = 104
	OffTopic        = 112
	OffReady        = 128
)

// The configuration in the header of data.
const (
	OffSlots         = 192
	OffCapacity      = 200
	OffSlotHeaders   = 208
	OffSlotStride    = 216
	OffPayload       = 224
	OffPayloadStride = 232
	OffPayloadAlign  = 240
	OffTable         = 248
	OffHot           = 256
	OffSubscribers   = 264
	OffHeld          = 268
	OffPolicy        = 272
	OffTypeLength    = 276
	OffPatience      = 280
	OffTypeHash      = 288
	OffTypeName      = 320
	configEnd        = OffTypeName + MaxTypeName
)

// The hot lines, from Layout.Hot on.
const (
	HotHead      = 0
	HotEpoch     = 128
	HotSince     = 136
	HotEnd       = 144
	HotPublisher = 152
	HotWake      = 256
	HotFenceFree = 260
	HotWant      = 384
	HotCounters  = 512
	HotAlive     = 640
	HotSize      = 768
)

// sinceEpochBits is how many bits of the word at HotSince, from the top, are
// the epoch's; its two lowest are none's.
const sinceEpochBits = 12

// Counters are the indices of the words at HotCounters.
const (
	CountPublished = iota
	CountBytes
	CountHoles
	CountDemoted
	CountEvicted
	CountWakes
	CountWaits
	CountHousekeepings
	Counters // how many there are
)

// An entry of the table, from Layout.Entry on.
const (
	EntryID    = 0
	EntryState = 16
	EntryFrom  = 24
	EntrySize  = 128
)

// A slot's header, from Layout.Slot on.
const (
	SlotStamp  = 0
	SlotSeq    = 8
	SlotLength = 16
	SlotFlags  = 24
	SlotTime   = 32
	SlotWord   = 40
	slotUsed   = 48 // what a stride must hold at least
	SlotSize   = 64 // the stride that this package chooses
)

// A subscriber's file. The counters follow the pins: MemberCounters.
const (
	MemberCursor    = 4096
	MemberAsk       = 4224
	MemberFenceFree = 4232
	MemberPins      = 4352
)

// Indices of the words at MemberCounters.
const (
	MemberTaken = iota
	MemberLost
	MemberCopied
	MemberSleeps
	memberCounts
)

// MemberCounters is the offset of the counters in the file of a subscriber
// that may hold k samples.
func MemberCounters(k int) int { return (MemberPins + 8*k + Line - 1) &^ (Line - 1) }

// MemberSize is the size of such a file.
func MemberSize(k int) int {
	return (MemberCounters(k) + 8*memberCounts + HeaderSize - 1) &^ (HeaderSize - 1)
}

// PublisherSize is the size of p.ID.
const PublisherSize = HeaderSize

// The bell.
const (
	BellSleepers = 4096
	BellNews     = 4224
	BellSize     = 2 * HeaderSize
)
