package explore_test

import (
	"context"
	"fmt"

	"github.com/seed-298b2b26/shm/shmtest/explore"
)

// stamped is a slot that is overwritten while somebody copies it: the writer
// says busy, writes, and says done; a copy counts if the stamp was the same
// before and after.
func stamped(storeFence bool) *explore.System {
	s := &explore.System{}
	stamp := s.Word("stamp", 2).Show(func(v uint64) string {
		return fmt.Sprintf("%s(%d)", [...]string{"done", "busy"}[v%2], v/2)
	})
	a, b := s.Word("a", 1), s.Word("b", 1)
	s.Thread("writer", func(t *explore.Thread) {
		t.StoreRelease64(stamp, 3)
		if storeFence {
			t.StoreFence()
		}
		t.Store64(a, 2)
		t.Store64(b, 2)
		t.StoreRelease64(stamp, 4)
	})
	s.Thread("reader", func(t *explore.Thread) {
		before := t.LoadAcquire64(stamp)
		x, y := t.Load64(a), t.Load64(b)
		t.LoadFence()
		if before%2 == 0 && t.LoadAcquire64(stamp) == before {
			t.Assert(x == y, "a torn copy: %d and %d", x, y)
		}
	})
	return s
}

func Example() {
	for _, fence := range []bool{true, false} {
		r, err := stamped(fence).Explore(context.Background(), nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		if r.Violation == nil {
			fmt.Println("nothing is wrong")
		} else {
			fmt.Print(r.Violation)
		}
	}
	// Output:
	// nothing is wrong
	// reader: a torn copy: 2 and 1
	//    1  writer  StoreRelease64 stamp = busy(1)
	//    2  writer  Store64 a = 2
	//    3  writer  Store64 b = 2
	//    4  writer  StoreRelease64 stamp = done(2)
	//    5  writer  a = 2 becomes visible
	//    6  writer  stamp = busy(1) becomes visible
	//    7  writer  b = 2 becomes visible
	//    8  writer  stamp = done(2) becomes visible
	//    9  reader  LoadAcquire64 stamp: done(1) (before done(2))
	//   10  reader  Load64 a: 2
	//   11  reader  Load64 b: 1 (before 2)
	//   12  reader  LoadFence
	//   13  reader  LoadAcquire64 stamp: done(1) (before done(2))
}

// What a litmus program can end in is in the outcomes.
func ExampleSystem_Explore() {
	s := &explore.System{}
	x, y := s.Word("x", 0), s.Word("y", 0)
	s.Thread("left", func(t *explore.Thread) {
		t.StoreRelease64(x, 1)
		t.Note("a", t.LoadAcquire64(y))
	})
	s.Thread("right", func(t *explore.Thread) {
		t.StoreRelease64(y, 1)
		t.Note("b", t.LoadAcquire64(x))
	})
	for _, o := range []explore.Options{{}, {Ordered: true}} {
		r, err := s.Explore(context.Background(), &o)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Outcomes)
	}
	// Output:
	// [a=0 b=0 a=0 b=1 a=1 b=0 a=1 b=1]
	// [a=0 b=1 a=1 b=0 a=1 b=1]
}

// A thread that does the same again and again keeps what it needs in a local
// of its own, and the exploration finds back to states in which it was.
func ExampleRounds() {
	s := &explore.System{}
	count, word := s.Word("count", 0), s.Word("word", 0)
	explore.Rounds(s, "worker", 0, func(t *explore.Thread, done *int) bool {
		t.Add64(count, 1)
		t.Add64(word, 1)
		t.FutexWake(word)
		*done++
		return *done < 3
	})
	explore.Rounds(s, "waiter", struct{}{}, func(t *explore.Thread, _ *struct{}) bool {
		w := t.LoadAcquire64(word)
		if t.LoadAcquire64(count) == 3 {
			return false
		}
		t.FutexWait(word, w)
		return true
	})
	r, err := s.Explore(context.Background(), nil)
	fmt.Println(r.Violation == nil, err)
	// Output: true <nil>
}
