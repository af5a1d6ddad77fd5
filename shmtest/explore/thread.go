package explore

import "fmt"

// Thread is what a thread of a System does its operations with. They have the
// names and the meaning that the project's own have, which spec/topic.md lists
// in section 1. A Thread is valid within the call that it was given to.
type Thread struct {
	log   []uint64 // what the operations before have given
	at    int
	op    op // the one behind them
	label string
	notes string
	fail  string
}

// stop is thrown by the operation that is to be done next.
type stop struct{}

func (t *Thread) do(o op) uint64 {
	if t.at < len(t.log) {
		t.at++
		t.label = ""
		return t.log[t.at-1]
	}
	o.label, t.label = t.label, ""
	t.op = o
	panic(stop{})
}

// Load64 is a plain load: it may be satisfied early.
func (t *Thread) Load64(w *Word) uint64 { return t.do(op{kind: opLoad, loc: w.loc}) }

// LoadAcquire64 is a load that no later access moves before.
func (t *Thread) LoadAcquire64(w *Word) uint64 {
	return t.do(op{kind: opLoad, loc: w.loc, strong: true})
}

// Store64 is a plain store: it may become visible late, or early.
func (t *Thread) Store64(w *Word, v uint64) { t.do(op{kind: opStore, loc: w.loc, val: v}) }

// StoreRelease64 is a store that no earlier access moves behind.
func (t *Thread) StoreRelease64(w *Word, v uint64) {
	t.do(op{kind: opStore, loc: w.loc, val: v, strong: true})
}

// StoreFull64 is StoreRelease64 and FullFence.
func (t *Thread) StoreFull64(w *Word, v uint64) {
	t.StoreRelease64(w, v)
	t.FullFence()
}

// FullFence lets nothing move across it, in neither direction.
func (t *Thread) FullFence() { t.do(op{kind: opFullFence}) }

// StoreFence lets no later store move before an earlier one.
func (t *Thread) StoreFence() { t.do(op{kind: opStoreFence}) }

// LoadFence lets no later access move before an earlier load.
func (t *Thread) LoadFence() { t.do(op{kind: opLoadFence}) }

// Swap64 stores v and gives what was there, in one step that is a full fence:
// a locked instruction, or one instruction of arm64's LSE with acquire and
// release.
func (t *Thread) Swap64(w *Word, v uint64) (old uint64) {
	return t.do(op{kind: opSwap, loc: w.loc, val: v})
}

// CompareAndSwap64 stores v if old is there, and reports whether it did, in
// one step that is a full fence either way.
func (t *Thread) CompareAndSwap64(w *Word, old, v uint64) bool {
	return t.do(op{kind: opCAS, loc: w.loc, val: v, old: old}) == 1
}

// Add64 adds to a word and gives the sum, in one step that is a full fence.
func (t *Thread) Add64(w *Word, v uint64) (sum uint64) {
	return t.do(op{kind: opAdd, loc: w.loc, val: v})
}

// FutexWait sleeps if w holds v, until a FutexWake, for ever if none comes. It
// reports whether it slept. Looking and falling asleep are one step, and a full
// fence, as in the kernel.
func (t *Thread) FutexWait(w *Word, v uint64) (slept bool) {
	return t.do(op{kind: opWait, loc: w.loc, val: v}) == 1
}

// FutexWake wakes all that sleep on w. It is a full fence.
func (t *Thread) FutexWake(w *Word) { t.do(op{kind: opWake, loc: w.loc}) }

// Membarrier is a full fence, and makes every other thread pass one, wherever
// it stands: membarrier(2) with MEMBARRIER_CMD_GLOBAL_EXPEDITED, where all are
// registered. A System in which it occurs has more states.
func (t *Thread) Membarrier() { t.do(op{kind: opBarrier}) }

// Choose gives a number from 0 to n-1: every one of them is explored.
func (t *Thread) Choose(n int) int { return int(t.do(op{kind: opChoose, val: uint64(n)})) }

// Assert ends the exploration with a Violation if ok is false. The thread goes
// on meanwhile, because what it does next may be what has happened early.
func (t *Thread) Assert(ok bool, format string, args ...any) {
	if !ok && t.fail == "" {
		t.fail = fmt.Sprintf(format, args...)
	}
}

// Note makes a value that the thread saw a part of the outcome.
func (t *Thread) Note(name string, v uint64) {
	if t.notes != "" {
		t.notes += " "
	}
	t.notes += fmt.Sprintf("%s=%d", name, v)
}

// Say is written in traces beside the next operation, such as the name of the
// SYNC POINT that it is one end of.
func (t *Thread) Say(what string) { t.label = what }
