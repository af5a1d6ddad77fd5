package topicdir

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

var update = flag.Bool("update", false, "write the golden files anew")

// smallConfig is valid and small.
func smallConfig() Config {
	return Config{
		Slots: 8, Capacity: 100, PayloadAlign: 64, Subscribers: 3, Held: 2,
		Policy: DropOldest, Patience: -1, TypeName: "example.Point", TypeHash: [32]byte{1, 2, 3},
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error; "" means none
		hint   string
	}{
		{"as it is", func(c *Config) {}, "", ""},
		{"default alignment", func(c *Config) { c.PayloadAlign = 0 }, "", ""},
		{"one byte", func(c *Config) { c.Capacity, c.PayloadAlign = 1, 1 }, "", ""},
		{"least slots", func(c *Config) { c.Slots, c.Subscribers, c.Held = 4, 2, 1 }, "", ""},
		{"no slots", func(c *Config) { c.Slots = 0 }, "2 to 16777216", ""},
		{"negative slots", func(c *Config) { c.Slots = -8 }, "2 to 16777216", ""},
		{"too many slots", func(c *Config) { c.Slots = 1 << 25 }, "2 to 16777216", ""},
		{"not a power", func(c *Config) { c.Slots = 12 }, "power of two", "use 8 or 16"},
		{"all slots held", func(c *Config) { c.Slots, c.Subscribers, c.Held = 8, 7, 1 }, "more than 8 are needed", "use 16 slots"},
		{"most of everything", func(c *Config) {
			c.Subscribers, c.Held, c.Slots = MaxSubscribers, MaxHeld, MaxSlots
		}, "", ""},
		{"no subscribers", func(c *Config) { c.Subscribers = 0 }, "1 to 4096", ""},
		{"too many subscribers", func(c *Config) { c.Subscribers = 4097 }, "1 to 4096", ""},
		{"nothing held", func(c *Config) { c.Held = 0 }, "1 to 64", ""},
		{"too much held", func(c *Config) { c.Held = 65 }, "1 to 64", ""},
		{"no payload", func(c *Config) { c.Capacity = 0 }, "at least 1", ""},
		{"negative payload", func(c *Config) { c.Capacity = -1 }, "at least 1", ""},
		{"odd alignment", func(c *Config) { c.PayloadAlign = 48 }, "power of two", ""},
		{"large alignment", func(c *Config) { c.PayloadAlign = 8192 }, "power of two", ""},
		{"no policy", func(c *Config) { c.Policy = 0 }, "block (1) or drop oldest (2)", ""},
		{"patience", func(c *Config) { c.Patience = -2 }, "patience", ""},
		{"long type", func(c *Config) { c.TypeName = strings.Repeat("x", 193) }, "193 bytes", ""},
		{"type not UTF-8", func(c *Config) { c.TypeName = "\xff" }, "UTF-8", ""},
		{"NUL in the type", func(c *Config) { c.TypeName = "a\x00" }, "NUL", ""},
		{"overflow", func(c *Config) { c.Capacity = math.MaxInt64 }, "8 slots x 9223372036854775807 bytes", "8 slots of at most"},
		{"overflow of the sum", func(c *Config) { c.Capacity = math.MaxInt64 / 8 }, "more than a file can have", "8 slots of at most"},
		{"overflow of many", func(c *Config) { c.Slots, c.Capacity = MaxSlots, 1<<40 }, "16777216 slots x 1099511627776 bytes", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := smallConfig()
			tt.change(&c)
			err := c.Validate()
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var e *sys.Error
			if !errors.Is(err, fs.ErrInvalid) || !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(e.Hint, tt.hint) {
				t.Errorf("error %v, want one with %q and hint %q", err, tt.want, tt.hint)
			}
		})
	}
}

// TestLargestCapacity takes the hint at its word.
func TestLargestCapacity(t *testing.T) {
	c := smallConfig()
	c.Slots, c.PayloadAlign = 16, 4096
	lo, hi := int64(1), int64(math.MaxInt64)
	for lo < hi {
		c.Capacity = lo + (hi-lo)/2 + 1
		if l, err := c.Layout(); err == nil {
			if l.Size <= 0 || l.Size < 16*c.Capacity {
				t.Fatalf("a capacity of %d gives size %d", c.Capacity, l.Size)
			}
			lo = c.Capacity
		} else {
			hi = c.Capacity - 1
		}
	}
	c.Capacity = math.MaxInt64
	var e *sys.Error
	if errors.As(c.Validate(), &e); e == nil || !strings.Contains(e.Hint, big.NewInt(lo).String()) {
		t.Errorf("at most %d bytes pass, and the hint is %v", lo, e)
	}
}

