//go:build linux

package clients

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

var le = binary.LittleEndian

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "spec", "testdata", "topic-v1-"+name+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ringConfig is how the topic of spec/testdata/topic-v1-ring.bin is made.
func ringConfig() topicdir.Config {
	return topicdir.Config{
		Slots: 4, Capacity: 16, PayloadAlign: 64, Subscribers: 1, Held: 2,
		Policy: topicdir.DropOldest, Patience: topic.DefaultPatience,
	}
}

// goldenRing is the whole file data of that topic: the header of
// topic-v1-data.bin, made to say how this one is, and the ring behind it.
func goldenRing(t testing.TB) []byte {
	t.Helper()
	c := ringConfig()
	l, err := c.Layout()
	if err != nil {
		t.Fatal(err)
	}
	b := append(golden(t, "data")[:topicdir.HeaderSize:topicdir.HeaderSize], golden(t, "ring")...)
	if int64(len(b)) != l.Size {
		t.Fatalf("%d bytes, the layout has %d", len(b), l.Size)
	}
	for off, v := range map[int]int64{
		topicdir.OffFileSize: l.Size, topicdir.OffSlots: c.Slots, topicdir.OffCapacity: c.Capacity,
		topicdir.OffSlotHeaders: l.SlotHeaders, topicdir.OffSlotStride: l.SlotStride,
		topicdir.OffPayload: l.Payload, topicdir.OffPayloadStride: l.PayloadStride,
		topicdir.OffPayloadAlign: c.PayloadAlign, topicdir.OffTable: l.Table, topicdir.OffHot: l.Hot,
		topicdir.OffPatience: int64(c.Patience),
	} {
		le.PutUint64(b[off:], uint64(v))
	}
	le.PutUint32(b[topicdir.OffSubscribers:], uint32(c.Subscribers))
	le.PutUint32(b[topicdir.OffHeld:], uint32(c.Held))
	le.PutUint32(b[topicdir.OffPolicy:], uint32(c.Policy))
	le.PutUint32(b[topicdir.OffTypeLength:], 0)
	clear(b[topicdir.OffTypeHash : topicdir.OffTypeName+topicdir.MaxTypeName])
	return b
}

// plant makes a topic out of the bytes of its data, the other files as the
// golden ones are: its publisher is dead.
func plant(t testing.TB, data []byte) (name string) {
	t.Helper()
	name = shmtest.Name(t)
	dir := dirOf(name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	put(t, name, "lock", nil, 0o600)
	put(t, name, "data", data, 0o600)
	put(t, name, "bell", golden(t, "bell"), 0o600)
	return name
}

// put makes a file of a topic.
func put(t testing.TB, name, file string, b []byte, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dirOf(name), file)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// withMember adds the file of the subscriber that the golden ring has an
// entry of, as it was.
func withMember(t testing.TB, name string) {
	t.Helper()
	id := topicdir.ID([]byte("a subscriber's I"))
	b := golden(t, "subscriber")
	copy(b[topicdir.OffInstance:], id[:])
	copy(b[topicdir.HeaderSize:], golden(t, "holding"))
	put(t, name, "r."+id.String(), b, 0o400)
}

// each runs a test for every language that observes.
func each(t *testing.T, f func(t *testing.T, language string)) {
	for _, language := range []string{"go", "c", "arm64", "python"} {
		t.Run(language, func(t *testing.T) { f(t, language) })
	}
}

func init() {
	shmtest.Handle("look", func(c *shmtest.Child) { look(c) })
	shmtest.Handle("adopt", func(c *shmtest.Child) {
		p, err := topic.Create(c.Args[0], &topic.Options{Slots: 4, Size: 16, Subscribers: 1, Held: 2})
		fail(c, err)
		c.Send("published %d", p.Stats().Published)
		c.Check(p.Send(context.Background(), []byte("adopted")))
		look(c)
		c.Check(p.Close())
	})
}

// fail ends a child with the name that the C header gives the error.
func fail(c *shmtest.Child, err error) {
	for name, is := range map[string]error{
		"SHM_TOPIC_EVERSION": topic.ErrVersion, "SHM_TOPIC_ECORRUPT": topic.ErrCorrupt,
		"SHM_TOPIC_EBUSY": topic.ErrBusy, "SHM_TOPIC_ETYPE": topic.ErrType,
	} {
		if errors.Is(err, is) {
			c.Send(name)
		}
	}
	c.Check(err)
}

// look says how a topic is made, and the newest sample.
func look(c *shmtest.Child) {
	s, err := topic.Observe(context.Background(), c.Args[0], nil)
	fail(c, err)
	o := s.Options()
	c.Send("%d slots of %d bytes, aligned to %d, %d subscribers hold %d, policy %d, patience %d, type %q, features 0",
		o.Slots, o.Size, o.Align, o.Subscribers, o.Held, o.Policy, int64(o.Patience), o.Type)
	m, err := s.Latest()
	if errors.Is(err, topic.ErrEmpty) {
		c.Send("SHM_TOPIC_EEMPTY")
	} else {
		c.Check(err)
		c.Send("sample %d, number %d: %q, word %d, flags %d", m.Seq, m.Number, m.Data, m.User, m.Flags)
	}
	c.Check(s.Close())
}

// TestGolden: every language reads the golden files alike.
func TestGolden(t *testing.T) {
	each(t, func(t *testing.T, language string) {
		shmtest.CheckLeaks(t)
		p := begin(t, language, "look", plant(t, golden(t, "data")))
		p.Expect(`8 slots of 48 bytes, aligned to 64, 3 subscribers hold 2, policy 1, patience 250000000, type "example.Point", features 0`)
		p.Expect("SHM_TOPIC_EEMPTY")
		p.Wait()

		p = begin(t, language, "look", plant(t, goldenRing(t)))
		p.Expect(`4 slots of 16 bytes, aligned to 64, 1 subscribers hold 2, policy 2, patience 10000000000, type "", features 0`)
		p.Expect(`sample 5, number 6: "more", word 0, flags 0`)
		p.Wait()
	})
}

// TestGoldenTakeOver: publishers of both languages go on with the golden
// topic where it ended, and do not overwrite what its subscriber holds.
func TestGoldenTakeOver(t *testing.T) {
	for _, language := range []string{"go", "c"} {
		t.Run(language, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			name := plant(t, goldenRing(t))
			p := begin(t, language, "adopt", name)
			// Nobody can tell whether the subscriber lives.
			p.Expect("SHM_TOPIC_EBUSY")
			p.Exit()

			withMember(t, name)
			p = begin(t, language, "adopt", name)
			// The subscriber is dead: nothing is held.
			p.Expect("published 6")
			until(p, `sample 6, number 7: "adopted", `)
			p.Wait()
			if m := members(t, name); len(m) != 0 {
				t.Errorf("files of subscribers: %q", m)
			}
		})
	}
}

