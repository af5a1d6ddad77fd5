//go:build shmpoint

package topic_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// TestProveCut cuts short what others may cut short, at every step: the file
// of a subscriber, and the bell, under a publisher, who must go on as if
// nothing was; and the topic itself under a subscriber, who gets an error.
func TestProveCut(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("needs the address of a fault, which the emulator does not tell")
	}
	a := newToll(t)
	for _, policy := range policies {
		for _, what := range []string{"bell", "subscriber"} {
			for _, op := range []string{"publish", "rounds", "poll", "close"} {
				if op == "rounds" && what == "bell" {
					continue // every sample looks at it alike
				}
				s := stage{Policy: policy, Op: op, Warm: 3, Patience: time.Minute}
				if op == "rounds" {
					s.Patience = 5 * time.Millisecond // with who takes nothing more
				}
				a.each(t, fmt.Sprintf("%v %s, %s cut", policy, op, what), func(t *testing.T, v *shmtest.Victim) {
					proveCutPublisher(t, v, s, what)
				})
			}
		}
		for op := range cutOps {
			s := stage{Policy: policy, Op: op, Warm: 5, Patience: time.Minute}
			a.each(t, fmt.Sprintf("%v %s, data cut", policy, op), func(t *testing.T, v *shmtest.Victim) { proveCutSubscriber(t, v, s) })
		}
	}
}

func proveCutPublisher(t *testing.T, v *shmtest.Victim, s stage, what string) {
	s.Dir = shmtest.Dir(t)
	s.start(t, v, "prove publisher")
	v.Expect("there")
	all := s.Policy == topic.Block && s.Op != "rounds"
	holder := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 1, all)
	other := s.child(t, "prove holder")
	other.Expect("joined")
	v.Send("go")
	v.Expect("ready")
	holder.await(s.Warm, watchdog)
	other.Expect("holds")
	v.Send("go")
	v.Await()
	path := s.bell()
	if what == "subscriber" {
		path = s.fileOf(t, other.PID())
	}
	if path != "" {
		if err := os.Truncate(path, 0); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	v.Resume()
	v.Kill()
	published := acknowledged(v, s.Warm)
	holder.await(published, inTime)
	other.Kill()
	if s.Op == "close" {
		s.finishEnded(t, published, holder)
		return
	}
	p := s.create(t)
	n := p.Stats().Published
	if n != published {
		t.Errorf("%d samples are acknowledged, and the next publisher begins with %d", published, n)
	}
	for range 24 {
		if err := sendSample(p, n); err != nil {
			t.Fatal(err)
		}
		n++
	}
	holder.await(n, inTime)
	holder.release()
	files := s.members()
	if what == "bell" {
		files = 1
	} // else whose that file was nobody can tell any more; it goes with the topic
	s.settle(t, p, 1, files, &n)
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	holder.end(n)
	s.empty(t)
}

// fileOf finds the file of the subscriber that is that process; empty when it
// has none any more.
func (s *stage) fileOf(t *testing.T, pid int) string {
	files, _ := filepath.Glob(filepath.Join(s.Dir, stageName+".topic", "r.*"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && len(b) > 64 && le.Uint64(b[56:]) == uint64(pid) {
			return f
		}
	}
	return ""
}

// cutOps are what a subscriber does while somebody cuts the topic short. It
// touches no sample: that may fault, as Sample says.
var cutOps = map[string]func(v *victim) error{
	"subscribe": func(v *victim) error {
		s, err := topic.Subscribe(context.Background(), stageName, &topic.SubscribeOptions{Dir: v.Dir, From: topic.Oldest})
		if err == nil {
			err = s.Close()
		}
		return err
	},
	"take": func(v *victim) error {
		for range 3 {
			m, err := v.s.TryNext()
			if err != nil {
				return err
			}
			m.Release()
		}
		return nil
	},
	"batch": func(v *victim) error {
		var into [2]topic.Sample
		n, err := v.s.NextBatch(context.Background(), into[:])
		for i := range into[:n] {
			into[i].Release()
		}
		return err
	},
	"sleep": func(v *victim) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		for {
			m, err := v.s.Next(ctx)
			if err != nil {
				return err
			}
			m.Release()
		}
	},
	"close": func(v *victim) error { return v.s.Close() },
}

func init() {
	shmtest.Handle("prove cut", func(c *shmtest.Child) {
		v := newVictim(c)
		if v.Op != "subscribe" {
			v.join()
		}
		c.Send("ready")
		c.Expect("go")
		c.Steps(func() {
			err := cutOps[v.Op](v)
			switch {
			case err == nil, errors.Is(err, topic.ErrTruncated), errors.Is(err, topic.ErrCorrupt):
			case v.Op == "sleep" && errors.Is(err, context.DeadlineExceeded):
			default:
				c.Fatal(err)
			}
		}, v.bell())
		c.Hold()
	})
}

func proveCutSubscriber(t *testing.T, v *shmtest.Victim, s stage) {
	s.Dir = shmtest.Dir(t)
	first := s.child(t, "prove publisher")
	first.Expect("there")
	first.Send("go")
	first.Expect("ready")
	s.start(t, v, "prove cut")
	v.Expect("ready")
	v.Send("go")
	if _, stands := v.Await(); stands {
		first.Kill() // else it would be its publisher that dies of it
		if err := os.Truncate(filepath.Join(s.Dir, stageName+".topic", "data"), 0); err != nil {
			t.Fatal(err)
		}
	}
	v.Resume()
	v.Kill()
	first.Kill()
	// What is left can be removed.
	if err := topic.Remove(stageName, &topic.RemoveOptions{Dir: s.Dir}); err != nil {
		t.Error(err)
	}
	s.empty(t)
}
