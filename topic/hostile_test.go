package topic_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

func mapFile(c *shmtest.Child, path string) []byte {
	os.Chmod(path, 0o600) // r.ID is its owner's, but written by no one else
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	c.Check(err)
	defer f.Close()
	st, err := f.Stat()
	c.Check(err)
	b, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	c.Check(err)
	return b
}

func init() {
	// Scribbles over the bell and over its own file, for ever: at random, and
	// with what does most harm.
	shmtest.Handle("scribbler", func(c *shmtest.Child) {
		j := jobOf(c)
		_, err := topic.Subscribe(context.Background(), j.Name, &topic.SubscribeOptions{WaitAdmission: true})
		c.Check(err)
		dir := filepath.Join(shmtest.ShmMount, j.Name+".topic")
		bell := mapFile(c, filepath.Join(dir, "bell"))
		var mine []byte
		files, _ := filepath.Glob(filepath.Join(dir, "r.*"))
		for _, f := range files {
			if b := mapFile(c, f); le.Uint64(b[56:]) == uint64(os.Getpid()) {
				mine = b
			}
		}
		c.Send("at work")
		scribble(mine, bell)
	})
}

// scribble writes into a subscriber's file and into the bell, for ever.
func scribble(mine, bell []byte) {
	const cursor, ask, pins = 4096, 4224, 4352
	for n := uint64(0); ; n++ {
		v := rand.Uint64()
		switch rand.IntN(4) {
		case 0:
			v = le.Uint64(mine[cursor:]) + rand.Uint64N(64)
		case 1:
			v %= 1 << 16
		}
		switch rand.IntN(6) {
		case 0:
			le.PutUint64(mine[cursor:], v)
		case 1:
			le.PutUint64(mine[ask:], v)
		case 2, 3:
			le.PutUint64(mine[pins+8*rand.IntN(8):], v)
		case 4:
			le.PutUint32(bell[4096:], uint32(v))
		case 5:
			le.PutUint32(bell[4224:], uint32(v))
		}
		if n%64 == 0 {
			le.PutUint64(mine[8*rand.IntN(len(mine)/8):], v)
			le.PutUint64(bell[8*rand.IntN(len(bell)/8):], v)
		}
	}
}

// TestScribbler: a subscriber that writes whatever it can, wherever it can,
// harms no other, and the publisher only in time.
func TestScribbler(t *testing.T) {
	for _, policy := range []topic.Policy{topic.Block, topic.DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			shmtest.CheckLeaks(t)
			name := shmtest.Name(t)
			j := job{Name: name, Policy: policy, Hold: 3}
			o := j.options()
			// Longer than a busy machine keeps the good one from running: who
			// moves nothing for the patience is demoted, and may lose.
			o.Patience = time.Second
			p, err := topic.Create(name, o)
			if err != nil {
				t.Fatal(err)
			}
			good := start(t, "subscriber", j)
			bad := start(t, "scribbler", j)
			for p.Stats().Subscribers < 2 {
				if err := p.Poll(); err != nil {
					t.Fatal(err)
				}
			}
			until(good, "admitted")
			bad.Expect("at work")
			limit := 600 * time.Millisecond
			if testing.Short() {
				limit = 150 * time.Millisecond
			}
			i := uint64(0)
			var longest time.Duration
			for begun := time.Now(); time.Since(begun) < limit; i++ {
				at := time.Now()
				l, err := p.Loan(ctx(t), sizeOf(i, sampleMost))
				if err != nil {
					t.Fatal(err)
				}
				fill(l.Bytes(), i)
				if err := l.Publish(); err != nil {
					t.Fatal(err)
				}
				longest = max(longest, time.Since(at))
			}
			t.Logf("%d published, the longest in %v, %+v", i, longest, p.Stats())
			if longest > 5*time.Second {
				t.Errorf("one sample took %v", longest)
			}
			bad.Kill()
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			line := until(good, "took")
			t.Log(line)
			good.Wait()
			if err := p.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
}

func needFaults(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("needs the address of a fault, which the emulator does not tell")
	}
}