func genConfig(t *rapid.T) Config {
	c := Config{
		Subscribers:  rapid.IntRange(1, 64).Draw(t, "M"),
		Held:         rapid.IntRange(1, MaxHeld).Draw(t, "K"),
		Capacity:     rapid.Int64Range(1, 1<<32).Draw(t, "capacity"),
		PayloadAlign: 1 << rapid.IntRange(0, 12).Draw(t, "align"),
		Policy:       Policy(rapid.IntRange(1, 2).Draw(t, "policy")),
		Patience:     time.Duration(rapid.Int64Min(-1).Draw(t, "patience")),
		TypeName:     rapid.StringMatching(`[a-zµ./]{0,90}`).Draw(t, "type"),
	}
	c.Slots = LeastSlots(c.Subscribers, c.Held) << rapid.IntRange(0, 4).Draw(t, "more")
	copy(c.TypeHash[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
	return c
}

// image is the header of data as Create writes it.
func image(c *Config, l *Layout) []byte {
	b := make([]byte, HeaderSize)
	h := Header{Kind: KindData, Size: l.Size, Instance: ID{1}, Maker: Maker{PID: 7, Made: time.Unix(0, 0)}}
	h.encode(b)
	c.encode(b, l)
	le.PutUint32(b[OffReady:], Ready)
	return b
}

func TestEncodeDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := genConfig(t)
		l, err := c.Layout()
		if err != nil {
			t.Fatal(err)
		}
		b := image(&c, &l)
		h, err := DecodeHeader(b, KindData, l.Size)
		if err != nil {
			t.Fatal(err)
		}
		got, gotLayout, err := DecodeConfig(b, h.Size)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(l, gotLayout); d != "" {
			t.Error(d)
		}
		if d := got.differences(&c); len(d) > 0 {
			t.Errorf("it differs from itself: %q", d)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	c := smallConfig()
	l, err := c.Layout()
	if err != nil {
		t.Fatal(err)
	}
	u32 := func(off int, v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[off:], v) } }
	u64 := func(off int, v uint64) func([]byte) { return func(b []byte) { le.PutUint64(b[off:], v) } }
	for _, tt := range []struct {
		name   string
		change func([]byte)
		is     error
		want   string
	}{
		{"as it is", func([]byte) {}, nil, ""},
		{"magic", func(b []byte) { b[0] = 'S' }, sys.ErrCorrupt, `"Shmtopic"`},
		{"not ready", u32(OffReady, 0), sys.ErrCorrupt, "never completed"},
		{"version 0", u32(OffVersion, 0), sys.ErrCorrupt, "version 0"},
		{"least 0", u32(OffLeast, 0), sys.ErrCorrupt, "cannot be"},
		{"least above version", u32(OffLeast, 2), sys.ErrCorrupt, "cannot be"},
		{"newer, readable", u32(OffVersion, 9), nil, ""},
		{"newer", func(b []byte) { u32(OffVersion, 9)(b); u32(OffLeast, 8)(b) }, sys.ErrVersion, "version 9, readable from version 8 on, and this program knows version 1"},
		{"feature to be known", u64(OffFeatures, 1<<31), sys.ErrVersion, "0x80000000"},
		{"feature to be ignored", u64(OffFeatures, 1<<32), nil, ""},
		{"header size", u32(OffHeaderSize, 8192), sys.ErrCorrupt, "8192"},
		{"kind", u32(OffKind, KindBell), sys.ErrCorrupt, "kind 4"},
		{"larger than the file", u64(OffFileSize, uint64(l.Size)+1), sys.ErrCorrupt, "says that the file has"},
		{"negative size", u64(OffFileSize, 1<<63), sys.ErrCorrupt, "says that the file has"},
		{"size 0", u64(OffFileSize, 0), sys.ErrCorrupt, "says that the file has"},
		{"size of the header", u64(OffFileSize, HeaderSize), sys.ErrCorrupt, "not inside"},
		{"slots", u64(OffSlots, 7), sys.ErrCorrupt, "7 slots"},
		{"slots 0", u64(OffSlots, 0), sys.ErrCorrupt, "0 slots"},
		{"slots for the table", u32(OffSubscribers, 4), sys.ErrCorrupt, "8 slots for 4"},
		{"many slots", u64(OffSlots, 1<<20), sys.ErrCorrupt, "not inside"},
		{"capacity", u64(OffCapacity, 129), sys.ErrCorrupt, "129 bytes every 128"},
		{"capacity huge", u64(OffCapacity, 1<<63), sys.ErrCorrupt, "payloads of"},
		{"capacity 0", u64(OffCapacity, 0), sys.ErrCorrupt, "payloads of 0"},
		{"slot stride", u64(OffSlotStride, 40), sys.ErrCorrupt, "every 40"},
		{"slot stride odd", u64(OffSlotStride, 65), sys.ErrCorrupt, "every 65"},
		{"slot stride overflows", u64(OffSlotStride, 1<<61), sys.ErrCorrupt, "not inside"},
		{"payload stride overflows", u64(OffPayloadStride, 1<<61), sys.ErrCorrupt, "not inside"},
		{"payload stride unaligned", u64(OffPayloadStride, 136), sys.ErrCorrupt, "aligned to 64"},
		{"align", u64(OffPayloadAlign, 3), sys.ErrCorrupt, "aligned to 3"},
		{"align 0", u64(OffPayloadAlign, 0), sys.ErrCorrupt, "aligned to 0"},
		{"payload unaligned", u64(OffPayload, uint64(l.Payload)+8), sys.ErrCorrupt, "not"},
		{"hot in the header", u64(OffHot, 0), sys.ErrCorrupt, "hot lines"},
		{"hot past the end", u64(OffHot, math.MaxUint64-127), sys.ErrCorrupt, "hot lines"},
		{"table on hot lines", u64(OffTable, uint64(l.Hot)+HotSize-128), sys.ErrCorrupt, "the table overlap the hot lines"},
		{"slots on the table", u64(OffSlotHeaders, uint64(l.Table)), sys.ErrCorrupt, "overlap the table"},
		{"payloads on slots", u64(OffPayload, uint64(l.SlotHeaders)&^63), sys.ErrCorrupt, "overlap the"},
		{"table size", u32(OffSubscribers, 5000), sys.ErrCorrupt, "5000 entries"},
		{"held", u32(OffHeld, 0), sys.ErrCorrupt, "0 samples"},
		{"policy", u32(OffPolicy, 3), sys.ErrCorrupt, "policy 3"},
		{"patience", u64(OffPatience, 1<<63), sys.ErrCorrupt, "patience"},
		{"type length", u32(OffTypeLength, 193), sys.ErrCorrupt, "193 bytes"},
		{"type", func(b []byte) { b[OffTypeName] = 0xff }, sys.ErrCorrupt, "name of a type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := image(&c, &l)
			tt.change(b)
			h, err := DecodeHeader(b, KindData, l.Size)
			if err == nil {
				_, _, err = DecodeConfig(b, h.Size)
			}
			if tt.is == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %v with %q", err, tt.is, tt.want)
			}
		})
	}
}

