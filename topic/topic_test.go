package topic_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

func TestOneToOne(t *testing.T) {
	for _, policy := range []topic.Policy{topic.Block, topic.DropOldest} {
		t.Run(policy.String(), func(t *testing.T) {
			name := shmtest.Name(t)
			p, err := topic.Create(name, &topic.Options{Policy: policy})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { p.Remove() }()
			s, err := topic.Subscribe(ctx(t), name, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := p.Poll(); err != nil {
				t.Fatal(err)
			}
			if from, ok := s.Admitted(); !ok || from != 0 {
				t.Fatal(from, ok)
			}
			for i := range 1000 {
				if err := p.Send(ctx(t), fmt.Appendf(nil, "sample %d", i)); err != nil {
					t.Fatal(err)
				}
				m, err := s.Next(ctx(t))
				if err != nil || string(m.Data) != fmt.Sprintf("sample %d", i) || m.Missed != 0 {
					t.Fatalf("%d: %q, %v", i, m.Data, err)
				}
				m.Release()
			}
			p.Close()
			if _, err := s.Next(ctx(t)); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if q, err := topic.Create(name, &topic.Options{Policy: policy}); err != nil {
				t.Fatal(err)
			} else {
				p = q
			}
			p.Send(ctx(t), []byte("again"))
			m, err := s.Next(ctx(t))
			if err != nil || string(m.Data) != "again" {
				t.Fatalf("%q %v", m.Data, err)
			}
			m.Release()
		})
	}
}

func TestBlockLosesNothing(t *testing.T) {
	name := shmtest.Name(t)
	p, err := topic.Create(name, &topic.Options{Policy: topic.Block, Subscribers: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Remove() }()
	const n = 200000
	done := make(chan error, 3)
	for range 3 {
		s, err := topic.Subscribe(ctx(t), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		go func() {
			for i := uint64(0); ; i++ {
				m, err := s.Next(context.Background())
				if errors.Is(err, io.EOF) {
					if i != n {
						err = fmt.Errorf("ended after %d", i)
					} else {
						err = nil
					}
					done <- err
					return
				}
				if err == nil && binary.LittleEndian.Uint64(m.Data) != i {
					err = fmt.Errorf("got %d, want %d", binary.LittleEndian.Uint64(m.Data), i)
				}
				if err != nil {
					done <- err
					return
				}
				m.Release()
			}
		}()
	}
	p.Poll()
	begin := time.Now()
	for i := range uint64(n) {
		if err := p.Send(ctx(t), binary.LittleEndian.AppendUint64(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(time.Since(begin) / n)
	p.Close()
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
