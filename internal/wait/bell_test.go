package wait

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// TestArmMeetsWake lets wakers change something and look at the flag at about
// the moment in which a sleeper raises the flag and looks at the thing: one
// of the two sees the other, with every kind of fence.
func TestArmMeetsWake(t *testing.T) {
	limit := 2 * time.Second
	if testing.Short() {
		limit = 300 * time.Millisecond
	}
	for name, free := range map[string]bool{"fence": false, "membarrier": true} {
		t.Run(name, func(t *testing.T) {
			const size, n = 512, 256
			all := mem.Heap(size * n)
			var objects [n]*object
			var wakers [n]*Waker
			var seen [n]bool
			for i := range objects {
				r, err := all.Slice(int64(i*size), size)
				if err != nil {
					t.Fatal(err)
				}
				objects[i] = newObject(t, r)
				wakers[i] = objects[i].waker(t, free)
			}
			// Who meets waits for the other.
			var turn [2]atomic.Uint64
			var over atomic.Bool
			meet := func(me int) {
				n := turn[me].Add(1)
				for spins := 0; turn[1-me].Load() < n; spins++ {
					if spins > 10_000 {
						runtime.Gosched()
					}
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				runtime.LockOSThread()
				for {
					meet(1)
					if over.Load() {
						return
					}
					for i, o := range objects {
						meet(1)
						for range rand.IntN(20) {
							mem.LoadFence() // so that now one is ahead and now the other
						}
						if !o.bell().Arm() {
							t.Error("not armed")
						}
						seen[i] = mem.LoadAcquire64(o.head) != 0
					}
					meet(1)
				}
			})
			missed, both, rounds := 0, 0, 0
			for end := time.Now().Add(limit); time.Now().Before(end); rounds += n {
				for i, o := range objects {
					atomic.StoreUint64(o.head, 0)
					atomic.StoreUint32(o.flag, 0)
					seen[i] = false
					*wakers[i] = Waker{Word: o.word, Flag: o.flag, FenceFree: free}
				}
				meet(0)
				for i, o := range objects {
					meet(0)
					for range rand.IntN(20) {
						mem.LoadFence()
					}
					o.publish(wakers[i], 1)
				}
				meet(0)
				for i, w := range wakers {
					switch rang := w.Rings > 0; {
					case !rang && !seen[i]:
						missed++
					case rang && seen[i]:
						both++
					}
				}
			}
			over.Store(true)
			meet(0)
			wg.Wait()
			if missed > 0 {
				t.Errorf("in %d of %d rounds neither saw the other", missed, rounds)
			}
			t.Logf("%d rounds, in %d of them both saw the other", rounds, both)
		})
	}
}