// FuzzDecode feeds hostile headers of a hostile size. What passes must lie
// inside the file, checked here with numbers that cannot overflow.
func FuzzDecode(f *testing.F) {
	c := smallConfig()
	l, err := c.Layout()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(image(&c, &l)[:configEnd], l.Size)
	f.Add(image(&c, &l)[:configEnd], int64(math.MaxInt64))
	f.Add([]byte(Magic), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		for kind := uint32(KindData); kind <= KindBell; kind++ {
			h, err := DecodeHeader(b, kind, size)
			if err != nil {
				continue
			}
			if h.Size < HeaderSize || h.Size > size || h.Kind != kind {
				t.Fatalf("accepted %+v in a file of %d", h, size)
			}
			h.Maker.Gone()
			if kind != KindData {
				continue
			}
			c, l, err := DecodeConfig(b, h.Size)
			if err != nil {
				continue
			}
			checkLayout(t, &c, &l, h.Size)
		}
	})
}

func checkLayout(t *testing.T, c *Config, l *Layout, size int64) {
	t.Helper()
	type part struct{ from, to *big.Int }
	var parts []part
	add := func(off, count, stride int64) {
		from := big.NewInt(off)
		to := new(big.Int).Mul(big.NewInt(count), big.NewInt(stride))
		parts = append(parts, part{from, to.Add(to, from)})
	}
	add(0, 1, HeaderSize)
	add(l.Hot, 1, HotSize)
	add(l.Table, int64(c.Subscribers), EntrySize)
	add(l.SlotHeaders, c.Slots, l.SlotStride)
	add(l.Payload, c.Slots, l.PayloadStride)
	for i, p := range parts {
		if p.from.Sign() < 0 || p.to.Cmp(big.NewInt(size)) > 0 {
			t.Fatalf("section %d, %v to %v, is not inside %d: %+v %+v", i, p.from, p.to, size, c, l)
		}
		for _, q := range parts[:i] {
			if p.from.Cmp(q.to) < 0 && q.from.Cmp(p.to) < 0 {
				t.Fatalf("sections overlap: %+v %+v", c, l)
			}
		}
	}
	if c.Capacity < 1 || c.Capacity > l.PayloadStride || l.Payload%c.PayloadAlign != 0 || l.PayloadStride%c.PayloadAlign != 0 {
		t.Fatalf("payloads: %+v %+v", c, l)
	}
	if l.Hot%Line != 0 || l.Table%Line != 0 || l.SlotHeaders%8 != 0 || l.SlotStride%8 != 0 || l.SlotStride < slotUsed {
		t.Fatalf("words are not aligned: %+v %+v", c, l)
	}
}

