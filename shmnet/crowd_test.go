package shmnet

import (
	"io"
	"sync"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

// TestStir: a sleeper is found and woken without any bell when it has
// something to wake for, and left alone otherwise.
func TestStir(t *testing.T) {
	shmtest.CheckLeaks(t)
	client, server := pair(t, nil)
	defer client.Close()
	defer server.Close()
	got := make(chan string)
	go func() {
		b := make([]byte, 8)
		n, err := server.Read(b)
		if err != nil {
			t.Error(err)
		}
		got <- string(b[:n])
	}()
	eventually(t, "asleep", server.bell.in.napping.Load)
	whole := len(beds.beds)
	for range 2 * whole {
		beds.stir()
	}
	if n := server.bell.naps.Load(); n != 1 {
		t.Errorf("%d naps before anything was sent", n)
	}
	client.out.put([]byte("hello"))
	if !client.out.publish() {
		t.Error("no bell is due")
	}
	eventually(t, "found", func() bool {
		beds.stir()
		select {
		case s := <-got:
			if s != "hello" {
				t.Errorf("%q", s)
			}
			return true
		default:
			return false
		}
	})
	if server.bell.bed.Load() != nil {
		t.Error("its bed is not empty")
	}
}

// TestCrowd has more connections at work than there are processors, and beds.
func TestCrowd(t *testing.T) {
	shmtest.CheckLeaks(t)
	l := listen(t, nil)
	before := crowd.Members()
	conns, rounds := len(beds.beds)+44, 50
	if raceEnabled {
		conns, rounds = 100, 20
	}
	var wg sync.WaitGroup
	for i := range conns {
		client, server := connect(t, l, nil)
		wg.Go(func() {
			defer server.Close()
			if _, err := io.Copy(server, server); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			defer client.Close()
			b := make([]byte, 100)
			for j := range rounds {
				b[0], b[99] = byte(i), byte(j)
				if _, err := client.Write(b); err != nil {
					t.Error(err)
					return
				}
				b[0], b[99] = 0, 0
				if _, err := io.ReadFull(client, b); err != nil || b[0] != byte(i) || b[99] != byte(j) {
					t.Errorf("%d, %d: %v", i, j, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := crowd.Members(); n != before {
		t.Errorf("%d connections are counted, %d before", n, before)
	}
}
