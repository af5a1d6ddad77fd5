package order

import "github.com/seed-298b2b26/shm/shmtest/explore"

// entry is an entry of the table, which the publisher gives to one subscriber
// and then to another: section 3. Its number stands for the 16 bytes of an ID
// and is the generation of the state as well.
type entry struct {
	mutant
	state, id, from *explore.Word
}

func (e *entry) system() *explore.System {
	s := &explore.System{}
	e.state = s.Word("state", 1<<2|admitted).Show(showState)
	e.id, e.from = s.Word("id", 1), s.Word("from", 1)
	s.Thread("publisher", func(t *explore.Thread) {
		for _, n := range []uint64{3, 5} {
			t.Say("SYNC POINT: entry")
			e.release(t, "kind 0 stored plainly", e.state, (n-1)<<2|free)
			if !e.is("no store fence after kind 0") {
				t.Say("SYNC POINT: entry")
				t.StoreFence()
			}
			t.Store64(e.id, n)
			t.Store64(e.from, n)
			t.Say("SYNC POINT: entry")
			e.release(t, "kind 1 stored plainly", e.state, n<<2|admitted)
		}
	})
	s.Thread("subscriber", func(t *explore.Thread) {
		t.Say("SYNC POINT: entry")
		state := e.acquire(t, "state loaded plainly", e.state)
		id, from := t.Load64(e.id), t.Load64(e.from)
		if !e.is("no load fence before state again") {
			t.Say("SYNC POINT: entry")
			t.LoadFence()
		}
		if state&3 == admitted && e.acquire(t, "state loaded plainly again", e.state) == state {
			t.Assert(id == state>>2 && from == state>>2, "entry %d has the ID of %d and from of %d", state>>2, id, from)
		}
	})
	return s
}
