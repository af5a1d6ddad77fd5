package topic

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// script reads steps from fuzzed bytes.
type script []byte

func (s *script) byte() (b byte) {
	if len(*s) > 0 {
		b, *s = (*s)[0], (*s)[1:]
	}
	return b
}

// value is a number of the kinds that hurt: small, near another, or any.
func (s *script) value(near uint64) uint64 {
	switch b := s.byte(); b % 4 {
	case 0:
		return uint64(b / 4)
	case 1:
		return near + uint64(s.byte()) - 128
	case 2:
		return 1<<63 + uint64(int8(s.byte()))
	default:
		var w [8]byte
		*s = (*s)[copy(w[:], *s):]
		return binary.LittleEndian.Uint64(w[:])
	}
}

// FuzzHostilePublisher lets subscriber and observer read what no publisher
// writes: they give errors, samples within the slots, or nothing.
func FuzzHostilePublisher(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x02\x03 take some of this and look at that"))
	seed := make([]byte, 600)
	for i := range seed {
		seed[i] = byte(i*i + i>>3)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		h := newHeapTopic(t, Options{Policy: Policy(1 + len(b)%2), Slots: 8, Subscribers: 2, Size: 32})
		subs := []*Subscriber{h.subscribe(t, Next), h.observe(t, Oldest)}
		if err := h.p.Poll(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if err := h.p.Send(t.Context(), []byte("sample")); err != nil {
				t.Fatal(err)
			}
		}
		hot := h.data.Bytes()[h.layout.Hot:]
		places := []int{
			topicdir.HotHead, topicdir.HotEpoch, topicdir.HotSince, topicdir.HotEnd, topicdir.HotWant, topicdir.HotWake,
			int(h.layout.Table-h.layout.Hot) + topicdir.EntryState, int(h.layout.Table-h.layout.Hot) + topicdir.EntryFrom,
		}
		for s := script(b); len(s) > 0; {
			at := int(s.byte())
			switch {
			case at < 64:
				at = places[at%len(places)]
			case at < 160:
				at = int(h.layout.Slot(int64(at%8))-h.layout.Hot) + 8*(at/8%6)
			case at < 190:
				at = int(h.layout.Table-h.layout.Hot) + 8*(at%32)
			default:
				for _, sub := range subs {
					steal(t, sub, at)
				}
				continue
			}
			binary.LittleEndian.PutUint64(hot[at:], s.value(binary.LittleEndian.Uint64(hot[at:])))
		}
		for _, sub := range subs {
			for i := range 20 {
				steal(t, sub, i)
			}
		}
	})
}

// steal takes what a subscriber can get.
func steal(t *testing.T, s *Subscriber, how int) {
	check := func(m Sample, err error) {
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrHeld) && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return
		}
		if len(m.Data) > 32 {
			t.Fatalf("a sample of %d bytes", len(m.Data))
		}
		for _, b := range m.Data {
			_ = b
		}
		m.Release()
		m.Release()
	}
	switch how % 5 {
	case 0:
		check(s.Latest())
	case 1:
		s.Stats()
		s.Admitted()
	case 2:
		var batch [3]Sample
		s.mu.Lock()
		ready := s.at < s.head
		s.mu.Unlock()
		if ready {
			check(s.TryNext())
		}
		for i := range batch {
			check(batch[i], nil)
		}
	default:
		check(s.TryNext())
	}
}

// FuzzHostileSubscriber lets a subscriber write whatever it can into its own
// file and the bell. The publisher never stops under drop oldest, and another
// subscriber gets what it should and keeps what it holds.
func FuzzHostileSubscriber(f *testing.F) {
	f.Add([]byte{})
	seed := make([]byte, 600)
	for i := range seed {
		seed[i] = byte(i*7 + i*i>>4)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		const held = 3
		h := newHeapTopic(t, Options{Policy: DropOldest, Slots: 16, Subscribers: 3, Held: held, Size: 32})
		good, bad := h.subscribe(t, Next), h.subscribe(t, Next)
		if err := h.p.Poll(); err != nil {
			t.Fatal(err)
		}
		var hold []Sample
		next, seq := uint64(0), uint64(0)
		region := bad.member.Region.Bytes()
		places := []int{topicdir.MemberCursor, topicdir.MemberAsk, topicdir.MemberPins, topicdir.MemberPins + 8, topicdir.MemberPins + 16}
		for s := script(b); len(s) > 0; {
			switch b := s.byte(); {
			case b < 130:
				at := places[int(b)%len(places)]
				binary.LittleEndian.PutUint64(region[at:], s.value(h.p.next))
			case b < 140:
				binary.LittleEndian.PutUint32(h.bell.Bytes()[topicdir.BellNews:], uint32(s.byte()))
				binary.LittleEndian.PutUint32(h.bell.Bytes()[topicdir.BellSleepers:], uint32(s.byte()))
			case b < 160:
				if err := h.p.Poll(); err != nil {
					t.Fatal(err)
				}
			case b < 230:
				before := h.p.next
				l, err := h.p.TryLoan(32)
				if err != nil {
					t.Fatal(err)
				}
				if holes := h.p.next - before; holes > 16+3*held {
					t.Fatalf("%d holes for one sample", holes)
				}
				copy(l.Bytes(), text(seq))
				if err := l.Publish(); err != nil {
					t.Fatal(err)
				}
				seq++
			default:
				m, err := good.TryNext()
				if errors.Is(err, ErrEmpty) || errors.Is(err, ErrHeld) {
					for i := range hold {
						hold[i].Release()
					}
					hold = nil
					continue
				}
				if err != nil || m.Seq != next+m.Missed {
					t.Fatalf("%+v, %v after %d", m, err, next)
				}
				next = m.Seq + 1
				hold = append(hold, m)
			}
			for _, m := range hold {
				if want := text(m.Seq); string(m.Data[:len(want)]) != want {
					t.Fatalf("sample %d turned into %q", m.Seq, m.Data)
				}
			}
		}
	})
}