// TestCopyHeaderFault: a file that was cut short meanwhile is an error.
func TestCopyHeaderShort(t *testing.T) {
	if _, err := copyHeader(mem.Heap(HeaderSize - 8)); !errors.Is(err, sys.ErrCorrupt) {
		t.Errorf("error %v", err)
	}
}

// TestGolden pins the bytes of every kind of file.
func TestGolden(t *testing.T) {
	id := func(first byte) (id ID) {
		for i := range id {
			id[i] = first + byte(i)
		}
		return id
	}
	maker := Maker{
		PID: 4711, Start: 123456, PIDNamespace: 4026531836, Boot: id(0xb0),
		Made: time.Unix(1700000000, 123456789), UID: 1000,
	}
	c := Config{
		Slots: 8, Capacity: 48, PayloadAlign: 64, Subscribers: 3, Held: 2, Policy: Block, Patience: 250 * time.Millisecond,
		TypeName: "example.Point", TypeHash: [32]byte{0xde, 0xad, 0xbe, 0xef},
	}
	l, err := c.Layout()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		name   string
		header Header
		size   int64
		more   func([]byte)
	}{
		{"data", Header{Kind: KindData, Instance: id(0x10)}, l.Size, func(b []byte) {
			c.encode(b, &l)
			firstEpoch(b[l.Hot:], id(0x20))
		}},
		{"publisher", Header{Kind: KindPublisher, Instance: id(0x20), Topic: id(0x10)}, PublisherSize, nil},
		{"subscriber", Header{Kind: KindSubscriber, Instance: id(0x30), Topic: id(0x10)}, int64(MemberSize(c.Held)), func(b []byte) {
			le.PutUint64(b[MemberAsk:], 1)
		}},
		{"bell", Header{Kind: KindBell, Instance: id(0x10), Topic: id(0x10)}, BellSize, nil},
	} {
		t.Run(f.name, func(t *testing.T) {
			f.header.Size, f.header.Maker = f.size, maker
			b := make([]byte, f.size)
			f.header.encode(b)
			if f.more != nil {
				f.more(b)
			}
			le.PutUint32(b[OffReady:], Ready)
			path := filepath.Join("..", "..", "spec", "testdata", "topic-v1-"+f.name+".bin")
			if *update {
				if err := os.WriteFile(path, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, want) {
				t.Errorf("the bytes have changed:\n%s", cmp.Diff(hex.Dump(want), hex.Dump(b)))
			}
			h, err := DecodeHeader(want, f.header.Kind, int64(len(want)))
			if err != nil {
				t.Fatal(err)
			}
			f.header.Version, f.header.Least = Version, Version
			if d := cmp.Diff(f.header, *h); d != "" {
				t.Error(d)
			}
			if f.header.Kind != KindData {
				return
			}
			got, gotLayout, err := DecodeConfig(want, h.Size)
			if d := cmp.Diff(c, got); err != nil || d != "" {
				t.Error(err, d)
			}
			if d := cmp.Diff(l, gotLayout); d != "" {
				t.Error(d)
			}
		})
	}
}
