//go:build shmpoint || (linux && amd64)

package topic_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/topic"
)

// stage is a topic for a victim, small enough that a few samples go round it.
type stage struct {
	Dir      string
	Policy   topic.Policy
	Patience time.Duration
	Op       string
	Warm     uint64 // samples before the operation
}

const (
	stageName = "stage"
	stageSize = 64
	// inTime is how long it may take until those who live have got over a
	// death. The protocol's own bound is 100 ms for a sleep; the rest is for
	// a machine that has other things to do.
	inTime = 5 * time.Second
)

func (s *stage) options() *topic.Options {
	return &topic.Options{
		Size: stageSize, Slots: 8, Subscribers: 3, Held: 2, Policy: s.Policy, Patience: s.Patience, Dir: s.Dir,
	}
}

func (s *stage) create(t testing.TB) *topic.Publisher {
	t.Helper()
	p, err := topic.Create(stageName, s.options())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *stage) subscribe(t testing.TB, o topic.SubscribeOptions) *topic.Subscriber {
	t.Helper()
	o.Dir = s.Dir
	sub, err := topic.Subscribe(ctx(t), stageName, &o)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func (s *stage) look(t testing.TB) *topicdir.Info {
	t.Helper()
	info, err := topicdir.Inspect(stageName, &topicdir.OpenOptions{Dir: s.Dir})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// send publishes sample i.
func sendSample(p *topic.Publisher, i uint64) error {
	b := make([]byte, sizeOf(i, stageSize))
	fill(b, i)
	c, cancel := context.WithTimeout(context.Background(), watchdog)
	defer cancel()
	return p.Send(c, b)
}

// empty checks that nothing is left in the directory.
func (s *stage) empty(t testing.TB) {
	t.Helper()
	all, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range all {
		t.Errorf("left: %s", e.Name())
	}
}

// bell is the file that everybody writes.
func (s *stage) bell() string { return filepath.Join(s.Dir, stageName+".topic", "bell") }

// asleep reports whether somebody says that it sleeps.
func (s *stage) asleep(t *testing.T) bool {
	b, err := os.ReadFile(s.bell())
	if err != nil {
		t.Fatal(err)
	}
	return le.Uint32(b[topicdir.BellSleepers:]) != 0
}

// awaitSleep waits until somebody says that it sleeps.
func (s *stage) awaitSleep(t *testing.T) {
	t.Helper()
	for begun := time.Now(); !s.asleep(t); time.Sleep(time.Millisecond) {
		if time.Since(begun) > watchdog {
			t.Fatalf("after %v nobody says that it sleeps", watchdog)
		}
	}
}
