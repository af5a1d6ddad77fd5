package topic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// threads is how many threads this process has.
func threads(t testing.TB) (n int) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nThreads:")
	fmt.Sscan(rest, &n)
	return n
}

func crowd() int {
	if testing.Short() {
		return 2000
	}
	return 10_000
}

// TestCrowd: many goroutines wait on one Subscriber. Each sample goes to one
// of them.
func TestCrowd(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	n := crowd()
	p, err := topic.Create(name, &topic.Options{Policy: topic.Block, Slots: 64})
	if err != nil {
		t.Fatal(err)
	}
	s, err := topic.Subscribe(ctx(t), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Poll()
	before := threads(t)
	got := make([]int, n)
	var wg, ready sync.WaitGroup
	ready.Add(n)
	for range n {
		wg.Go(func() {
			ready.Done()
			m, err := s.Next(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			i := int(le.Uint32(m.Data))
			m.Release()
			got[i]++
		})
	}
	ready.Wait()
	for s.Stats().Sleeps == 0 {
		time.Sleep(time.Millisecond)
	}
	if more := threads(t) - before; more > 12 {
		t.Errorf("%d threads more for %d goroutines", more, n)
	} else {
		t.Logf("%d threads more for %d goroutines", more, n)
	}
	begun := time.Now()
	for i := range n {
		if err := p.Send(ctx(t), le.AppendUint32(nil, uint32(i))); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	t.Log(time.Since(begun) / time.Duration(n))
	for i, times := range got {
		if times != 1 {
			t.Fatalf("sample %d was taken %d times", i, times)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}

// TestObservers: thousands of observers in one process get every sample, need
// a handful of threads, and disturb neither the publisher nor a subscriber.
func TestObservers(t *testing.T) {
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	p, err := topic.Create(name, &topic.Options{Policy: topic.Block, Slots: 64})
	if err != nil {
		t.Fatal(err)
	}
	s, err := topic.Subscribe(ctx(t), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Poll()
	before := threads(t)
	files, err := os.ReadDir(shmtest.ShmMount + "/" + name + ".topic")
	if err != nil {
		t.Fatal(err)
	}
	n := crowd()
	const each = 5
	var wg, ready sync.WaitGroup
	ready.Add(n)
	for range n {
		o, err := topic.Observe(ctx(t), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer o.Close()
			ready.Done()
			for i := range each {
				m, err := o.Next(context.Background())
				if err != nil || m.Missed != 0 || string(m.Data) != fmt.Sprint(i) {
					t.Errorf("%d: %q, %v", i, m.Data, err)
					return
				}
			}
			if _, err := o.Next(context.Background()); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	if now, err := os.ReadDir(shmtest.ShmMount + "/" + name + ".topic"); err != nil || len(now) != len(files) {
		t.Errorf("%d files, before %d, %v", len(now), len(files), err)
	}
	for i := range each {
		begun := time.Now()
		send(t, p, fmt.Sprint(i))
		took := time.Since(begun)
		m := next(t, s, fmt.Sprint(i))
		m.Release()
		if more := threads(t) - before; more > 12 || i == 0 {
			t.Logf("%d threads more for %d observers; publishing took %v", more, n, took)
			if more > 12 {
				t.Errorf("%d threads", more)
			}
		}
	}
	if st := p.Stats(); st.Subscribers != 1 || st.Demoted != 0 {
		t.Errorf("%+v", st)
	}
	p.Close()
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}
