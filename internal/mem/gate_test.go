package mem

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestGateWaitsAndTurnsAway(t *testing.T) {
	var g Gate
	if !g.Enter() {
		t.Fatal("an open gate turned us away")
	}
	done := make(chan bool)
	go func() { done <- g.Close() }()
	for !g.Closed() {
	}
	if g.Enter() {
		t.Error("entered while closing")
	}
	select {
	case <-done:
		t.Error("Close returned with somebody inside")
	default:
	}
	g.Leave()
	if !<-done {
		t.Error("the first Close says that it was not")
	}
	if g.Close() {
		t.Error("the second Close says that it was the first")
	}
}

// Newcomers that are turned away without end do not hold the closer up.
func TestGateCloseUnderSiege(t *testing.T) {
	var g Gate
	var wg sync.WaitGroup
	var over atomic.Bool
	g.Enter()
	for range 4 {
		wg.Go(func() {
			for !over.Load() {
				if g.Enter() {
					g.Leave()
				}
			}
		})
	}
	closed := make(chan bool)
	go func() { closed <- g.Close() }()
	for !g.Closed() {
	}
	g.Leave()
	if !<-closed {
		t.Error("the first Close says that it was not")
	}
	if g.Close() {
		t.Error("the second Close says that it was the first")
	}
	over.Store(true)
	wg.Wait()
}

func TestGateStress(t *testing.T) {
	for range 200 {
		var g Gate
		var inside atomic.Int32
		var shut atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for g.Enter() {
					inside.Add(1)
					if shut.Load() {
						t.Error("inside after Close returned")
					}
					inside.Add(-1)
					g.Leave()
				}
			})
		}
		first := atomic.Int32{}
		for range 2 {
			wg.Go(func() {
				if g.Close() {
					first.Add(1)
				}
				shut.Store(true)
				if n := inside.Load(); n != 0 {
					t.Errorf("%d inside after Close", n)
				}
			})
		}
		wg.Wait()
		if first.Load() != 1 {
			t.Errorf("%d first closers", first.Load())
		}
	}
}