// TestTruncatedBell: sleepers go on with short sleeps, and the publisher
// without a look at the bell.
func TestTruncatedBell(t *testing.T) {
	needFaults(t)
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
	if err := os.Truncate(filepath.Join(shmtest.ShmMount, name+".topic", "bell"), 0); err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		for range 10 {
			m, err := s.Next(context.Background())
			if err == nil {
				m.Release()
			}
			got <- err
		}
	}()
	for range 10 {
		send(t, p, "x")
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	if err := p.Poll(); err != nil { // finds it without a bell
		t.Error(err)
	}
	if _, ok := s.Admitted(); !ok {
		t.Error("not admitted")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	// The next publisher mends it.
	if p, err = topic.Create(name, nil); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(shmtest.ShmMount, name+".topic", "bell")); err != nil || st.Size() != 8192 {
		t.Error(st, err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}

// TestTruncatedSubscriber: who cuts its own file short is a subscriber no
// more.
func TestTruncatedSubscriber(t *testing.T) {
	needFaults(t)
	for _, policy := range []topic.Policy{topic.Block, topic.DropOldest} {
		name := shmtest.Name(t)
		p, err := topic.Create(name, &topic.Options{Policy: policy, Slots: 8, Subscribers: 2})
		if err != nil {
			t.Fatal(err)
		}
		good, bad := subscribe(t, p, name, nil), subscribe(t, p, name, nil)
		files, _ := filepath.Glob(filepath.Join(shmtest.ShmMount, name+".topic", "r.*"))
		// Both files are this process's: their cursors tell them apart.
		send(t, p, "first")
		m := next(t, bad, "first")
		m.Release()
		cut := 0
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && le.Uint64(b[4096:]) == 1 {
				os.Chmod(f, 0o600)
				if err := os.Truncate(f, 0); err != nil {
					t.Fatal(err)
				}
				cut++
			}
		}
		if cut != 1 {
			t.Fatal(cut)
		}
		m = next(t, good, "first")
		m.Release()
		for range 30 {
			send(t, p, "x")
			m := next(t, good, "x")
			m.Release()
		}
		if st := p.Stats(); st.Evicted != 1 || st.Subscribers != 1 {
			t.Errorf("%+v", st)
		}
		_, err = bad.Next(ctx(t))
		wantErr(t, err, topic.ErrTruncated, "this subscriber's file")
		bad.Stats()
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}
}

func init() {
	shmtest.Handle("truncated", func(c *shmtest.Child) {
		j := jobOf(c)
		subscribe := topic.Subscribe
		if j.Hold == 0 {
			subscribe = topic.Observe
		}
		s, err := subscribe(context.Background(), j.Name, &topic.SubscribeOptions{From: topic.Oldest})
		c.Check(err)
		c.Send("ready")
		for {
			_, err := s.Next(context.Background())
			if err != nil {
				if !errors.Is(err, topic.ErrTruncated) {
					c.Fatal(err)
				}
				break
			}
		}
		_, err = s.Latest()
		c.Send("%v", errors.Is(err, topic.ErrTruncated))
		s.Stats()
		s.Admitted()
		c.Check(s.Close())
		_, err = topic.Observe(context.Background(), j.Name, nil)
		c.Send("%v", err)
	})
}

// TestTruncatedData: a publisher that cuts its topic short costs its
// subscribers an error, asleep or awake.
func TestTruncatedData(t *testing.T) {
	needFaults(t)
	shmtest.CheckLeaks(t)
	for hold := range 2 {
		name := shmtest.Name(t)
		p, err := topic.Create(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := start(t, "truncated", job{Name: name, Hold: hold})
		c.Expect("ready")
		send(t, p, "x")
		if err := os.Truncate(filepath.Join(shmtest.ShmMount, name+".topic", "data"), 4096); err != nil {
			t.Fatal(err)
		}
		c.Expect("true")
		t.Log(c.Recv())
		c.Wait()
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}
}
