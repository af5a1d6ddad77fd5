package topic

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

// heapTopic is a topic in Go's own memory, without any file: the race
// detector sees all of it, and a hostile byte can be put anywhere.
type heapTopic struct {
	config topicdir.Config
	layout topicdir.Layout
	data   mem.Region
	bell   mem.Region
	ring   *ring
	p      *Publisher
	st     *station

	members map[topicdir.ID]*member
	order   []*member // in which they came
}

func (*heapTopic) Name() string                         { return "heap" }
func (*heapTopic) Named() error                         { return nil }
func (*heapTopic) Members() ([]*topicdir.Member, error) { return nil, nil }
func (*heapTopic) Refused() []*topicdir.Refused         { return nil }
func (*heapTopic) PublisherAlive() (bool, error)        { return true, nil }
func (*heapTopic) Close() error                         { return nil }
func (*heapTopic) Remove() error                        { return nil }

func (h *heapTopic) Member(id topicdir.ID) (*member, error) {
	if m := h.members[id]; m != nil {
		return m, nil
	}
	return nil, fs.ErrNotExist
}

// kill ends the publisher as it is, and lets another one take over.
func (h *heapTopic) kill(t testing.TB) {
	h.p = newPublisher(h.ring, h, h.bell, h.p.opts)
	if err := h.p.begin(topicdir.NewID(), true); err != nil {
		t.Fatal(err)
	}
	for _, m := range h.order {
		if _, ok := h.p.known[m.ID]; !ok && m.Alive() {
			h.p.readers = append(h.p.readers, h.p.newReader(m))
		}
	}
}

// heapMember is either side of a subscriber's file.
type heapMember struct{ gone atomic.Bool }

func (m *heapMember) Leave() error  { m.gone.Store(true); return nil }
func (m *heapMember) Alive() bool   { return !m.gone.Load() }
func (m *heapMember) Unlink() error { return nil }
func (m *heapMember) Close() error  { return nil }

func newHeapTopic(t testing.TB, o Options) *heapTopic {
	o = o.orDefault()
	h := &heapTopic{members: map[topicdir.ID]*member{}, config: topicdir.Config{
		Slots: int64(o.Slots), Capacity: int64(o.Size), PayloadAlign: int64(o.Align),
		Subscribers: o.Subscribers, Held: o.Held, Policy: topicdir.Policy(o.Policy), Patience: o.Patience,
	}}
	var err error
	if h.layout, err = h.config.Layout(); err != nil {
		t.Fatal(err)
	}
	h.data, h.bell = mem.Heap(int(h.layout.Size)), mem.Heap(topicdir.BellSize)
	if h.ring, err = newRing(h.data, &h.config, &h.layout); err != nil {
		t.Fatal(err)
	}
	*h.ring.epoch = 1
	h.p = newPublisher(h.ring, h, h.bell, o)
	if err := h.p.begin(topicdir.ID{1}, false); err != nil {
		t.Fatal(err)
	}
	h.st = newStation(h.ring, h, h.config, h.bell, Adaptive)
	h.st.refs = 1 << 30
	t.Cleanup(func() { h.st.sleeper.Close() })
	return h
}

// subscribe adds a subscriber, and is called when nobody publishes.
func (h *heapTopic) subscribe(t testing.TB, from Start) *Subscriber {
	s := h.observe(t, from)
	region := mem.Heap(topicdir.MemberSize(h.config.Held))
	s.enrol(region)
	both := &heapMember{}
	id := topicdir.NewID()
	if err := s.join(&own{id, region, both}); err != nil {
		t.Fatal(err)
	}
	h.members[id] = &member{id, 1, region, both}
	h.order = append(h.order, h.members[id])
	h.p.readers = append(h.p.readers, h.p.newReader(h.members[id]))
	return s
}

func (h *heapTopic) observe(t testing.TB, from Start) *Subscriber {
	s := newSubscriber(h.st, SubscribeOptions{From: from})
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestHeap runs publisher and subscribers in memory that the race detector
// sees: what orders them is the protocol alone.
func TestHeap(t *testing.T) {
	for _, policy := range []Policy{Block, DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			h := newHeapTopic(t, Options{Policy: policy, Slots: 16, Subscribers: 3, Held: 4, Size: 64})
			total := uint64(20_000)
			if testing.Short() {
				total = 4_000
			}
			var wg sync.WaitGroup
			var credit [3]chan bool // to publish one more
			for i := range 3 {
				s := h.subscribe(t, Next)
				credit[i] = make(chan bool, total+4)
				for range 4 {
					credit[i] <- true
				}
				wg.Go(func() {
					defer close(credit[i])
					var held []Sample
					next := uint64(0)
					for {
						m, err := s.Next(context.Background())
						if err == io.EOF {
							break
						}
						if err != nil || m.Seq != next || m.Missed != 0 || m.pin < 0 {
							t.Errorf("%+v, %v, want %d", m, err, next)
							return
						}
						next++
						held = append(held, m)
						for len(held) > i || len(held) > 0 && rand.IntN(3) == 0 {
							n := rand.IntN(len(held))
							if got := string(held[n].Data); got != fmt.Sprintf("sample %060d", held[n].Seq)[:64] {
								t.Errorf("%d is %q", held[n].Seq, got)
								return
							}
							held[n].Release()
							held[n] = held[len(held)-1]
							held = held[:len(held)-1]
						}
						credit[i] <- true
					}
					for n := range held {
						held[n].Release()
					}
					if next != total {
						t.Errorf("ended after %d", next)
					}
				})
			}
			if err := h.p.Poll(); err != nil {
				t.Fatal(err)
			}
			for i := range total {
				if policy == DropOldest {
					// Nobody is lapped: copies of what changes are races, on
					// purpose.
					for i := range credit {
						<-credit[i]
					}
				}
				l, err := h.p.Loan(context.Background(), 64)
				if err != nil {
					t.Fatal(err)
				}
				copy(l.Bytes(), fmt.Sprintf("sample %060d", i))
				if i%3 == 0 && policy == Block {
					err = l.Queue()
				} else {
					err = l.Publish()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			st := h.p.Stats()
			if err := h.p.Close(); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			t.Logf("%+v", st)
			if st.Demoted != 0 || st.Published != total || st.Subscribers != 3 {
				t.Errorf("%+v", st)
			}
		})
	}
}
