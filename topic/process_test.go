package topic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// job is what a child does.
type job struct {
	Name   string
	Policy topic.Policy
	Start  topic.Start
	Report uint64 // a subscriber says so each time it has taken that many
	Batch  int    // a publisher queues, a subscriber takes so many at once
	Count  uint64 // a publisher ends the topic after so many of its own
	Hold   int    // a subscriber holds so many, oldest released first
	Work   int    // microseconds that a subscriber takes for a sample, at most
}

const sampleMost = 256

func (j job) options() *topic.Options {
	return &topic.Options{Size: sampleMost, Slots: 32, Subscribers: 4, Held: 4, Policy: j.Policy}
}

func start(t testing.TB, handler string, j job) *shmtest.Process {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	return shmtest.Start(t, handler, string(text))
}

func jobOf(c *shmtest.Child) (j job) {
	c.Check(json.Unmarshal([]byte(c.Args[0]), &j))
	return j
}

func init() {
	// A publisher: sample i of the topic is fill(i), whoever publishes it.
	shmtest.Handle("publisher", func(c *shmtest.Child) {
		j := jobOf(c)
		p, err := topic.Create(j.Name, j.options())
		c.Check(err)
		i := p.Stats().Published
		c.Send("from %d", i)
		last := i + j.Count
		for n := 0; j.Count == 0 || i < last; i++ {
			l, err := p.Loan(context.Background(), sizeOf(i, sampleMost))
			c.Check(err)
			fill(l.Bytes(), i)
			if n++; n < j.Batch {
				err = l.Queue()
			} else {
				n = 0
				err = l.Publish()
			}
			c.Check(err)
		}
		c.Check(p.Close())
		c.Send("done")
	})

	// A subscriber that looks at everything.
	shmtest.Handle("subscriber", func(c *shmtest.Child) {
		j := jobOf(c)
		s, err := topic.Subscribe(context.Background(), j.Name, &topic.SubscribeOptions{From: j.Start, WaitTopic: true, WaitAdmission: true})
		c.Check(err)
		from, _ := s.Admitted()
		c.Send("admitted from %d", from)
		o := j.options()
		var taken, lost, next, before uint64
		first, promised := true, false
		var held []topic.Sample
		batch := make([]topic.Sample, max(j.Batch, 1))
		look := func(m topic.Sample) {
			i, err := check(m.Data)
			c.Check(err)
			if i != m.Seq {
				c.Fatalf("sample %d has sequence %d", i, m.Seq)
			}
			if !first && m.Seq != next+m.Missed {
				c.Fatalf("after %d came %d, with %d missed", next, m.Seq, m.Missed)
			}
			if j.Policy == topic.Block && m.Number >= from {
				// The first one tells also what was overwritten before the
				// admission; between there and here are only holes, of which
				// all subscribers together can make so many at once.
				if !promised && m.Number > from+uint64(o.Subscribers*o.Held) {
					c.Fatalf("the first was %d, admitted from %d", m.Number, from)
				}
				if promised && m.Missed > 0 {
					c.Fatalf("lost %d before %d, admitted from %d", m.Missed, m.Number, from)
				}
				if !promised {
					before = lost + m.Missed
				}
				promised = true
			}
			first, next, lost = false, m.Seq+1, lost+m.Missed
			if taken++; j.Report > 0 && taken%j.Report == 0 {
				c.Send("at %d", taken)
			}
			held = append(held, m)
			for len(held) > j.Hold {
				i, err := check(held[0].Data)
				c.Check(err)
				if i != held[0].Seq {
					c.Fatalf("sample %d turned into %d while it was held", held[0].Seq, i)
				}
				held[0].Release()
				held = held[1:]
			}
			if j.Work > 0 {
				time.Sleep(time.Duration(rand.IntN(j.Work)) * time.Microsecond)
			}
		}
		for {
			n, err := s.NextBatch(context.Background(), batch[:min(len(batch), 4-len(held))])
			if errors.Is(err, io.EOF) {
				break
			}
			c.Check(err)
			for _, m := range batch[:n] {
				look(m)
			}
		}
		for _, m := range held {
			m.Release()
		}
		c.Check(s.Close())
		c.Send("took %d, lost %d, next %d", taken, lost-before, next)
	})
}

