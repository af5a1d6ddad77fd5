package topic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

func init() {
	// Publishes some, queues one more, lends another, and waits to be killed.
	shmtest.Handle("dying", func(c *shmtest.Child) {
		j := jobOf(c)
		p, err := topic.Create(j.Name, j.options())
		c.Check(err)
		c.Send("there")
		for p.Stats().Subscribers < j.Hold {
			c.Check(p.Poll())
		}
		i := p.Stats().Published
		for range j.Count {
			l, err := p.Loan(context.Background(), sizeOf(i, sampleMost))
			c.Check(err)
			fill(l.Bytes(), i)
			c.Check(l.Publish())
			i++
		}
		l, err := p.Loan(context.Background(), 16)
		c.Check(err)
		c.Check(l.Queue())
		_, err = p.Loan(context.Background(), 16)
		c.Check(err)
		c.Send("published")
		c.Hold()
	})
}

// TestTakeOver: what subscribers hold and have not taken outlives their
// publisher; what it did not come to show never was.
func TestTakeOver(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	j := job{Name: name, Policy: topic.Block, Hold: 2, Count: 5}
	child := start(t, "dying", j)
	child.Expect("there")
	s, err := topic.Subscribe(ctx(t), name, &topic.SubscribeOptions{OwnerGone: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := topic.Subscribe(ctx(t), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	child.Expect("published")
	held, err := s.Next(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	child.Kill()
	// Leaving without a publisher: nobody is there to remove the file.
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i < 5; i++ {
		m, err := s.Next(ctx(t))
		if err != nil || m.Seq != i {
			t.Fatal(m, err)
		}
		m.Release()
	}
	begun := time.Now()
	_, err = s.Next(ctx(t))
	wantErr(t, err, topic.ErrOwnerDied, "no publisher", "start the publisher again")
	if took := time.Since(begun); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("the publisher's death took %v", took)
	}
	_, err = s.Next(ctx(t))
	wantErr(t, err, topic.ErrOwnerDied)

	var log bytes.Buffer
	o := j.options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	p, err := topic.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	if st := p.Stats(); st.Published != 5 || st.Subscribers != 1 {
		t.Errorf("%+v", st)
	}
	if files, _ := filepath.Glob(filepath.Join(shmtest.ShmMount, name+".topic", "[pr].*")); len(files) != 2 {
		t.Errorf("left: %q", files)
	}
	if !strings.Contains(log.String(), "topic taken over") || !strings.Contains(log.String(), "epoch=2") {
		t.Errorf("the log says %q", log.String())
	}
	// The held one is not overwritten, however many come.
	for i := uint64(5); i < 200; i++ {
		if err := p.Send(ctx(t), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if m := next(t, s, fmt.Sprint(i)); m.Seq != i || m.Missed != 0 {
			t.Fatalf("%+v", m)
		} else {
			m.Release()
		}
	}
	if i, err := check(held.Data); i != 0 || err != nil {
		t.Error(i, err)
	}
	held.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.Poll()
	if !strings.Contains(log.String(), `why="it left"`) {
		t.Errorf("the log says %q", log.String())
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}

// TestTakeOverBlind: where the file of an admitted subscriber was removed,
// nobody can see what it holds, and so there is no take-over.
func TestTakeOverBlind(t *testing.T) {
	for _, demoted := range []bool{false, true} {
		name := shmtest.Name(t)
		o := &topic.Options{Slots: 8, Subscribers: 1}
		p, err := topic.Create(name, o)
		if err != nil {
			t.Fatal(err)
		}
		s := subscribe(t, p, name, nil)
		send(t, p, "held")
		m := next(t, s, "held")
		if demoted {
			for range 20 {
				send(t, p, "x")
			}
		}
		p.Close()
		files, _ := filepath.Glob(filepath.Join(shmtest.ShmMount, name+".topic", "r.*"))
		if len(files) != 1 {
			t.Fatal(files)
		}
		os.Rename(files[0], files[0]+"!")
		_, err = topic.Create(name, o)
		wantErr(t, err, topic.ErrBusy, "was removed", "create it anew")
		os.Rename(files[0]+"!", files[0])
		if p, err = topic.Create(name, o); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			send(t, p, "y")
		}
		if string(m.Data) != "held" {
			t.Errorf("%q", m.Data)
		}
		m.Release()
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestEviction: a subscriber that is killed while it holds samples, and one
// that is out of patience.
func TestEviction(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	var log bytes.Buffer
	j := job{Name: name, Policy: topic.Block, Hold: 3}
	o := j.options()
	o.Logger, o.Patience = slog.New(slog.NewTextHandler(&log, nil)), 100*time.Millisecond
	p, err := topic.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	holder := func() *shmtest.Process {
		c := start(t, "holder", j)
		for p.Stats().Subscribers == 0 {
			if err := p.Poll(); err != nil {
				t.Fatal(err)
			}
		}
		c.Expect("admitted")
		for i := range uint64(3) {
			b := make([]byte, 16)
			fill(b, i+p.Stats().Published-i)
			if err := p.Send(ctx(t), b); err != nil {
				t.Fatal(err)
			}
		}
		c.Expect("holds")
		return c
	}
	full := func() (n int) {
		for {
			l, err := p.TryLoan(16)
			if errors.Is(err, topic.ErrFull) {
				return n
			} else if err != nil {
				t.Fatal(err)
			}
			fill(l.Bytes(), p.Stats().Published)
			if err := l.Publish(); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	c := holder()
	if n := full(); n != 32-3 {
		t.Errorf("%d fit beside 3 held", n)
	}
	c.Kill()
	b := make([]byte, 16)
	fill(b, p.Stats().Published)
	if err := p.Send(ctx(t), b); err != nil {
		t.Fatal(err)
	}
	if st := p.Stats(); st.Evicted != 1 || st.Demoted != 0 || st.Subscribers != 0 {
		t.Errorf("%+v", st)
	}
	if !strings.Contains(log.String(), `why="it died"`) {
		t.Errorf("the log says %q", log.String())
	}
	c = holder()
	full()
	begun := time.Now()
	fill(b, p.Stats().Published)
	if err := p.Send(ctx(t), b); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < o.Patience || took > 5*time.Second {
		t.Errorf("patience of %v took %v", o.Patience, took)
	}
	if st := p.Stats(); st.Demoted != 1 || !strings.Contains(log.String(), `why="out of patience"`) {
		t.Errorf("%+v, %q", st, log.String())
	}
	for range 100 {
		fill(b, p.Stats().Published)
		if err := p.Send(ctx(t), b); err != nil {
			t.Fatal(err)
		}
	}
	c.Send("go on") // what it holds is as it was
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	t.Log(c.Recv())
	c.Wait()
}
