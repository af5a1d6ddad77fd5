// Package record is the file format of recorded topics, as spec/record.md has
// it: a header that says how the topic was made, then its samples, each with
// checksums of its own, so that whatever is whole can be read back.
//
//	w, err := record.NewWriter(file, &record.Header{Topic: "frames", ...})
//	err = w.Write(&record.Sample{Number: n, Time: t, Data: data})
//	err = w.End(record.Ended, 0)
//
//	r, err := record.NewReader(file)
//	for {
//		s, err := r.Next() // io.EOF, ErrCut, or sys.ErrCorrupt
//	}
//
// # Guarantees
//
//   - A sample that Next gives is what Write was given, byte for byte.
//   - A recording that was cut off anywhere gives all samples before the cut,
//     and then ErrCut.
//   - No input makes the reader take more memory than twice the input's size
//     and a little.
//
// # Limits
//
// The checksums find accidents, not forgery. Nothing is synced to the disk:
// what the process wrote survives its death, not that of the machine.
package record

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// Magic starts every recording.
const Magic = "shmrecrd"

// Version is the format that this package writes, and the newest that it
// reads.
const Version = 1

// ErrCut is the end of a recording that has no end: its recorder was killed,
// or the file was cut short.
var ErrCut = errors.New("the recording is cut off")

// Header says of which topic the samples are, and how that was made. A replay
// needs it to make one like it.
type Header struct {
	Topic       string // at most MaxText bytes
	Began       time.Time
	Slots       uint64
	Capacity    uint64 // of a slot, in bytes
	Align       uint64 // of payloads, in bytes
	Patience    time.Duration
	Policy      uint32 // 1 block, 2 drop oldest
	Subscribers uint32 // at most
	Held        uint32 // samples that a subscriber may hold
	Type        string // name of the payloads' type, at most MaxText bytes
	TypeHash    [32]byte
}

// MaxText bounds the names in a Header.
const MaxText = 1024

// Sample is a sample as it was recorded.
type Sample struct {
	Number uint64
	Seq    uint64
	Time   time.Time // of publishing
	User   uint64
	Flags  uint32
	Data   []byte
}

// Reason is why a recording ended.
type Reason uint32

// The reasons.
const (
	Stopped Reason = 0 // the recorder was told to
	Ended   Reason = 1 // the topic had ended
)

// Offsets in the file's header, and sizes; the format's specification
// explains them.
const (
	offVersion     = 8
	offLeast       = 12
	offFeatures    = 16
	offSize        = 24
	offSum         = 28
	offBegan       = 32
	offSlots       = 40
	offCapacity    = 48
	offAlign       = 56
	offPatience    = 64
	offPolicy      = 72
	offSubscribers = 76
	offHeld        = 80
	offTopicLength = 84
	offTypeLength  = 88
	offTypeHash    = 96
	fixedSize      = 128

	maxHeader = 4096
)

// Offsets in a record's header.
const (
	recKind    = 0
	recFlags   = 4
	recLength  = 8
	recNumber  = 16
	recSeq     = 24
	recTime    = 32
	recUser    = 40
	recDataSum = 48
	recSum     = 60
	recSize    = 64
)

// Kinds of records.
const (
	kindSample = 1
	kindEnd    = 2
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// padded is n up to the next multiple of 8.
func padded(n uint64) uint64 { return (n + 7) &^ 7 }
