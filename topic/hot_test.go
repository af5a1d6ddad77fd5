package topic_test

import (
	"context"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// pair makes a topic with one subscriber, admitted.
func pair(t testing.TB, o *topic.Options) (*topic.Publisher, *topic.Subscriber) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Remove() })
	s, err := topic.Subscribe(context.Background(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := p.Poll(); err != nil {
		t.Fatal(err)
	}
	return p, s
}

var policies = []topic.Policy{topic.Block, topic.DropOldest}

// BenchmarkSend is a publisher alone.
func BenchmarkSend(b *testing.B) {
	p, err := topic.Create(shmtest.Name(b), &topic.Options{Slots: 1024})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Remove()
	data := make([]byte, 64)
	for range b.N {
		if err := p.Send(context.Background(), data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandOver is a publisher and a subscriber in one thread.
func BenchmarkHandOver(b *testing.B) {
	for _, policy := range policies {
		b.Run(policy.String(), func(b *testing.B) {
			p, s := pair(b, &topic.Options{Policy: policy, Slots: 1024})
			data := make([]byte, 64)
			ctx := context.Background()
			for range b.N {
				if err := p.Send(ctx, data); err != nil {
					b.Fatal(err)
				}
				m, err := s.Next(ctx)
				if err != nil {
					b.Fatal(err)
				}
				m.Release()
			}
		})
	}
}

func BenchmarkHandOverBatch(b *testing.B) {
	p, s := pair(b, &topic.Options{Policy: topic.Block, Slots: 1024, Held: 16})
	all := make([][]byte, 16)
	for i := range all {
		all[i] = make([]byte, 64)
	}
	into := make([]topic.Sample, 16)
	ctx := context.Background()
	for range (b.N + 15) / 16 {
		if _, err := p.SendBatch(ctx, all); err != nil {
			b.Fatal(err)
		}
		n, err := s.NextBatch(ctx, into)
		if err != nil || n != 16 {
			b.Fatal(n, err)
		}
		for i := range into {
			into[i].Release()
		}
	}
}
