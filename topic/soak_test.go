package topic_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

var kills = flag.Int("topic.kills", 0, "processes that TestStressKills kills; 0: some dozens")

// soak is what the children of TestStressKills are told.
type soak struct {
	Dir    string
	Policy topic.Policy
	Seed   uint64
}

func (s *soak) options() *topic.Options {
	return &topic.Options{Size: sampleMost, Slots: 32, Subscribers: 6, Held: 3, Policy: s.Policy, Dir: s.Dir}
}

// acks gives the word in which publishers count what they have published, one
// after the other. It is no part of the topic.
func (s *soak) acks() (w *atomic.Uint64, unmap func() error, err error) {
	f, err := os.OpenFile(filepath.Join(s.Dir, "acknowledged"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if err := f.Truncate(8); err != nil {
		return nil, nil, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	w, err = mem.Atomic[atomic.Uint64](mem.Of(b), 0)
	return w, func() error { return syscall.Munmap(b) }, err
}

func init() {
	shmtest.Handle("soak publisher", func(c *shmtest.Child) {
		var s soak
		c.Check(json.Unmarshal([]byte(c.Args[0]), &s))
		acks, _, err := s.acks()
		c.Check(err)
		random := rand.New(rand.NewPCG(s.Seed, 1))
		p, err := topic.Create("soak", s.options())
		c.Check(err)
		i := p.Stats().Published
		if known := acks.Load(); i < known {
			c.Fatalf("%d samples are acknowledged, and the next publisher begins with %d", known, i)
		}
		c.Send("from %d", i)
		for {
			// One, or some at once.
			for n := random.IntN(3); n >= 0; n-- {
				l, err := p.Loan(context.Background(), sizeOf(i, sampleMost))
				c.Check(err)
				fill(l.Bytes(), i)
				if n > 0 {
					err = l.Queue()
				} else {
					err = l.Publish()
				}
				c.Check(err)
				i++
			}
			acks.Store(i)
			if random.IntN(64) == 0 {
				// So that subscribers come to sleep, too.
				time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
			}
		}
	})
	shmtest.Handle("soak subscriber", func(c *shmtest.Child) {
		var s soak
		c.Check(json.Unmarshal([]byte(c.Args[0]), &s))
		random := rand.New(rand.NewPCG(s.Seed, 2))
		sub, err := topic.Subscribe(context.Background(), "soak", &topic.SubscribeOptions{Dir: s.Dir, From: topic.Oldest})
		c.Check(err)
		c.Send("there")
		var held []topic.Sample
		next, first := uint64(0), true
		for {
			m, err := sub.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			c.Check(err)
			i, err := check(m.Data)
			c.Check(err)
			if i != m.Seq || !first && m.Seq != next+m.Missed {
				c.Fatalf("sample %d has sequence %d, after %d, with %d missed", i, m.Seq, next, m.Missed)
			}
			first, next = false, m.Seq+1
			held = append(held, m)
			for n := random.IntN(3); len(held) > n; {
				at := random.IntN(len(held))
				if i, err := check(held[at].Data); err != nil || i != held[at].Seq {
					c.Fatalf("sample %d turned into %d while it was held: %v", held[at].Seq, i, err)
				}
				held[at].Release()
				held = append(held[:at], held[at+1:]...)
			}
		}
		for i := range held {
			held[i].Release()
		}
		c.Check(sub.Close())
	})
}

// TestStressKills kills publishers and subscribers at random moments under
// load, and each is followed by another. One subscriber sees it all.
func TestStressKills(t *testing.T) {
	shmtest.CheckLeaks(t)
	n := *kills
	if n == 0 {
		n = 60
		if testing.Short() {
			n = 20
		}
	}
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) { soakKills(t, policy, (n+1)/2) })
	}
}

func soakKills(t *testing.T, policy topic.Policy, n int) {
	s := soak{Dir: shmtest.Dir(t), Policy: policy}
	start := func(handler string) *shmtest.Process {
		s.Seed = rand.Uint64()
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return shmtest.Start(t, handler, string(text))
	}
	acks, unmap, err := s.acks()
	if err != nil {
		t.Fatal(err)
	}
	defer unmap()
	pub := start("soak publisher")
	pub.Expect("from 0")
	sub, err := topic.Subscribe(ctx(t), "soak", &topic.SubscribeOptions{Dir: s.Dir, WaitAdmission: policy == topic.Block})
	if err != nil {
		t.Fatal(err)
	}
	f := follow(t, sub, 1, policy == topic.Block)
	var subs [3]*shmtest.Process
	for i := range subs {
		subs[i] = start("soak subscriber")
	}
	alive := func(p *shmtest.Process) {
		t.Helper()
		select {
		case <-p.Done():
			t.Fatal("a process ended by itself")
		default:
		}
	}
	publishers, longest := 0, time.Duration(0)
	for range n {
		// Any moment will do, but all kinds: also while a process starts.
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
		if rand.IntN(2) == 0 {
			alive(pub)
			pub.Kill()
			publishers++
			published := acks.Load()
			pub = start("soak publisher")
			// All that was acknowledged, and more from the next one, comes.
			longest = max(longest, f.await(published+1, watchdog))
			continue
		}
		i := rand.IntN(len(subs))
		alive(subs[i])
		subs[i].Kill()
		published := acks.Load()
		longest = max(longest, f.await(published+1, watchdog))
		subs[i] = start("soak subscriber")
	}
	for _, c := range subs {
		c.Expect("there")
	}
	alive(pub)
	pub.Kill()
	p, err := topic.Create("soak", s.options())
	if err != nil {
		t.Fatal(err)
	}
	last := p.Stats().Published
	if known := acks.Load(); last < known {
		t.Errorf("%d samples are acknowledged, and the next publisher begins with %d", known, last)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	for _, c := range subs {
		c.Wait()
	}
	f.end(last)
	if all, err := filepath.Glob(filepath.Join(s.Dir, "*")); len(all) != 1 || err != nil {
		t.Errorf("left: %q, %v", all, err)
	}
	if all, err := filepath.Glob(filepath.Join(s.Dir, ".*")); len(all) != 0 || err != nil {
		t.Errorf("left: %q, %v", all, err)
	}
	t.Logf("%d publishers and %d subscribers killed, %d samples, %d lost, the longest wait %v", publishers, n-publishers, last, f.lost, longest)
}
