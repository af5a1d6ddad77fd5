//go:build linux

package clients

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// The content of sample i, as testdata/peer.c has it.
func sizeOf(i uint64) int { return 8 + int(i*7%249) }

func fill(b []byte, i uint64) {
	binary.LittleEndian.PutUint64(b, i)
	for k := 8; k < len(b); k++ {
		b[k] = byte(i*31 + uint64(k))
	}
}

func check(b []byte) (uint64, error) {
	if len(b) < 8 {
		return 0, fmt.Errorf("torn: %d bytes", len(b))
	}
	i := binary.LittleEndian.Uint64(b)
	if len(b) != sizeOf(i) {
		return 0, fmt.Errorf("torn: %d bytes that say they are sample %d", len(b), i)
	}
	for k := 8; k < len(b); k++ {
		if b[k] != byte(i*31+uint64(k)) {
			return 0, fmt.Errorf("torn: byte %d of sample %d", k, i)
		}
	}
	return i, nil
}

func policyOf(name string) topic.Policy {
	if name == "block" {
		return topic.Block
	}
	return topic.DropOldest
}

func options(policy string) *topic.Options {
	return &topic.Options{Size: 256, Slots: 32, Subscribers: 4, Held: 4, Policy: policyOf(policy)}
}

// The same peers in Go; their arguments and what they say are those of
// testdata/peer.c.
func init() {
	number := func(c *shmtest.Child, i int) uint64 {
		if i >= len(c.Args) {
			return 0
		}
		n, err := strconv.ParseUint(c.Args[i], 10, 64)
		c.Check(err)
		return n
	}
	shmtest.Handle("pub", func(c *shmtest.Child) {
		p, err := topic.Create(c.Args[0], options(c.Args[1]))
		c.Check(err)
		count, batch, wait := number(c, 2), number(c, 3), number(c, 4)
		i := p.Stats().Published
		last, queued := i+count, uint64(0)
		c.Send("from %d", i)
		for uint64(p.Stats().Subscribers) < wait {
			time.Sleep(time.Millisecond)
			c.Check(p.Poll())
		}
		if wait > 0 {
			c.Send("ready")
			c.Recv()
		}
		for ; count == 0 || i < last; i++ {
			l, err := p.Loan(context.Background(), sizeOf(i))
			c.Check(err)
			fill(l.Bytes(), i)
			l.User, l.Flags = i, uint32(i)
			if queued++; queued < batch {
				c.Check(l.Queue())
			} else {
				queued = 0
				c.Check(l.Publish())
			}
		}
		c.Check(p.Close())
		c.Send("done")
	})
	shmtest.Handle("sub", func(c *shmtest.Child) {
		from := map[string]topic.Start{"oldest": topic.Oldest, "newest": topic.Newest}[c.Args[1]]
		s, err := topic.Subscribe(context.Background(), c.Args[0], &topic.SubscribeOptions{From: from, WaitAdmission: true})
		c.Check(err)
		promised, _ := s.Admitted()
		c.Send("admitted from %d", promised)
		receive(c, s, int(number(c, 2)), number(c, 3), &promised)
	})
	shmtest.Handle("observe", func(c *shmtest.Child) {
		from := map[string]topic.Start{"oldest": topic.Oldest, "newest": topic.Newest}[c.Args[1]]
		s, err := topic.Observe(context.Background(), c.Args[0], &topic.SubscribeOptions{From: from})
		c.Check(err)
		c.Send("observing")
		receive(c, s, 0, number(c, 2), nil)
	})
}

func receive(c *shmtest.Child, s *topic.Subscriber, hold int, report uint64, promised *uint64) {
	var taken, lost, next uint64
	var held []topic.Sample
	block := s.Options().Policy == topic.Block
	for {
		m, err := s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		c.Check(err)
		i, err := check(m.Data)
		c.Check(err)
		if i != m.Seq || m.User != i || m.Flags != uint32(i) {
			c.Fatalf("sample %d has sequence %d, word %d", i, m.Seq, m.User)
		}
		if taken > 0 && m.Seq != next+m.Missed {
			c.Fatalf("after %d came %d, with %d missed", next, m.Seq, m.Missed)
		}
		if block && promised != nil && m.Missed > 0 && m.Number >= *promised {
			c.Fatalf("lost %d before %d, admitted from %d", m.Missed, m.Number, *promised)
		}
		next, lost = m.Seq+1, lost+m.Missed
		if taken++; report > 0 && taken%report == 0 {
			c.Send("at %d", taken)
		}
		held = append(held, m)
		for len(held) > hold {
			if i, err := check(held[0].Data); err != nil || i != held[0].Seq {
				c.Fatalf("sample %d changed while it was held: %v", held[0].Seq, err)
			}
			held[0].Release()
			held = held[1:]
		}
	}
	for i := range held {
		held[i].Release()
	}
	c.Check(s.Close())
	c.Send("took %d, lost %d, next %d", taken, lost, next)
}

// begin starts a peer in a language: "go"; "c", as its users compile it;
// "checked", which is C under the sanitizers; "arm64", which is C for another
// machine, under emulation; "python".
func begin(t testing.TB, language, verb, name string, args ...any) *shmtest.Process {
	t.Helper()
	words := []string{name}
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	switch language {
	case "c":
		return shmtest.Exec(t, optimized(t), append([]string{verb}, words...)...)
	case "checked":
		return shmtest.Exec(t, peer(t), append([]string{verb}, words...)...)
	case "arm64":
		qemu, path := arm64Peer(t)
		return shmtest.Exec(t, qemu, append([]string{path, verb}, words...)...)
	case "python":
		return python(t, append([]string{verb}, words...)...)
	}
	return shmtest.Start(t, verb, words...)
}

