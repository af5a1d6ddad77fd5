package order

import "github.com/seed-298b2b26/shm/shmtest/explore"

// mutant is the name of what a protocol does wrong, empty for nothing.
type mutant string

func (m mutant) is(name string) bool { return string(m) == name }

// release stores with release, unless that is what is wrong.
func (m mutant) release(t *explore.Thread, name string, w *explore.Word, v uint64) {
	if m.is(name) {
		t.Store64(w, v)
	} else {
		t.StoreRelease64(w, v)
	}
}

// acquire loads with acquire, unless that is what is wrong.
func (m mutant) acquire(t *explore.Thread, name string, w *explore.Word) uint64 {
	if m.is(name) {
		return t.Load64(w)
	}
	return t.LoadAcquire64(w)
}
