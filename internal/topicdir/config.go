package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Policy is what a publisher does when it comes round to a sample that a
// subscriber has not taken.
type Policy uint32

// The policies.
const (
	Block      Policy = 1 // it waits
	DropOldest Policy = 2 // it overwrites
)

func (p Policy) String() string {
	switch p {
	case Block:
		return "block"
	case DropOldest:
		return "drop oldest"
	}
	return fmt.Sprintf("policy %d", uint32(p))
}

// Bounds of a Config.
const (
	MinSlots       = 2
	MaxSlots       = 1 << 24
	MaxSubscribers = 4096
	MaxHeld        = 64
	MaxTypeName    = 192
	MaxAlign       = 4096
)

// Config is what a topic is made with and keeps for life. It has no defaults:
// every field means what it says, but PayloadAlign, of which 0 is 64.
type Config struct {
	Slots        int64         // N, a power of two
	Capacity     int64         // bytes of a payload at most
	PayloadAlign int64         // alignment of payloads in bytes, a power of two up to MaxAlign
	Subscribers  int           // M: who can be protected at once
	Held         int           // K: samples that one subscriber may hold
	Policy       Policy        //
	Patience     time.Duration // how long Block waits for one live subscriber; -1 for ever
	TypeName     string        // at most MaxTypeName bytes of UTF-8; empty for plain bytes
	TypeHash     [32]byte      // zero for plain bytes
}

// Layout is where the sections of data are.
type Layout struct {
	Hot           int64
	Table         int64
	SlotHeaders   int64
	SlotStride    int64
	Payload       int64
	PayloadStride int64
	Size          int64 // of the whole file
}

// Entry is the offset of entry i of the table.
func (l *Layout) Entry(i int) int64 { return l.Table + int64(i)*EntrySize }

// Slot is the offset of the header of slot s.
func (l *Layout) Slot(s int64) int64 { return l.SlotHeaders + s*l.SlotStride }

// PayloadOf is the offset of the payload of slot s.
func (l *Layout) PayloadOf(s int64) int64 { return l.Payload + s*l.PayloadStride }

func (c *Config) align() int64 {
	if c.PayloadAlign == 0 {
		return 64
	}
	return c.PayloadAlign
}

// LeastSlots is the smallest power of two that M subscribers with K samples
// each leave a publisher to work with: more than M*K+1.
func LeastSlots(subscribers, held int) int64 {
	n := int64(MinSlots)
	for n <= int64(subscribers)*int64(held)+1 {
		n *= 2
	}
	return n
}

// Validate refuses a configuration that no topic can have, and says what
// would do. Whether there is room for it, Create finds out.
func (c *Config) Validate() error {
	_, err := c.Layout()
	return err
}

// Layout validates the configuration and computes where everything is.
func (c *Config) Layout() (Layout, error) {
	l, err := c.layout()
	if err != nil {
		e := &sys.Error{Op: "configure", Kind: "topic", Err: err}
		var h *hintError
		if errors.As(err, &h) {
			e.Hint = h.hint
		}
		return l, e
	}
	return l, nil
}

