package topic

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// latch is a lock for what is over in a moment and is hardly ever wanted by
// two at once. It costs one locked instruction where a sync.Mutex costs two;
// who comes second looks again and again, and after a while now and then.
//
// The zero latch is free. It must not be copied.
type latch struct{ word uint32 }

// Lock waits for the latch.
func (l *latch) Lock() {
	if !atomic.CompareAndSwapUint32(&l.word, 0, 1) {
		l.wait()
	}
}

// Unlock gives the latch back.
func (l *latch) Unlock() { mem.StoreRelease32(&l.word, 0) }

const (
	latchSpins  = 16
	latchYields = 64
)

func (l *latch) wait() {
	for n := 0; ; n++ {
		if atomic.LoadUint32(&l.word) == 0 && atomic.CompareAndSwapUint32(&l.word, 0, 1) {
			return
		}
		switch {
		case n < latchSpins:
			mem.Pause()
		case n < latchYields:
			// Whoever has it may have lost its processor.
			runtime.Gosched()
		default:
			time.Sleep(20 * time.Microsecond)
		}
	}
}
