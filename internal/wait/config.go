package wait

import (
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
)

const (
	// boundDefault is how long a sleep may last. It is part of the argument:
	// sleepers can be requeued away by anyone who can read the word, and a
	// waker can be killed before it wakes.
	boundDefault = 100 * time.Millisecond
	// A wait begins with sleeps of an 8th of the bound, and doubles them: what
	// goes wrong early costs less. They are longer than the tick of usual
	// kernels, for a timer that ends before it costs some 200 ns more.
	boundFirst = 8
	// Without a bell the sleeps grow from pollFirst to Config.Poll.
	pollFirst   = 50 * time.Microsecond
	pollDefault = 10 * time.Millisecond

	// hastyMost is how often in a row a flag is raised by someone who then
	// has no need to sleep; see Sleeper.hold.
	hastyMost = 8
	holdLooks = 128
)

// Config says where and how a Sleeper sleeps.
type Config struct {
	// Word is the futex word. The mapping may be read-only.
	Word *uint32
	// Arm tells the waker that somebody sleeps, and comes with a full fence:
	// Bell.Arm, most often. False means that the waker may not have been
	// told. Nil means that it cannot be told. In both cases the sleeps are
	// short, and grow.
	Arm func() bool
	// Regions are the memory that Word and conditions are in. A fault there
	// is an error of Wait, *mem.Fault.
	Regions []mem.Region
	// Bound is the longest sleep; 0: 100 ms.
	Bound time.Duration
	// Poll is the longest sleep where nobody can be told of it; 0: 10 ms.
	Poll time.Duration
	// Strategy is what comes before the sleep.
	Strategy Strategy
}

// Stats is what a Sleeper has done so far.
type Stats struct {
	SpinHits   uint64 // spins that spared a sleep
	SpinMisses uint64 // spins for nothing
	Sleeps     uint64 // system calls to sleep
	Timeouts   uint64 // sleeps that nobody ended
	// Late counts timeouts after which there was something to do although the
	// word had not changed: the waker did not see the flag, or died.
	Late uint64
	// Stolen counts timeouts after which there was something to do and the
	// word had changed: the wake-up went elsewhere, or is just coming.
	Stolen uint64
}
