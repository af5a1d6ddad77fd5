// Package explore runs small protocols in all the ways in which a weak memory
// can order their loads and stores, and shows the shortest way to what goes
// wrong. Go has no other tool for that: the race detector sees one run, of one
// processor, and nothing at all of memory that is mapped.
//
// A protocol is written in Go: words of shared memory, and threads that use
// them through a Thread, whose operations are those of spec/topic.md, section
// 1 (release store, acquire load, the three fences, plain loads and stores),
// and beside them swaps, futexes, membarrier and a free choice. What must not
// happen is an Assert that fails, or a thread that sleeps when nobody is left
// to wake it.
//
//	s := &explore.System{}
//	data, flag := s.Word("data", 0), s.Word("flag", 0)
//	s.Thread("writer", func(t *explore.Thread) {
//		t.Store64(data, 1)
//		t.StoreRelease64(flag, 1)
//	})
//	s.Thread("reader", func(t *explore.Thread) {
//		if t.LoadAcquire64(flag) == 1 {
//			t.Assert(t.Load64(data) == 1, "old data")
//		}
//	})
//	r, err := s.Explore(ctx, nil)
//
// # What may happen
//
// Memory is one: a store becomes visible to all other threads at one moment.
// The moments need not be in the program's order:
//
//   - A store may become visible long after its thread has gone on, and after
//     later stores to other words. Its own thread sees it at once.
//   - A load may be satisfied early, at any moment back to the last one that
//     a fence or an acquire load before it has left: it may see what was there
//     long ago, and later loads may see newer things than earlier ones.
//   - A store may become visible before loads that stand before it in the
//     program, if the thread comes to it whatever these give.
//   - Loads and stores of one word keep their order.
//
// What forbids it is:
//
//	StoreRelease64  becomes visible after everything before it
//	LoadAcquire64   is satisfied before everything behind it
//	StoreFence      stores behind it become visible after stores before it
//	LoadFence       whatever is behind it comes after the loads before it
//	FullFence       whatever is behind it comes after whatever is before it
//	Swap64, CompareAndSwap64, Add64, FutexWait, FutexWake are one step, and full fences
//
// That is the memory of arm64 (ARMv8: STLR, LDAR, DMB ISHST, ISHLD, ISH, and the
// atomic instructions of LSE that acquire and release) but for two things in
// which it is weaker. A release store and an acquire load behind it are not
// ordered, because LDAPR does not order them (Options.Ordered does). And a load
// whose address or an acquire whose need depends on an earlier load may be
// satisfied before that: Go promises no more. Stores do depend on earlier
// loads, by what the program does with them: what is stored for one value
// and not for another is not stored before the value is known.
// With Options.Strong it is the memory of amd64.
//
// The tests compare all outcomes of some hundred litmus programs with the
// verdicts of the manuals, and those of programs made at random with the axioms
// of the ARMv8 model, which are written down a second time there; they agree.
//
// # How much
//
// Every state is looked at once. Two states are one when no thread can tell
// them apart, now or later: each by what it can still see, in its order. Loads
// are put off until just before the next store of their thread, since nobody
// else notices them. So a protocol of three threads with some thirty
// operations each has between ten thousand and a million states, of which a
// processor does 200,000 a second. Small bounds are the price: a few rounds of a few threads
// that begin where it gets interesting, and no more words than are needed.
//
// # Limits
//
// Words are of 64 bits, and whole; no accesses of mixed sizes. At most 64 words and
// 8 threads. Threads end, or the states do not: a loop that waits for a word
// without sleeping on it has to be bounded. The pairs of load and store exclusive that older
// arm64 processors use for a swap are weaker than Swap64. Non-temporal stores
// and device memory are not covered, and neither is what a compiler may do.
package explore