// used are the bytes of data that mean something, as pairs of first and last
// plus one.
func used(t testing.TB, data []byte) []any {
	t.Helper()
	c, l, err := topicdir.DecodeConfig(data, int64(len(data)))
	must(t, err)
	return []any{
		0, 512, l.Hot, l.Slot(c.Slots), l.Payload, l.PayloadOf(c.Slots),
	}
}

// TestFlip: every bit of the golden topic that means something flipped, and
// some others, one at a time, for readers and successors of every language: an
// error, or data, and no crash.
func TestFlip(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 17
	}
	run := func(t *testing.T, path string, args ...any) {
		t.Helper()
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = fmt.Sprint(a)
		}
		p := shmtest.Exec(t, path, words...)
		line := p.Recv()
		p.Wait()
		t.Log(line)
		if !strings.HasPrefix(line, "flipped: ") || strings.Contains(line, " 0 good") {
			t.Error(line)
		}
	}
	flip := func(t *testing.T) string {
		return compile(t, shmtest.CC(t), "flip.c", slices.Concat(strict, sanitized)...)
	}
	for name, data := range map[string]func(testing.TB) []byte{
		"data": func(t testing.TB) []byte { return golden(t, "data") }, "ring": goldenRing,
	} {
		t.Run("c/"+name, func(t *testing.T) {
			b := data(t)
			run(t, flip(t), append([]any{"data", plant(t, b), step}, used(t, b)...)...)
		})
		t.Run("python/"+name, func(t *testing.T) {
			b := data(t)
			words := []string{"flip", plant(t, b), fmt.Sprint(step)}
			for _, at := range used(t, b) {
				words = append(words, fmt.Sprint(at))
			}
			p := python(t, words...)
			t.Log(p.Recv())
			p.Wait()
		})
		t.Run("go/"+name, func(t *testing.T) { flipGo(t, data(t), step) })
	}
	t.Run("c/adopt", func(t *testing.T) {
		b := goldenRing(t)
		l, _ := ringLayout()
		le.PutUint64(b[l.Entry(0)+topicdir.EntryState:], 0) // else it is refused
		run(t, flip(t), append([]any{"adopt", plant(t, b), step}, used(t, b)...)...)
	})
	t.Run("c/member", func(t *testing.T) {
		name := shmtest.Name(t)
		remove(t, name)
		run(t, flip(t), "member", name, step, 0, 512, topicdir.HeaderSize, topicdir.MemberCounters(2))
	})
}

func ringLayout() (topicdir.Layout, error) {
	c := ringConfig()
	return c.Layout()
}

// flipGo is what testdata/flip.c does, for an observer in Go.
func flipGo(t *testing.T, data []byte, step int) {
	name := plant(t, data)
	f, err := os.OpenFile(filepath.Join(dirOf(name), "data"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	good, bad := 0, 0
	ranges := used(t, data)
	chosen := func(bit int) bool {
		at := int64(bit / 8)
		if at < 512 || at >= ranges[2].(int64) && at < ranges[3].(int64) || at >= ranges[4].(int64) && at < ranges[5].(int64) {
			return bit%step == 0
		}
		return bit%(101*step) == 0
	}
	for bit := range 8 * len(data) {
		if !chosen(bit) {
			continue
		}
		put := func(b byte) {
			if _, err := f.WriteAt([]byte{b}, int64(bit/8)); err != nil {
				t.Fatal(err)
			}
		}
		put(data[bit/8] ^ 1<<(bit%8))
		for _, from := range []topic.Start{topic.Oldest, topic.Newest} {
			if err := drain(t, name, from, bit); err == nil {
				good++
			} else if bad++; err.Error() == "" {
				t.Fatalf("an error without a text at bit %d", bit)
			}
		}
		put(data[bit/8])
	}
	t.Logf("flipped: %d good, %d errors", good, bad)
}

// drain takes what is there, at most a few rounds of it, and looks at every
// byte.
func drain(t *testing.T, name string, from topic.Start, bit int) error {
	s, err := topic.Observe(t.Context(), name, &topic.SubscribeOptions{From: from})
	if err != nil {
		return err
	}
	defer s.Close()
	o := s.Options()
	for range 4 * o.Slots {
		m, err := s.TryNext()
		if errors.Is(err, topic.ErrEmpty) {
			break
		}
		if err != nil {
			return err
		}
		if len(m.Data) > o.Size {
			t.Fatalf("%d bytes of %d at bit %d", len(m.Data), o.Size, bit)
		}
		_ = string(m.Data)
		m.Release()
	}
	if _, err := s.Latest(); !errors.Is(err, topic.ErrEmpty) {
		return err
	}
	return nil
}
