//go:build shmpoint

package topic_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// subscriberOp is what a subscriber does, and what has happened before.
type subscriberOp struct {
	early bool // it does not subscribe before
	do    func(v *victim)
}

var subscriberOps = map[string]subscriberOp{
	"subscribe": {early: true, do: func(v *victim) { v.join() }},
	"observe": {early: true, do: func(v *victim) {
		s, err := topic.Observe(context.Background(), stageName, &topic.SubscribeOptions{Dir: v.Dir, From: topic.Oldest})
		v.Check(err)
		v.s = s
		v.take(3)
	}},
	// What it takes before it is admitted is a copy.
	"join and take": {early: true, do: func(v *victim) {
		v.join()
		v.take(3)
	}},
	"take": {do: func(v *victim) { v.take(3) }},
	// It holds as much as it may, and releases in another order.
	"hold": {do: func(v *victim) {
		one, two := v.next(), v.next()
		v.hold(two)
		v.hold(one)
		one.Release()
		v.next()
		two.Release()
	}},
	"batch": {do: func(v *victim) {
		var all [4]topic.Sample
		n, err := v.s.NextBatch(context.Background(), all[:])
		v.Check(err)
		for i := range all[:n] {
			v.hold(all[i])
			all[i].Release()
		}
	}},
	// It has taken all there is, and sleeps until there is more.
	"sleep": {do: func(v *victim) { v.take(1) }},
	// The publisher waits for it, and so it wakes the publisher.
	"give way": {do: func(v *victim) { v.take(6) }},
	// It was demoted, and asks again.
	"ask again": {do: func(v *victim) { v.take(4) }},
	"close":     {do: func(v *victim) { v.Check(v.s.Close()) }},
}

func (v *victim) join() {
	s, err := topic.Subscribe(context.Background(), stageName, &topic.SubscribeOptions{Dir: v.Dir, From: topic.Oldest})
	v.Check(err)
	v.s = s
}

func (v *victim) next() topic.Sample {
	m, err := v.s.Next(context.Background())
	v.Check(err)
	v.hold(m)
	return m
}

// hold looks at a sample.
func (v *victim) hold(m topic.Sample) {
	i, err := check(m.Data)
	v.Check(err)
	if i != m.Seq {
		v.Fatalf("sample %d turned into %d", m.Seq, i)
	}
}

func (v *victim) take(n int) {
	for range n {
		m := v.next()
		m.Release()
	}
}

func init() {
	shmtest.Handle("prove subscriber", func(c *shmtest.Child) {
		v := newVictim(c)
		op := subscriberOps[v.Op]
		if !op.early {
			v.join()
			c.Send("joined")
			c.Expect("go")
			if v.Op == "sleep" {
				v.take(int(v.Warm))
			}
		}
		c.Send("ready")
		c.Expect("go")
		c.Steps(func() { op.do(v) }, v.bell())
		c.Hold()
	})
}

// TestProveSubscriber kills a subscriber at every step of what it does. The
// publisher and another subscriber must go on as if it had never been.
func TestProveSubscriber(t *testing.T) {
	a := newToll(t)
	for _, policy := range policies {
		for _, c := range []struct {
			op   string
			warm uint64
		}{
			{"subscribe", 5}, {"observe", 5}, {"join and take", 5}, {"take", 5}, {"hold", 5}, {"batch", 5},
			{"sleep", 5}, {"give way", 8}, {"ask again", 24}, {"close", 5},
		} {
			s := stage{Policy: policy, Op: c.op, Warm: c.warm, Patience: time.Minute}
			if c.op == "ask again" {
				s.Patience = 20 * time.Millisecond
			} else if c.op == "give way" && policy == topic.DropOldest {
				continue // nobody waits
			}
			a.each(t, fmt.Sprintf("%v %s", policy, c.op), func(t *testing.T, v *shmtest.Victim) { proveSubscriber(t, v, s) })
		}
	}
}

func proveSubscriber(t *testing.T, v *shmtest.Victim, s stage) {
	s.Dir = shmtest.Dir(t)
	p := s.create(t)
	early := subscriberOps[s.Op].early
	all := s.Policy == topic.Block && s.Op != "ask again"
	other := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 0, all)
	s.start(t, v, "prove subscriber")
	if !early {
		v.Expect("joined")
	}
	if err := p.Poll(); err != nil {
		t.Fatal(err)
	}
	n := uint64(0)
	send := func() {
		t.Helper()
		if err := sendSample(p, n); err != nil {
			t.Fatal(err)
		}
		n++
		other.await(n, inTime)
	}
	for n < s.Warm {
		send()
	}
	if !early {
		v.Send("go")
	}
	v.Expect("ready")
	v.Send("go")
	switch s.Op {
	case "sleep":
		if v.Counting() {
			s.awaitSleep(t)
		} else {
			for !v.Stands() && !s.asleep(t) {
				time.Sleep(time.Millisecond)
			}
		}
		send()
	case "give way":
		// The ring is full: this waits until the victim has taken something,
		// or has died.
		waits := s.look(t).Counters[topicdir.CountWaits]
		sent := make(chan error)
		go func() { sent <- sendSample(p, n) }()
		v.Await()
		v.Process.Kill()
		begun := time.Now()
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > inTime {
			t.Errorf("the publisher waited for a dead subscriber for %v", took)
		}
		n++
		if v.Counting() && s.look(t).Counters[topicdir.CountWaits] == waits {
			t.Log("the publisher did not wait")
		}
	case "ask again":
		// What it asks is answered.
		for !v.Stands() {
			send()
			if err := p.Poll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	v.Kill()
	// Four rounds, in which nobody waits for the dead.
	for range 32 {
		begun := time.Now()
		send()
		if took := time.Since(begun); took > inTime {
			t.Errorf("sample %d took %v", n-1, took)
		}
	}
	s.settle(t, p, 1, 1, &n)
	// What it held is free again: no number is passed over any more.
	holes := p.Stats().Holes
	for range 16 {
		send()
	}
	if got := p.Stats().Holes; got != holes {
		t.Errorf("%d holes were made for a dead subscriber", got-holes)
	}
	// So are its places.
	var late []*follower
	for range 2 {
		late = append(late, follow(t, s.subscribe(t, topic.SubscribeOptions{}), 1, all))
	}
	s.settle(t, p, 3, 3, &n)
	send()
	for _, f := range late {
		f.await(n, inTime)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	for _, f := range append(late, other) {
		f.end(n)
	}
	s.empty(t)
}
