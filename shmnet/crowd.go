package shmnet

import (
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/wait"
)

// crowd is the connections of this process.
var crowd = wait.Crowd{Stir: func() { beds.stir() }}

// dormitory is where a process that has no time for its sockets finds those
// who sleep at them: the one look into the memory that costs nothing tells
// whether they have something to wake for. It is for speed alone. Who has no
// bed to itself, because there are more sleepers than beds, is woken by its
// bell, which was rung too.
type dormitory struct {
	beds [256]atomic.Pointer[role]
	used atomic.Uint32 // beds given, again and again
	hand atomic.Uint32 // the next to look at
}

var beds dormitory

// stirMost is how many empty beds one look passes.
const stirMost = 16

// assign gives a connection its bed.
func (d *dormitory) assign() *atomic.Pointer[role] {
	return &d.beds[d.used.Add(1)%uint32(len(d.beds))]
}

// stir wakes the next sleeper if it has reason to.
//
// A role changes what ready looks at only while it is awake, and it cannot
// wake up while the lock is held.
func (d *dormitory) stir() {
	for range stirMost {
		r := d.beds[d.hand.Add(1)%uint32(len(d.beds))].Load()
		if r == nil {
			continue
		}
		if b := r.bell; b.mu.TryLock() {
			if (b.listener == r || r.waiting) && !b.closed && r.ready() {
				b.kick(r)
			}
			b.mu.Unlock()
		}
		return
	}
}
