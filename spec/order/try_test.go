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
	try(t, "1 sub 4 slots 2 loans 2 takes", (&holding{slots: 4, subs: 1, loans: 2, takes: []int{2}}).system())
	try(t, "1 sub 4 slots 2 loans 3 takes", (&holding{slots: 4, subs: 1, loans: 2, takes: []int{3}}).system())
	try(t, "1 sub 4 slots 3 loans 3 takes", (&holding{slots: 4, subs: 1, loans: 3, takes: []int{3}}).system())
	try(t, "2 sub 4 slots 1 loan 1 take", (&holding{slots: 4, subs: 2, loans: 1, takes: []int{1,1}}).system())
	try(t, "2 sub 4 slots 2 loan 1 take", (&holding{slots: 4, subs: 2, loans: 2, takes: []int{1,1}}).system())
	try(t, "2 sub 4 slots 1 loan 2 1 take", (&holding{slots: 4, subs: 2, loans: 1, takes: []int{2,1}}).system())
	try(t, "2 sub 4 slots 2 loan 2 1 take", (&holding{slots: 4, subs: 2, loans: 2, takes: []int{2,1}}).system())
}

func TestBig(t *testing.T) {
	try(t, "2 sub 4 slots 2 loan 2 2 take", (&holding{slots: 4, subs: 2, loans: 2, takes: []int{2,2}}).system())
	try(t, "1 sub 3 slots 5 loan 2 take", (&holding{slots: 3, subs: 1, loans: 5, takes: []int{2}}).system())
	try(t, "2 sub 4 slots 3 loan 2 1 take", (&holding{slots: 4, subs: 2, loans: 3, takes: []int{2,1}}).system())
	try(t, "1 sub 3 slots readmit 4 loan 4 take", (&holding{slots: 3, subs: 1, loans: 4, takes: []int{4}, readmit: true}).system())
}
