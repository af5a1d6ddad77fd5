package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/topic"
)

// topicLine is a topic, and for the way back another.
type topicLine struct {
	s    Spec
	out  *topic.Publisher
	in   []*topic.Subscriber
	data []byte
	all  [][]byte
	into []topic.Sample
	seq  uint64 // samples that were sent or received before
}

var waits = map[string]topic.Wait{spin: topic.Spin, sleep: topic.Sleep, adaptive: topic.Adaptive}

const batchMost = 16

func newTopicLine(s Spec) *topicLine {
	l := &topicLine{s: s, data: make([]byte, s.Size), into: make([]topic.Sample, batchMost)}
	if s.Pattern == throughput && s.Batch > 1 {
		l.into = l.into[:s.Batch]
	}
	for range s.Batch {
		l.all = append(l.all, l.data)
	}
	return l
}

// open makes the topic that this side publishes.
func (l *topicLine) open(o *order, _ *reply) error {
	switch {
	case o.Role == 0:
		return l.create(o.Dir, o.Name+"-there")
	case l.s.Pattern == latency:
		return l.create(o.Dir, o.Name+"-back")
	}
	return nil
}

func (l *topicLine) create(dir, name string) (err error) {
	o := &topic.Options{
		Size: l.s.Size, Slots: l.s.Slots, Subscribers: l.s.Subscribers, Held: batchMost,
		Policy: topic.DropOldest, Dir: dir, Patience: -1, Exclusive: true, Wait: waits[l.s.Wait],
	}
	if l.s.Slots <= l.s.Subscribers*batchMost+1 {
		o.Held = 2
	}
	if l.s.Policy == "block" {
		o.Policy = topic.Block
	}
	l.out, err = topic.Create(name, o)
	return err
}

// join subscribes to the topic that the other side publishes.
func (l *topicLine) join(ctx context.Context, o *order) error {
	name, times := o.Name+"-there", 1
	switch {
	case o.Role > 0 && l.s.Pattern == paced:
		times = l.s.Subscribers
	case o.Role > 0:
	case l.s.Pattern == latency:
		name = o.Name + "-back"
	default:
		return nil
	}
	for range times {
		s, err := topic.Subscribe(ctx, name, &topic.SubscribeOptions{Dir: o.Dir, Wait: waits[l.s.Wait]})
		if err != nil {
			return err
		}
		l.in = append(l.in, s)
	}
	return nil
}

func (l *topicLine) admit(ctx context.Context, o *order) error {
	if l.out == nil {
		return nil
	}
	return l.out.Poll()
}

// loses reports whether subscribers may lose samples in this cell; who was
// lapped asks again while it goes on.
func (l *topicLine) loses() bool {
	return l.s.Pattern == paced || l.s.Pattern == throughput && l.s.Policy == "drop"
}

// admitted checks that what is measured is what is meant.
func (l *topicLine) admitted() error {
	for _, s := range l.in {
		if _, ok := s.Admitted(); !ok && !l.loses() {
			return errors.New("the publisher has not admitted a subscriber")
		}
	}
	return nil
}

func (l *topicLine) drive(ctx context.Context, n int, r *reply) error {
	if err := l.admitted(); err != nil {
		return err
	}
	switch l.s.Pattern {
	case throughput:
		return l.stream(ctx, n)
	case paced:
		return l.pace(ctx, n, r)
	case wakeup:
		return l.wake(ctx, n)
	}
	t := newLaps(n)
	in := l.in[0]
	t.begin()
	for range n {
		if err := l.out.Send(ctx, l.data); err != nil {
			return err
		}
		m, err := in.Next(ctx)
		if err != nil {
			return err
		}
		read(m.Data, false)
		m.Release()
		t.lap()
	}
	r.laps(t.d)
	return nil
}

