package order

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest/explore"
)

func try(t *testing.T, name string, s *explore.System) *explore.Result {
	start := time.Now()
	ctx, c := context.WithTimeout(context.Background(), 60*time.Second)
	defer c()
	r, err := s.Explore(ctx, &explore.Options{MaxStates: 20e6})
	fmt.Printf("%-60s %9d states %v %v\n", name, r.States, time.Since(start).Round(time.Millisecond), err)
	if r.Violation != nil {
		fmt.Println("   ", r.Violation.Reason, len(r.Violation.Steps))
	}
	return r
}

func TestTry(t *testing.T) {
	for _, m := range []string{"", "no store fence after kind 0", "no load fence before state again", "state loaded plainly", "state loaded plainly again", "kind 0 stored plainly", "kind 1 stored plainly"} {
		try(t, "entry: "+m, (&entry{mutant: mutant(m)}).system())
	}
	for _, m := range []string{"", "head stored plainly", "no full fence after head", "0 stored plainly", "wake stored plainly", "woken, then wake + 1", "woken, then 0", "wake + 1, then 0",
		"wake loaded plainly", "sleepers stored plainly", "no full fence after sleepers", "wake loaded after the look", "look, then sleepers", "sleepers, then wake", "sleeps on head", "who gives up stores 0"} {
		try(t, "sleep 1: "+m, (&sleeping{mutant: mutant(m), sleepers: 1, samples: 2}).system())
		try(t, "sleep 2: "+m, (&sleeping{mutant: mutant(m), sleepers: 2, samples: 2, gives: true}).system())
	}
	for _, m := range []string{"", "cursor loaded, then want", "no full fence after want", "cursor loaded plainly after want", "head stored plainly", "sample's stamp stored plainly", "want loaded, then cursor", "no full fence after the cursor", "look loads the cursor plainly", "no full fence after head"} {
		r := try(t, "room: "+m, (&blocking{sleeping: sleeping{mutant: mutant(m), samples: 4}, slots: 2}).system())
		if m == "" && r.Violation != nil {
			fmt.Println(r.Violation)
		}
	}
}