// until reads what a child says until a line with the prefix comes.
func until(p *shmtest.Process, prefix string) string {
	for {
		if line := p.Recv(); strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

// TestLossless: three subscribers in processes of their own, one of which is
// killed; the publisher is killed, in the middle of the stream, and another
// goes on. The others get every sample, once and in order.
func TestLossless(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	count := uint64(100_000)
	if testing.Short() {
		count = 10_000
	}
	j := job{Name: name, Policy: topic.Block, Report: 1000, Batch: 3}
	one := start(t, "publisher", j)
	from := one.Recv()
	if from != "from 0" {
		t.Fatal(from)
	}
	var subs [3]*shmtest.Process
	for i := range subs {
		j.Hold, j.Batch = i, 1+i
		subs[i] = start(t, "subscriber", j)
		until(subs[i], "admitted")
	}
	until(subs[0], "at")
	subs[1].Kill()
	until(subs[2], "at")
	one.Kill()
	j.Count, j.Batch = count, 5
	two := start(t, "publisher", j)
	var second uint64
	if _, err := fmt.Sscanf(two.Recv(), "from %d", &second); err != nil || second == 0 {
		t.Fatal(second, err)
	}
	two.Expect("done")
	for _, i := range []int{0, 2} {
		last := until(subs[i], "took")
		var taken, lost, next uint64
		if _, err := fmt.Sscanf(last, "took %d, lost %d, next %d", &taken, &lost, &next); err != nil || lost != 0 || next != second+count {
			t.Errorf("subscriber %d: %s", i, last)
		}
		subs[i].Wait()
	}
	two.Wait()
	if err := topic.Remove(name, nil); err != nil {
		t.Error(err)
	}
}

func init() {
	// A subscriber that takes some and then holds still.
	shmtest.Handle("holder", func(c *shmtest.Child) {
		j := jobOf(c)
		s, err := topic.Subscribe(context.Background(), j.Name, &topic.SubscribeOptions{WaitAdmission: true})
		c.Check(err)
		c.Send("admitted")
		var held []topic.Sample
		for range j.Hold {
			m, err := s.Next(context.Background())
			c.Check(err)
			held = append(held, m)
		}
		c.Send("holds")
		c.Expect("go on") // stopped, and continued, somewhere here
		for _, m := range held {
			i, err := check(m.Data)
			c.Check(err)
			if i != m.Seq {
				c.Fatalf("sample %d turned into %d", m.Seq, i)
			}
		}
		taken, lost := uint64(len(held)), uint64(0)
		for i := range held {
			held[i].Release()
		}
		for m, err := range s.Samples(context.Background()) {
			c.Check(err)
			_, err := check(m.Data)
			c.Check(err)
			taken, lost = taken+1, lost+m.Missed
		}
		st := s.Stats()
		if st.Taken != taken || st.Lost != lost || st.Held != 0 {
			c.Fatalf("%+v, but took %d and lost %d", st, taken, lost)
		}
		c.Check(s.Close())
		c.Send("took %d, lost %d", taken, lost)
	})
}

// TestStopped: under DropOldest a subscriber that is stopped while it holds
// samples does not make the publisher wait; what it holds stays as it is, and
// what it lost is counted exactly.
func TestStopped(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	j := job{Name: name, Policy: topic.DropOldest, Hold: 3}
	p, err := topic.Create(name, j.options())
	if err != nil {
		t.Fatal(err)
	}
	sub := start(t, "holder", j)
	for p.Stats().Subscribers == 0 {
		if err := p.Poll(); err != nil {
			t.Fatal(err)
		}
	}
	sub.Expect("admitted")
	i := uint64(0)
	publish := func() time.Duration {
		begun := time.Now()
		l, err := p.TryLoan(sizeOf(i, sampleMost))
		if err != nil {
			t.Fatal(err)
		}
		fill(l.Bytes(), i)
		if err := l.Publish(); err != nil {
			t.Fatal(err)
		}
		i++
		return time.Since(begun)
	}
	for range 3 {
		publish()
	}
	sub.Expect("holds")
	sub.Stop()
	var longest time.Duration
	n := 300_000
	if testing.Short() {
		n = 30_000
	}
	begun := time.Now()
	for range n {
		longest = max(longest, publish())
	}
	st := p.Stats()
	t.Logf("%v each, the longest %v, %+v", time.Since(begun)/time.Duration(n), longest, st)
	if longest > time.Second {
		t.Errorf("one sample took %v", longest)
	}
	if st.Demoted != 1 || st.Waits != 0 || st.Holes == 0 {
		t.Errorf("%+v", st)
	}
	sub.Cont()
	sub.Send("go on")
	// Asked again, it is admitted again.
	for p.Stats().Subscribers == 0 {
		if err := p.Poll(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		publish()
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	line := sub.Recv()
	var taken, lost uint64
	if _, err := fmt.Sscanf(line, "took %d, lost %d", &taken, &lost); err != nil || taken+lost != i || lost == 0 {
		t.Errorf("%s of %d", line, i)
	}
	sub.Wait()
}

// TestAdmission: a publisher that publishes admits who joins within
// moments, and idle ones do with Options.Housekeep.
func TestAdmission(t *testing.T) {
	for _, mode := range []string{"publishes", "idle", "polls"} {
		t.Run(mode, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			name := shmtest.Name(t)
			o := &topic.Options{}
			if mode == "idle" {
				o.Housekeep = 10 * time.Millisecond
			}
			p, err := topic.Create(name, o)
			if err != nil {
				t.Fatal(err)
			}
			stop, stopped := make(chan bool), make(chan error)
			go func() {
				for {
					var err error
					switch mode {
					case "publishes":
						err = p.Send(context.Background(), []byte("x"))
						time.Sleep(10 * time.Millisecond) // a slow one
					case "polls":
						err = p.Poll()
						time.Sleep(time.Millisecond)
					}
					select {
					case <-stop:
						stopped <- err
						return
					default:
						if err != nil {
							<-stop
							stopped <- err
							return
						}
					}
				}
			}()
			// Without news it would be a second, every time.
			best := time.Hour
			for range 3 {
				begun := time.Now()
				s, err := topic.Subscribe(ctx(t), name, &topic.SubscribeOptions{WaitAdmission: true})
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(begun)
				t.Log(took)
				best = min(best, took)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if best > 900*time.Millisecond {
				t.Errorf("admitted after %v", best)
			}
			stop <- true
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if err := p.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAdmissionLapped: who waits for its admission by a publisher that goes
// round the ring in microseconds need not have luck.
func TestAdmissionLapped(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	p, err := topic.Create(name, &topic.Options{Policy: topic.DropOldest})
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan bool), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := p.Send(context.Background(), []byte("x")); err != nil {
				<-stop
				stopped <- err
				return
			}
		}
	}()
	for range 3 {
		s, err := topic.Subscribe(ctx(t), name, &topic.SubscribeOptions{WaitAdmission: true})
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.Next(ctx(t))
		if err != nil || string(m.Data) != "x" {
			t.Error(string(m.Data), err)
		}
		m.Release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	stop <- true
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}
