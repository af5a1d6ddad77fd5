package topic

import "github.com/seed-298b2b26/shm/internal/wait"

// eager learns whether it is worth while to linger.
type eager struct {
	credit int // it was, not long ago
	rest   int // waits since it was tried
}

const (
	eagerMost  = 4
	eagerEvery = 64 // waits for a try where it was not worth while
)

func (e *eager) worth(w Wait) bool {
	if w == Sleep || !wait.Parallel() {
		return false
	}
	if w == Spin || e.credit > 0 {
		return true
	}
	e.rest++
	return e.rest%eagerEvery == 0
}

// learn takes note of how it went.
func (e *eager) learn(worth bool) {
	if worth {
		e.credit = eagerMost
	} else if e.credit > 0 {
		e.credit--
	}
}
