package topic

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-298b2b26/shm/internal/topicdir"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden compares the memory of a small topic, as it is after a few
// steps, with a file that other implementations are held to as well. What
// differs each time, times and identities, is replaced.
func TestGolden(t *testing.T) {
	h := newHeapTopic(t, Options{Policy: DropOldest, Slots: 4, Subscribers: 1, Held: 2, Size: 16})
	s := h.subscribe(t, Next)
	if err := h.p.Poll(); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"zero", "one", "two", "three"} {
		l, err := h.p.TryLoan(len(text))
		if err != nil {
			t.Fatal(err)
		}
		copy(l.Bytes(), text)
		l.User, l.Flags = uint64(100+i), uint32(i)
		if err := l.Publish(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // 0 is let go of, 1 is held
		m, err := s.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if m.Seq == 0 {
			m.Release()
		}
	}
	// 4 goes into the slot of 0, 5 is a hole, for 1 is held, and 6 demotes.
	for range 2 {
		if err := h.p.Send(t.Context(), []byte("more")); err != nil {
			t.Fatal(err)
		}
	}
	// A take-over: epoch 2 from 7 on. 7 is stamped and not shown.
	h.kill(t)
	l, err := h.p.TryLoan(6)
	if err != nil {
		t.Fatal(err)
	}
	copy(l.Bytes(), "hidden")
	if err := l.Queue(); err != nil {
		t.Fatal(err)
	}

	le := binary.LittleEndian
	data := bytes.Clone(h.data.Bytes()[h.layout.Hot:])
	le.PutUint64(data[topicdir.HotAlive:], 0)
	le.PutUint32(data[topicdir.HotFenceFree:], 0)
	copy(data[topicdir.HotPublisher:], "the publisher ID")
	copy(data[h.layout.Table-h.layout.Hot:], "a subscriber's I")
	for i := range int64(4) {
		le.PutUint64(data[h.layout.Slot(i)-h.layout.Hot+topicdir.SlotTime:], 0)
	}
	le.PutUint64(data[topicdir.HotCounters+8*topicdir.CountWakes:], 0)
	le.PutUint32(data[topicdir.HotWake:], 0)
	member := bytes.Clone(s.member.Region.Bytes()[topicdir.HeaderSize:])
	for name, got := range map[string][]byte{"topic-v1-ring.bin": data, "topic-v1-holding.bin": member} {
		path := filepath.Join("..", "spec", "testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(want) != len(got) {
			t.Fatalf("%s has %d bytes, want %d", name, len(got), len(want))
		}
		for at := 0; at < len(got); at += 8 {
			if !bytes.Equal(got[at:at+8], want[at:at+8]) {
				t.Errorf("%s: at %d stands %#x, want %#x", name, at, le.Uint64(got[at:]), le.Uint64(want[at:]))
			}
		}
	}
}