func (l *topicLine) stream(ctx context.Context, n int) error {
	switch {
	case l.s.Batch > 1:
		for ; n > 0; n -= l.s.Batch {
			if _, err := l.out.SendBatch(ctx, l.all); err != nil {
				return err
			}
		}
		return nil
	case l.s.Read == "touch":
		for range n {
			loan, err := l.out.Loan(ctx, l.s.Size)
			if err != nil {
				return err
			}
			binary.LittleEndian.PutUint64(loan.Bytes(), uint64(n))
			if err := loan.Publish(); err != nil {
				return err
			}
		}
		return nil
	}
	for range n {
		if err := l.out.Send(ctx, l.data); err != nil {
			return err
		}
	}
	return nil
}

// pace publishes a million samples a second, a thousand each millisecond, and
// counts the processor time of the thread while it publishes.
func (l *topicLine) pace(ctx context.Context, n int, r *reply) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const burst = 1000
	next := time.Now()
	for sent := 0; sent < n; sent += burst {
		begun, err := sys.ThreadCPU()
		if err != nil {
			return err
		}
		for range burst {
			if err := l.out.Send(ctx, l.data); err != nil {
				return err
			}
		}
		ended, _ := sys.ThreadCPU()
		r.CPU += float64(ended-begun) / float64(n)
		next = next.Add(time.Millisecond)
		time.Sleep(time.Until(next))
	}
	return nil
}

func (l *topicLine) wake(ctx context.Context, n int) error {
	for range n {
		time.Sleep(l.s.Idle)
		loan, err := l.out.Loan(ctx, l.s.Size)
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(loan.Bytes(), uint64(time.Now().UnixNano()))
		if err := loan.Publish(); err != nil {
			return err
		}
	}
	return nil
}

func (l *topicLine) answer(ctx context.Context, n int, r *reply) error {
	if err := l.admitted(); err != nil {
		return err
	}
	in := l.in[0]
	switch {
	case l.loses():
		return l.follow(ctx, n, r)
	case l.s.Pattern == throughput:
		return l.receive(ctx, n)
	case l.s.Pattern == wakeup:
		var d []int64
		for range n {
			m, err := in.Next(ctx)
			if err != nil {
				return err
			}
			d = append(d, time.Now().UnixNano()-int64(binary.LittleEndian.Uint64(m.Data)))
			m.Release()
		}
		r.laps(d)
		return nil
	}
	for range n {
		m, err := in.Next(ctx)
		if err != nil {
			return err
		}
		read(m.Data, false)
		m.Release()
		if err := l.out.Send(ctx, l.data); err != nil {
			return err
		}
	}
	return nil
}

func (l *topicLine) receive(ctx context.Context, n int) error {
	in, touch := l.in[0], l.s.Read == "touch"
	if l.s.Batch > 1 {
		for n > 0 {
			k, err := in.NextBatch(ctx, l.into)
			if err != nil {
				return err
			}
			for i := range k {
				read(l.into[i].Data, touch)
				l.into[i].Release()
			}
			n -= k
		}
		return nil
	}
	for range n {
		m, err := in.Next(ctx)
		if err != nil {
			return err
		}
		if m.Missed != 0 {
			return fmt.Errorf("%d samples were lost", m.Missed)
		}
		read(m.Data, touch)
		m.Release()
	}
	return nil
}

// follow takes what comes with every subscriber in turn.
func (l *topicLine) follow(ctx context.Context, n int, r *reply) error {
	l.seq += uint64(n)
	for over := false; !over; {
		for _, s := range l.in {
			for {
				k, err := s.NextBatch(ctx, l.into)
				if err != nil {
					return err
				}
				for i := range k {
					m := &l.into[i]
					r.Lost += m.Missed
					over = m.Seq+1 == l.seq
					read(m.Data, l.s.Read == "touch")
					m.Release()
				}
				if over || k < len(l.into) {
					break
				}
			}
		}
	}
	return nil
}

func (l *topicLine) close() error {
	var err error
	for _, s := range l.in {
		err = errors.Join(err, s.Close())
	}
	if l.out != nil {
		err = errors.Join(err, l.out.Remove())
	}
	return err
}