// until reads what a child says until a line with the prefix comes.
func until(p *shmtest.Process, prefix string) string {
	for {
		if line := p.Recv(); strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

// start lets a publisher begin when all subscribers know that they are
// admitted: one that never waits would have lapped them before.
func start(pub *shmtest.Process, subs ...*shmtest.Process) {
	pub.Expect("ready")
	for _, p := range subs {
		until(p, "admitted")
	}
	pub.Send("go")
}

// result is what a subscriber says last.
type result struct{ taken, lost, next uint64 }

func ended(t testing.TB, p *shmtest.Process) (r result) {
	t.Helper()
	line := until(p, "took")
	if _, err := fmt.Sscanf(line, "took %d, lost %d, next %d", &r.taken, &r.lost, &r.next); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	p.Wait()
	return r
}

// remove removes a topic when the test is over.
func remove(t testing.TB, name string) {
	t.Helper()
	t.Cleanup(func() {
		if err := topic.Remove(name, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
}

// count is how many samples a stream has.
func count(few, many uint64) uint64 {
	if testing.Short() {
		return few
	}
	return many
}

// pairs are who meets whom.
var pairs = [][2]string{
	{"go", "c"}, {"c", "go"}, {"c", "c"},
	{"go", "checked"}, {"checked", "go"}, {"go", "arm64"}, {"arm64", "go"},
}

// length is how many samples their streams have.
func length(pair [2]string) uint64 {
	if slices.Contains(pair[:], "arm64") {
		return count(500, 2_000)
	}
	return count(3_000, 30_000)
}

// TestStream: a publisher in one language, subscribers and observers in the
// other, in both directions and under both policies.
func TestStream(t *testing.T) {
	for _, policy := range []string{"block", "drop"} {
		for _, pair := range pairs {
			t.Run(fmt.Sprintf("%s/%s to %s", policy, pair[0], pair[1]), func(t *testing.T) {
				shmtest.CheckLeaks(t)
				name := shmtest.Name(t)
				n := length(pair)
				remove(t, name)
				pub := begin(t, pair[0], "pub", name, policy, n, 3, 2)
				pub.Expect("from 0")
				one := begin(t, pair[1], "sub", name, "next", 0, 0)
				two := begin(t, pair[1], "sub", name, "next", 3, 0)
				three := begin(t, pair[1], "observe", name, "oldest")
				three.Expect("observing")
				start(pub, one, two)
				pub.Expect("done")
				pub.Wait()
				for i, p := range []*shmtest.Process{one, two, three} {
					r := ended(t, p)
					t.Logf("%d: %+v", i, r)
					if r.next != n || r.taken+r.lost != n {
						t.Errorf("subscriber %d: %+v of %d", i, r, n)
					}
					if policy == "block" && i < 2 && r.lost != 0 {
						t.Errorf("subscriber %d lost %d under block", i, r.lost)
					}
				}
			})
		}
	}
}

// TestTakeOver: a publisher is killed in the middle of the stream, and one in
// the other language goes on. Nobody loses anything under block.
func TestTakeOver(t *testing.T) {
	for _, policy := range []string{"block", "drop"} {
		for _, pair := range pairs {
			t.Run(fmt.Sprintf("%s/%s after %s", policy, pair[1], pair[0]), func(t *testing.T) {
				shmtest.CheckLeaks(t)
				name := shmtest.Name(t)
				n := length(pair)
				remove(t, name)
				first := begin(t, pair[0], "pub", name, policy, 0, 3, 2)
				first.Expect("from 0")
				one := begin(t, "go", "sub", name, "next", 2, 50)
				two := begin(t, "c", "sub", name, "next", 2, 50)
				start(first, one, two)
				for range 5 {
					until(one, "at")
					until(two, "at")
				}
				first.Kill()
				second := begin(t, pair[1], "pub", name, policy, n, 2, 0)
				var from uint64
				if _, err := fmt.Sscanf(second.Recv(), "from %d", &from); err != nil || from == 0 {
					t.Fatal(from, err)
				}
				second.Expect("done")
				second.Wait()
				for i, p := range []*shmtest.Process{one, two} {
					r := ended(t, p)
					if r.next != from+n || r.taken+r.lost != r.next || policy == "block" && r.lost != 0 {
						t.Errorf("subscriber %d: %+v of %d", i, r, from+n)
					}
				}
			})
		}
	}
}

// TestHolder: what a subscriber in C holds does not change while a publisher
// goes round and round; when it is killed, its places are free again.
func TestHolder(t *testing.T) {
	for _, language := range []string{"go", "c"} {
		t.Run(language+" publishes", func(t *testing.T) {
			shmtest.CheckLeaks(t)
			name := shmtest.Name(t)
			remove(t, name)
			pub := begin(t, language, "pub", name, "drop", 0, 1, 2)
			pub.Expect("from 0")
			keep, die := begin(t, "checked", "hold", name, 4), begin(t, "c", "hold", name, 4)
			start(pub, keep, die)
			until(keep, "holding")
			until(die, "holding")
			watch := func() (st topic.SubscriberStats) {
				s, err := topic.Observe(t.Context(), name, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				for range 1000 { // rounds of the ring
					m, err := s.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					m.Release()
				}
				return s.Stats()
			}
			watch()
			die.Kill()
			watch()
			keep.Send("")
			keep.Expect("unchanged")
			// The file of the dead one is gone, that of the other is not.
			for limit := time.Now().Add(20 * time.Second); len(members(t, name)) != 1; {
				if time.Now().After(limit) {
					t.Fatalf("files of subscribers: %q", members(t, name))
				}
				watch()
			}
			keep.Send("")
			keep.Expect("left")
			keep.Wait()
			pub.Kill()
		})
	}
}