func (c *Config) layout() (Layout, error) {
	bad := func(hint, format string, args ...any) (Layout, error) {
		return Layout{}, hinted(hint, "%s: %w", fmt.Sprintf(format, args...), fs.ErrInvalid)
	}
	align := c.align()
	switch {
	case c.Subscribers < 1 || c.Subscribers > MaxSubscribers:
		return bad("", "%d subscribers: 1 to %d are possible", c.Subscribers, MaxSubscribers)
	case c.Held < 1 || c.Held > MaxHeld:
		return bad("", "%d samples held by a subscriber: 1 to %d are possible", c.Held, MaxHeld)
	case c.Slots < MinSlots || c.Slots > MaxSlots:
		return bad("", "%d slots: %d to %d are possible", c.Slots, MinSlots, MaxSlots)
	case c.Slots&(c.Slots-1) != 0:
		return bad(fmt.Sprintf("use %d or %d", int64(1)<<(bits.Len64(uint64(c.Slots))-1), int64(1)<<bits.Len64(uint64(c.Slots))),
			"%d slots: the number must be a power of two", c.Slots)
	case c.Slots <= int64(c.Subscribers)*int64(c.Held)+1:
		return bad(fmt.Sprintf("use %d slots", LeastSlots(c.Subscribers, c.Held)),
			"%d slots are too few for %d subscribers that hold %d samples each: more than %d are needed",
			c.Slots, c.Subscribers, c.Held, c.Subscribers*c.Held+1)
	case c.Capacity < 1:
		return bad("", "a payload of %d bytes: at least 1 is needed", c.Capacity)
	case align < 1 || align > MaxAlign || align&(align-1) != 0:
		return bad("", "payloads aligned to %d bytes: a power of two up to %d is needed", align, MaxAlign)
	case c.Policy != Block && c.Policy != DropOldest:
		return bad("", "%v: it is block (1) or drop oldest (2)", c.Policy)
	case c.Patience < -1:
		return bad("", "a patience of %v: it is -1ns (for ever) or not negative", c.Patience)
	case len(c.TypeName) > MaxTypeName:
		return bad("", "the type's name has %d bytes, %d are allowed", len(c.TypeName), MaxTypeName)
	case !utf8.ValidString(c.TypeName) || strings.Contains(c.TypeName, "\x00"):
		return bad("", "the type's name %q is not UTF-8 without NUL bytes", c.TypeName)
	}

	var l Layout
	l.Hot = HeaderSize
	l.Table = l.Hot + HotSize
	l.SlotHeaders = l.Table + int64(c.Subscribers)*EntrySize
	l.SlotStride = SlotSize
	// Whole pages, so that payloads are aligned in memory as in the file.
	l.Payload = roundUp(l.SlotHeaders+c.Slots*l.SlotStride, HeaderSize)
	most := (math.MaxInt64 - 2*HeaderSize - l.Payload) / c.Slots
	if c.Capacity > most-align {
		return bad(fmt.Sprintf("%d slots of at most %d bytes can be addressed", c.Slots, most-align),
			"%d slots x %d bytes are more than a file can have", c.Slots, c.Capacity)
	}
	l.PayloadStride = roundUp(c.Capacity, align)
	l.Size = roundUp(l.Payload+c.Slots*l.PayloadStride, HeaderSize)
	if uint64(l.Size) > maxInt {
		return bad("", "%d slots x %d bytes are more than this machine can address", c.Slots, c.Capacity)
	}
	return l, nil
}

const maxInt = math.MaxInt

func roundUp(n, to int64) int64 { return (n + to - 1) &^ (to - 1) }

// differences says in what a configuration is not another; empty when they
// agree. They come in pairs: what the topic has, what was asked for.
func (c *Config) differences(want *Config) []string {
	var d []string
	note := func(what string, has, asked any) {
		if has != asked {
			d = append(d, fmt.Sprintf("%s: %v, asked for %v", what, has, asked))
		}
	}
	note("type", fmt.Sprintf("%q", c.TypeName), fmt.Sprintf("%q", want.TypeName))
	if c.TypeHash != want.TypeHash {
		d = append(d, fmt.Sprintf("type hash: %x, asked for %x", c.TypeHash[:8], want.TypeHash[:8]))
	}
	note("slots", c.Slots, want.Slots)
	note("bytes of a payload", c.Capacity, want.Capacity)
	note("alignment", c.align(), want.align())
	note("subscribers", c.Subscribers, want.Subscribers)
	note("held", c.Held, want.Held)
	note("policy", c.Policy, want.Policy)
	note("patience", c.Patience, want.Patience)
	return d
}

func typeError(d []string) error {
	return hinted("ask for what the topic has, or remove it first", "the topic is of another kind (%s): %w", strings.Join(d, "; "), sys.ErrType)
}
