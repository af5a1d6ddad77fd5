package order

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest/explore"
)

func try(t *testing.T, name string, s *explore.System) {
	start := time.Now()
	ctx, c := context.WithTimeout(context.Background(), 60*time.Second)
	defer c()
	r, err := s.Explore(ctx, &explore.Options{MaxStates: 20e6})
	fmt.Printf("%-60s %9d states %v %v\n", name, r.States, time.Since(start).Round(time.Millisecond), err)
	if r.Violation != nil {
		fmt.Println("   ", r.Violation.Reason, len(r.Violation.Steps))
	}
}

func TestTry(t *testing.T) {
	try(t, "observer 2 slots 3 loans", (&holding{slots: 2, observers: 1, loans: 3, takes: 3}).system())
	for _, m := range []string{"no store fence after busy", "no load fence after the copy", "copier loads the stamp plainly", "sample's stamp stored plainly", "head stored plainly", "copier loads the stamp plainly again"} {
		try(t, m, (&holding{mutant: mutant(m), slots: 2, observers: 1, loans: 3, takes: 3}).system())
	}
	try(t, "1 sub 4 slots 1 loan 1 take", (&holding{slots: 4, subs: 1, loans: 1, takes: 1}).system())
	try(t, "1 sub 4 slots 2 loans 2 takes", (&holding{slots: 4, subs: 1, loans: 2, takes: 2}).system())
	try(t, "2 sub 4 slots 1 loan 1 take", (&holding{slots: 4, subs: 2, loans: 1, takes: 1}).system())
	try(t, "2 sub 4 slots 2 loan 1 take", (&holding{slots: 4, subs: 2, loans: 2, takes: 1}).system())
	try(t, "2 sub 4 slots 2 loan 2 take", (&holding{slots: 4, subs: 2, loans: 2, takes: 2}).system())
}
