package wait

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
)

// quotaAge is for how long the control group's quota is believed.
const quotaAge = 10 * time.Second

// processors tells whether we may run on several processors at once.
var processors quota

// quota caches what the control group allows. The Go runtime looks at that
// too, but never sets GOMAXPROCS below 2 because of it.
type quota struct {
	started time.Time
	next    atomic.Int64 // when to read it again, since started
	one     atomic.Bool  // it is less than two processors
}

func init() { processors.started = time.Now() }

// several is for who thinks of spinning. With one processor, or the time of
// one, who spins keeps the peer from running.
func (q *quota) several() bool { return q.ours() > 1 }

// ours is how many of our goroutines can run at once.
func (q *quota) ours() int {
	if q.one.Load() {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// Parallel reports whether this process and another can run at once, so that
// it can pay to look again and again for what the other does.
func Parallel() bool { return processors.several() }

// refresh reads the quota when the last reading is old.
func (q *quota) refresh(at time.Time) {
	now := int64(at.Sub(q.started))
	next := q.next.Load()
	if now < next || !q.next.CompareAndSwap(next, now+int64(quotaAge)) {
		return
	}
	limit, err := procfs.Default.CPULimit(procfs.Self)
	q.one.Store(err == nil && limit < 2)
}
