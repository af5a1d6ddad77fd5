package topic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// wantErr checks that err is of the kind, a *shm.Error, and says all of it.
func wantErr(t testing.TB, err, kind error, says ...string) {
	t.Helper()
	var e *shm.Error
	if !errors.Is(err, kind) || !errors.As(err, &e) || e.Kind != "topic" || !strings.HasPrefix(e.Name, "topic:") {
		t.Errorf("got %v (%T), want %v of a topic", err, err, kind)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error()+"\n"+e.Hint, s) {
			t.Errorf("%q does not say %q", err.Error()+"\n"+e.Hint, s)
		}
	}
}

func create(t testing.TB, o *topic.Options) *topic.Publisher {
	t.Helper()
	p, err := topic.Create(shmtest.Name(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Remove() })
	return p
}

// subscribe joins and is admitted.
func subscribe(t testing.TB, p *topic.Publisher, name string, o *topic.SubscribeOptions) *topic.Subscriber {
	t.Helper()
	s, err := topic.Subscribe(ctx(t), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Poll(); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Admitted(); !ok {
		t.Fatal("not admitted")
	}
	return s
}

func send(t testing.TB, p *topic.Publisher, text string) {
	t.Helper()
	if err := p.Send(ctx(t), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func next(t testing.TB, s *topic.Subscriber, want string) topic.Sample {
	t.Helper()
	m, err := s.Next(ctx(t))
	if err != nil || string(m.Data) != want {
		t.Fatalf("got %q, %v, want %q", m.Data, err, want)
	}
	return m
}

func soon(t testing.TB, d time.Duration) context.Context {
	c, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return c
}

func TestSampleTooLarge(t *testing.T) {
	p := create(t, &topic.Options{Size: 100})
	wantErr(t, p.Send(ctx(t), make([]byte, 101)), syscall.EMSGSIZE, "101 bytes", "slots of 100")
	_, err := p.Loan(ctx(t), -1)
	wantErr(t, err, syscall.EMSGSIZE)
	n, err := p.SendBatch(ctx(t), [][]byte{{1}, make([]byte, 100), make([]byte, 101), {2}})
	if wantErr(t, err, syscall.EMSGSIZE); n != 2 || p.Stats().Published != 2 {
		t.Errorf("%d of the batch, %+v", n, p.Stats())
	}
	send(t, p, strings.Repeat("x", 100))
}

type point struct{ X, Y int64 }

type line struct{ A, B point }

func TestType(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Of[point]{}.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Remove()
	_, err = topic.Of[line]{}.Subscribe(ctx(t), name, nil)
	wantErr(t, err, topic.ErrType, "topic_test.point", "topic_test.line")
	_, err = topic.Of[line]{}.Observe(ctx(t), name, nil)
	wantErr(t, err, topic.ErrType)
	_, err = topic.Of[*int]{}.Create(name, nil)
	wantErr(t, err, topic.ErrType, "an address of this process")
	_, err = topic.Of[struct{ N int }]{}.Subscribe(ctx(t), name, nil)
	wantErr(t, err, topic.ErrType, "use int64")
	p.Close()
	_, err = topic.Of[line]{}.Create(name, nil)
	wantErr(t, err, topic.ErrType, "point", "line")
	_, err = topic.Create(name, nil)
	wantErr(t, err, topic.ErrType, "bytes of a payload: 16, asked for 1024")

	// The right one, in place and as a copy.
	q, err := topic.Of[point]{}.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Remove()
	s, err := topic.Of[point]{}.Subscribe(ctx(t), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range int64(3) {
		if err := q.Send(ctx(t), point{i, -i}); err != nil {
			t.Fatal(err)
		}
		m, err := s.Next(ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.Value(m)
		if err != nil || *v != (point{i, -i}) {
			t.Errorf("%v, %v", v, err)
		}
		m.Release()
	}
	if _, err := s.Value(topic.Sample{Data: make([]byte, 8)}); !errors.Is(err, topic.ErrType) {
		t.Error(err)
	}
}

// TestVersion: layouts that this version does not know. Their first words are
// all that is ever read of them.
func TestVersion(t *testing.T) {
	for _, tt := range []struct {
		version, least uint32
		want           error
	}{
		{9, 9, topic.ErrVersion}, {2, 1, nil}, {0, 0, topic.ErrCorrupt}, {1, 0, topic.ErrCorrupt},
	} {
		t.Run(fmt.Sprint(tt.version, tt.least), func(t *testing.T) {
			name := shmtest.Name(t)
			p, err := topic.Create(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer topic.Remove(name, &topic.RemoveOptions{Force: true})
			p.Close()
			f, err := os.OpenFile(filepath.Join(shmtest.ShmMount, name+".topic", "data"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt(le.AppendUint32(le.AppendUint32(nil, tt.version), tt.least), 8)
			f.Close()
			s, err := topic.Subscribe(ctx(t), name, nil)
			q, err2 := topic.Create(name, nil)
			if tt.want == nil {
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				s.Close()
				q.Close()
				return
			}
			wantErr(t, err, tt.want, fmt.Sprint("version ", tt.version))
			wantErr(t, err2, tt.want)
		})
	}
}

// TestSubscriberTooMany: who finds no place reads as an observer does, and is
// told so where it waits for one.
func TestSubscriberTooMany(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, &topic.Options{Subscribers: 2, Slots: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Remove()
	one := subscribe(t, p, name, nil)
	subscribe(t, p, name, nil)
	three, err := topic.Subscribe(ctx(t), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer three.Close()
	p.Poll()
	err = three.WaitAdmitted(soon(t, 20*time.Millisecond))
	wantErr(t, err, topic.ErrBusy, "all 2 places", "Options.Subscribers")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	send(t, p, "for all")
	next(t, three, "for all")
	if st := three.Stats(); st.Copied != 1 || st.Taken != 1 {
		t.Errorf("%+v", st)
	}
	// A place becomes free.
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	p.Poll()
	if err := three.WaitAdmitted(ctx(t)); err != nil {
		t.Fatal(err)
	}
	o, err := topic.Observe(ctx(t), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	wantErr(t, o.WaitAdmitted(soon(t, time.Millisecond)), context.DeadlineExceeded, "observers")
}

func TestSecondPublisher(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Remove()
	_, err = topic.Create(name, nil)
	wantErr(t, err, topic.ErrBusy, fmt.Sprintf("process %d", os.Getpid()))
	p.Close()
	_, err = topic.Create(name, &topic.Options{Exclusive: true})
	wantErr(t, err, fs.ErrExist)
	for what, o := range map[string]*topic.Options{
		"slots: 32, asked for 64": {Slots: 64}, "policy": {Policy: topic.Block}, "patience: 10s, asked for 1s": {Patience: time.Second},
		"held: 2, asked for 3": {Held: 3}, "sharing": {Sharing: topic.All},
	} {
		_, err = topic.Create(name, o)
		wantErr(t, err, topic.ErrType, what)
	}
}

// TestFenced: a publisher whose locks were lost by a bug stores nothing more
// once another one is there.
func TestFenced(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, p, name, nil)
	send(t, p, "zero")
	m := next(t, s, "zero")
	m.Release()
	l, err := p.Loan(ctx(t), 8)
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, filepath.Join(shmtest.ShmMount, name+".topic", "lock"))
	q, err := topic.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Remove()
	// What the old one stores into its loan from now on can still hurt; what
	// it has stored does not.
	copy(l.Bytes(), "zombie..")
	send(t, q, "one")
	wantErr(t, l.Publish(), topic.ErrFenced)
	_, err = p.Loan(ctx(t), 1)
	wantErr(t, err, topic.ErrFenced)
	wantErr(t, p.Send(ctx(t), nil), topic.ErrFenced)
	wantErr(t, p.Poll(), topic.ErrFenced)
	wantErr(t, p.Remove(), topic.ErrBusy)
	m = next(t, s, "one")
	m.Release()
	send(t, q, "two")
	m = next(t, s, "two")
	m.Release()
}

// unlock takes away the lock that this process has on a file.
func unlock(t testing.TB, path string) {
	want, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if is, err := os.Stat(fd); err == nil && os.SameFile(is, want) {
			var n uintptr
			fmt.Sscan(filepath.Base(fd), &n)
			const setOFD = 37 // F_OFD_SETLK
			if err := syscall.FcntlFlock(n, setOFD, &syscall.Flock_t{Type: syscall.F_UNLCK, Len: 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRemovedInUse: the name goes away, by rm or a tool, while everybody is
// at work.
func TestRemovedInUse(t *testing.T) {
	for _, how := range []string{"rm", "Remove"} {
		t.Run(how, func(t *testing.T) {
			name := shmtest.Name(t)
			p, err := topic.Create(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			s := subscribe(t, p, name, nil)
			send(t, p, "last")
			if how == "rm" {
				err = os.RemoveAll(filepath.Join(shmtest.ShmMount, name+".topic"))
			} else {
				err = topic.Remove(name, &topic.RemoveOptions{Force: true})
			}
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, p.Poll(), topic.ErrRemoved, "removed or replaced", "create the topic anew")
			m := next(t, s, "last") // nothing is lost
			_, err = s.Next(ctx(t))
			wantErr(t, err, topic.ErrRemoved, "subscribe again")
			if string(m.Data) != "last" {
				t.Errorf("%q", m.Data)
			}
			m.Release()
			// A new topic of the name is another one.
			q, err := topic.Create(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			send(t, q, "new")
			_, err = s.Next(ctx(t))
			wantErr(t, err, topic.ErrRemoved)
			wantErr(t, p.Remove(), topic.ErrRemoved)
			if err := q.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
	wantErr(t, topic.Remove("no such topic", nil), fs.ErrNotExist)
	_, err := topic.Subscribe(ctx(t), "no such topic", nil)
	wantErr(t, err, fs.ErrNotExist)
	_, err = topic.Observe(soon(t, 10*time.Millisecond), "no such topic", &topic.SubscribeOptions{WaitTopic: true})
	if wantErr(t, err, fs.ErrNotExist); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	p := create(t, nil)
	err = topic.Remove(strings.TrimSuffix(filepath.Base(shmtest.Name(t)), "x")+"y", nil)
	wantErr(t, err, fs.ErrNotExist)
	_ = p
}

func init() {
	shmtest.Handle("full", func(c *shmtest.Child) {
		_, err := topic.Create("x", &topic.Options{Size: 1 << 20})
		c.Send("%v: %v", errors.Is(err, shm.ErrNoSpace), err)
		left, _ := os.ReadDir(shmtest.ShmMount)
		c.Send("left %d", len(left))
		p, err := topic.Create("x", nil)
		c.Check(err)
		fill, err := os.Create(shmtest.ShmMount + "/filler")
		c.Check(err)
		for {
			if _, err := fill.Write(make([]byte, 4096)); err != nil {
				break
			}
		}
		_, err = topic.Subscribe(context.Background(), "x", nil)
		c.Send("%v: %v", errors.Is(err, shm.ErrNoSpace), err)
		// What is there works on: its memory was reserved.
		o, err := topic.Observe(context.Background(), "x", nil)
		c.Check(err)
		for i := range 100 {
			c.Check(p.Send(context.Background(), []byte{byte(i)}))
			m, err := o.Next(context.Background())
			c.Check(err)
			if m.Data[0] != byte(i) {
				c.Fatal(m)
			}
		}
		c.Check(o.Close())
		c.Check(p.Remove())
	})
}

func TestFull(t *testing.T) {
	p := shmtest.Command{Handler: "full", ShmSize: 2 << 20}.Start(t)
	for _, want := range []string{"32 slots x 1048576 bytes need", "left 0", "a subscriber needs"} {
		line := p.Recv()
		if !strings.Contains(line, want) || strings.HasPrefix(line, "false") {
			t.Errorf("%q does not say %q", line, want)
		}
		t.Log(line)
	}
	p.Wait()
}

func TestNames(t *testing.T) {
	dir := shmtest.Dir(t)
	for _, name := range []string{"with spaces in it", "räuber \u2603 \U0001F600", strings.Repeat("n", 200)} {
		p, err := topic.Create(name, &topic.Options{Dir: dir})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		s, err := topic.Subscribe(ctx(t), name, &topic.SubscribeOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		send(t, p, name)
		m := next(t, s, name)
		m.Release()
		if names, err := topic.List(dir); err != nil || len(names) != 1 || names[0] != name {
			t.Errorf("%q, %v", names, err)
		}
		s.Close()
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}
	for name, says := range map[string]string{
		"a/b": "slash", "": "empty", ".hidden": "dot", "..": "dot", strings.Repeat("n", 300): "300 bytes", "a\nb": "control", "a\x00b": "control", "\xff": "UTF-8",
	} {
		_, err := topic.Create(name, &topic.Options{Dir: dir})
		wantErr(t, err, fs.ErrInvalid, says)
		_, err = topic.Subscribe(ctx(t), name, &topic.SubscribeOptions{Dir: dir})
		wantErr(t, err, fs.ErrInvalid, says)
	}
}

func TestOptions(t *testing.T) {
	for says, o := range map[string]*topic.Options{
		"must be a power of two": {Slots: 33}, "use 128 slots": {Slots: 64, Subscribers: 32}, "0 samples held": {Held: -1},
		"subscribers: 1 to 4096": {Subscribers: 5000}, "held by a subscriber: 1 to 64": {Held: 65}, "policy 7": {Policy: 7},
		"aligned to 48": {Align: 48}, "at least 1 is needed": {Size: -1},
	} {
		_, err := topic.Create(shmtest.Name(t), o)
		if says == "0 samples held" {
			says = "-1 samples held"
		}
		wantErr(t, err, fs.ErrInvalid, says)
	}
	// Defaults that fit one another, and whole pages.
	name := shmtest.Name(t)
	p, err := topic.Create(name, &topic.Options{Subscribers: 100, Held: 3, Align: 4096, Size: 5000, HugePages: true})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Remove()
	s := subscribe(t, p, name, nil)
	if o := s.Options(); o.Slots != 512 || o.Align != 4096 || o.Size != 5000 || o.Subscribers != 100 || o.Patience != topic.DefaultPatience {
		t.Errorf("%+v", o)
	}
	for range 3 {
		l, err := p.Loan(ctx(t), 5000)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(l.Bytes()); n != 5000 || cap(l.Bytes()) != 5000 {
			t.Error(n, cap(l.Bytes()))
		}
		l.User, l.Flags = 7, 8
		if err := l.Publish(); err != nil {
			t.Fatal(err)
		}
		m, err := s.Next(ctx(t))
		if err != nil || m.User != 7 || m.Flags != 8 || time.Since(m.Time()) > time.Minute || len(m.Data) != 5000 {
			t.Errorf("%+v, %v", m, err)
		}
		m.Release()
	}
}

// TestNeverReleases: a subscriber that holds all it may gets no more, and
// nobody else suffers, under either policy.
func TestNeverReleases(t *testing.T) {
	for _, policy := range []topic.Policy{topic.Block, topic.DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			name := shmtest.Name(t)
			p, err := topic.Create(name, &topic.Options{Policy: policy, Slots: 8, Subscribers: 2, Held: 2, Patience: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Remove()
			greedy, good := subscribe(t, p, name, nil), subscribe(t, p, name, nil)
			var held []topic.Sample
			taken, lost := 0, 0
			for i := range 100 {
				send(t, p, fmt.Sprint(i))
				m := next(t, good, fmt.Sprint(i))
				m.Release()
				m, err := greedy.TryNext()
				switch {
				case i < 2:
					if err != nil {
						t.Fatal(err)
					}
					held = append(held, m)
				case p.Stats().Demoted == 0:
					wantErr(t, err, topic.ErrHeld, "2 samples are held")
					continue
				case err != nil:
					t.Fatal(err)
				}
				taken, lost = taken+1, lost+int(m.Missed)
			}
			for i := range held {
				if string(held[i].Data) != fmt.Sprint(i) {
					t.Errorf("sample %d turned into %q", i, held[i].Data)
				}
			}
			wantErr(t, greedy.Close(), topic.ErrBusy, "2 samples are held", "release them first")
			for i := range held {
				held[i].Release()
				held[i].Release() // once too often
			}
			// It was demoted, and got copies from then on.
			for taken+lost < 100 {
				m, err := greedy.TryNext()
				if err != nil {
					t.Fatal(err)
				}
				taken, lost = taken+1, lost+int(m.Missed)
				m.Release()
			}
			if st := greedy.Stats(); st.Taken != uint64(taken) || st.Lost != uint64(lost) || lost == 0 || st.Copied != st.Taken-2 {
				t.Errorf("%+v, took %d, lost %d", st, taken, lost)
			}
			if st := p.Stats(); st.Demoted != 1 || policy == topic.Block && st.Waits == 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestNeverPublishes: a loan that is never published is in nobody's way but
// its publisher's.
func TestNeverPublishes(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, p, name, nil)
	send(t, p, "before")
	l, err := p.Loan(ctx(t), 10)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Loan(ctx(t), 10)
	wantErr(t, err, topic.ErrBusy, "publish or discard it first")
	wantErr(t, p.Send(ctx(t), nil), topic.ErrBusy)
	for _, end := range []func() error{p.Close, p.Remove} {
		wantErr(t, end(), topic.ErrBusy, "a loan is out", "discard it first")
	}
	m := next(t, s, "before")
	m.Release()
	if _, err := s.TryNext(); !errors.Is(err, topic.ErrEmpty) {
		t.Error(err)
	}
	l.Discard()
	l.Discard()
	wantErr2 := l.Publish()
	if !errors.Is(wantErr2, fs.ErrClosed) {
		t.Error(wantErr2)
	}
	for i := range 100 { // discarded ones cost no room
		l, err := p.TryLoan(10)
		if err != nil {
			t.Fatal(i, err)
		}
		l.Discard()
	}
	send(t, p, "after")
	if m := next(t, s, "after"); m.Missed != 0 || m.Seq != 1 {
		t.Errorf("%+v", m)
	} else {
		m.Release()
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if err := p.Remove(); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestAfterClose: no method of what is closed touches memory.
func TestAfterClose(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	p, err := topic.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := topic.Subscribe(ctx(t), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	send(t, p, "x")
	m := next(t, s, "x") // a copy
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if string(m.Data) != "x" {
		t.Error(m)
	}
	m.Release()
	_, err = s.Next(ctx(t))
	wantErr(t, err, fs.ErrClosed)
	_, err = s.TryNext()
	wantErr(t, err, fs.ErrClosed)
	_, err = s.Latest()
	wantErr(t, err, fs.ErrClosed)
	_, err = s.NextBatch(ctx(t), make([]topic.Sample, 2))
	wantErr(t, err, fs.ErrClosed)
	wantErr(t, s.WaitAdmitted(ctx(t)), fs.ErrClosed)
	s.Stats()
	s.Options()
	if _, ok := s.Admitted(); ok {
		t.Error("admitted")
	}
	_, err = p.Loan(ctx(t), 1)
	wantErr(t, err, fs.ErrClosed)
	_, err = p.SendBatch(ctx(t), [][]byte{{1}})
	wantErr(t, err, fs.ErrClosed)
	wantErr(t, p.Poll(), fs.ErrClosed)
	wantErr(t, p.Flush(), fs.ErrClosed)
	if st := p.Stats(); st.Published != 1 {
		t.Errorf("%+v", st)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}

// TestCloseWakes: Close ends every Next that waits.
func TestCloseWakes(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	p, err := topic.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Remove()
	for _, wait := range []topic.Wait{topic.Adaptive, topic.Sleep, topic.Spin} {
		s, err := topic.Subscribe(ctx(t), name, &topic.SubscribeOptions{Wait: wait})
		if err != nil {
			t.Fatal(err)
		}
		other, err := topic.Observe(ctx(t), name, &topic.SubscribeOptions{Wait: wait})
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		begun := make(chan bool)
		for range 5 {
			go func() {
				begun <- true
				_, err := s.Next(context.Background())
				errs <- err
			}()
			<-begun
		}
		go func() {
			_, err := other.Next(context.Background())
			errs <- err
		}()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			wantErr(t, <-errs, fs.ErrClosed)
		}
		other.Close()
		wantErr(t, <-errs, fs.ErrClosed)
	}
}

func init() {
	shmtest.Handle("stranger", func(c *shmtest.Child) {
		_, err := topic.Subscribe(context.Background(), c.Args[0], nil)
		c.Send("subscribe: %v %v", errors.Is(err, fs.ErrPermission), err)
		_, err = topic.Observe(context.Background(), c.Args[0], nil)
		c.Send("observe: %v %v", errors.Is(err, fs.ErrPermission), err)
		_, err = topic.Create(c.Args[0], nil)
		c.Send("create: %v %v", errors.Is(err, fs.ErrPermission), err)
	})
}

func TestPermission(t *testing.T) {
	other := shmtest.Other(t)
	for sharing, want := range map[topic.Sharing][3]string{
		topic.Private: {"true", "true", "true"}, topic.ObserveOnly: {"true", "false", "true"}, topic.All: {"false", "false", "true"},
	} {
		name := shmtest.Name(t)
		p, err := topic.Create(name, &topic.Options{Sharing: sharing})
		if err != nil {
			t.Fatal(err)
		}
		c := shmtest.Command{Handler: "stranger", Args: []string{name}, User: other}.Start(t)
		for i, what := range []string{"subscribe", "observe", "create"} {
			line := c.Recv()
			t.Log(line)
			if !strings.HasPrefix(line, what+": "+want[i]) {
				t.Errorf("sharing %v: %s, want %s", sharing, line, want[i])
			}
		}
		c.Wait()
		uid := uint32(65534)
		_, err = topic.Observe(ctx(t), name, &topic.SubscribeOptions{UID: &uid})
		wantErr(t, err, fs.ErrPermission, "belongs to uid 0")
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestEnd: io.EOF comes when everything was taken, and not for ever.
func TestEnd(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, p, name, nil)
	for range 3 {
		l, err := p.Loan(ctx(t), 1)
		if err != nil {
			t.Fatal(err)
		}
		l.Bytes()[0] = 'q'
		if err := l.Queue(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.TryNext(); !errors.Is(err, topic.ErrEmpty) {
		t.Error("queued samples are shown:", err)
	}
	p.Close() // shows them
	n := 0
	for m, err := range s.Samples(ctx(t)) {
		if err != nil || string(m.Data) != "q" {
			t.Error(m, err)
		}
		n++
	}
	if n != 3 {
		t.Error(n)
	}
	late, err := topic.Subscribe(ctx(t), name, &topic.SubscribeOptions{From: topic.Oldest})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if m, err := late.Latest(); err != nil || m.Seq != 2 || string(m.Data) != "q" {
		t.Error(m, err)
	}
	for range 3 {
		next(t, late, "q")
	}
	if _, err := late.Next(ctx(t)); err != io.EOF {
		t.Error(err)
	}
	wantErr(t, late.WaitAdmitted(soon(t, time.Millisecond)), topic.ErrOwnerDied, "no publisher")
	if p, err = topic.Create(name, nil); err != nil {
		t.Fatal(err)
	}
	defer p.Remove()
	send(t, p, "again")
	for _, s := range []*topic.Subscriber{s, late} {
		if m := next(t, s, "again"); m.Seq != 3 || m.Missed != 0 {
			t.Errorf("%+v", m)
		} else {
			m.Release()
		}
	}
}

// TestCancel: a context ends a wait at once, that of the publisher too.
func TestCancel(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, &topic.Options{Policy: topic.Block, Slots: 8, Subscribers: 1, Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Remove()
	s := subscribe(t, p, name, nil)
	var worst time.Duration
	for range 20 {
		c, cancel := context.WithCancel(t.Context())
		done := make(chan time.Time)
		go func() {
			_, err := s.Next(c)
			done <- time.Now()
			if wantErr(t, err, context.Canceled); err == nil {
				t.Error("no error")
			}
		}()
		time.Sleep(2 * time.Millisecond) // it sleeps by then, or not: both must do
		begun := time.Now()
		cancel()
		worst = max(worst, (<-done).Sub(begun))
	}
	t.Log("Next:", worst)
	for i := range 8 {
		send(t, p, fmt.Sprint(i))
	}
	_, err = p.TryLoan(1)
	wantErr(t, err, topic.ErrFull, fmt.Sprintf("process %d", os.Getpid()))
	begun := time.Now()
	_, err = p.Loan(soon(t, 20*time.Millisecond), 1)
	t.Log("Loan:", time.Since(begun)-20*time.Millisecond)
	wantErr(t, err, context.DeadlineExceeded)
	n, err := p.SendBatch(soon(t, time.Millisecond), [][]byte{{1}, {2}})
	if wantErr(t, err, context.DeadlineExceeded); n != 0 {
		t.Error(n)
	}
	m := next(t, s, "0")
	// What is held takes a slot from the ring: that of 1 is the next.
	_, err = p.TryLoan(1)
	wantErr(t, err, topic.ErrFull)
	m.Release()
	send(t, p, "8")
}
