package shmnet

import (
	"io"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

// TestBellLeft: a bell that a sleeper has woken up from is left where it is,
// does not end the next sleep, and hides no bell that comes beside it.
func TestBellLeft(t *testing.T) {
	shmtest.CheckLeaks(t)
	client, server := pair(t, nil)
	defer client.Close()
	defer server.Close()
	b := &server.bell
	left := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.stale
	}
	got := make(chan byte)
	read := func() {
		p := make([]byte, 1)
		if _, err := io.ReadFull(server, p); err != nil {
			t.Error(err)
		}
		got <- p[0]
	}
	// Asleep, and at the bottom of it: who listens has looked at the socket.
	asleep := func() {
		t.Helper()
		eventually(t, "asleep", b.in.napping.Load)
		shortPause()
	}
	const rounds = 200
	wasLeft, vain := 0, uint64(0)
	for i := range rounds {
		before := b.naps.Load()
		go read()
		asleep()
		if i%10 == 9 {
			// Rung for nothing, once more than is left: it wakes, and sleeps
			// again.
			client.bell.ring()
			eventually(t, "woken", func() bool { return b.naps.Load() > before+1 })
			asleep()
		} else {
			vain += b.naps.Load() - before - 1
		}
		if _, err := client.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if v := <-got; v != byte(i) {
			t.Fatalf("%d came in round %d", v, i)
		}
		if left() {
			wasLeft++
		}
	}
	// On a busy machine a bell can come when the sleeper is up already, and
	// stay beside the next one.
	if wasLeft < rounds/2 || vain > rounds/2 {
		t.Errorf("in %d rounds a bell was left %d times, and %d sleeps ended for nothing", rounds, wasLeft, vain)
	}
	// The end is seen behind a bell that was left.
	go func() {
		n, err := server.Read(make([]byte, 1))
		if n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
		got <- 0
	}()
	client.Close()
	<-got
}
