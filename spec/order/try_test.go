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
	for _, m := range []string{"", "admitted though a pin stands"} {
		try(t, "readmit 3,3: "+m, (&holding{mutant: mutant(m), slots: 3, subs: 1, loans: 3, takes: []int{3}, readmit: true, holds: true}).system())
	}
	for _, m := range []string{"", "old pins are ignored"} {
		try(t, "wrap 4,1: "+m, (&holding{mutant: mutant(m), slots: 3, subs: 1, loans: 4, takes: []int{1}, holds: true}).system())
		try(t, "wrap 4,2: "+m, (&holding{mutant: mutant(m), slots: 3, subs: 1, loans: 4, takes: []int{2}, holds: true}).system())
	}
	for _, m := range []string{"", "stamp and head stored plainly"} {
		try(t, "one: "+m, (&holding{mutant: mutant(m), slots: 2, observers: 1, loans: 3, takes: []int{3}}).system())
		try(t, "one: "+m, (&holding{mutant: mutant(m), slots: 4, subs: 1, loans: 2, takes: []int{2}}).system())
		try(t, "one, holds: "+m, (&holding{mutant: mutant(m), slots: 4, subs: 1, loans: 2, takes: []int{2}, holds: true}).system())
	}
	try(t, "two", (&holding{slots: 4, subs: 2, loans: 2, takes: []int{2, 1}}).system())
	try(t, "two holds", (&holding{slots: 4, subs: 2, loans: 2, takes: []int{1, 1}, holds: true}).system())
	try(t, "two holds", (&holding{slots: 4, subs: 2, loans: 2, takes: []int{2, 1}, holds: true}).system())
}
