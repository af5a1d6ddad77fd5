package topic

import (
	"runtime/debug"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/internal/wait"
)

// bell is the file of hints, from either side. Everything in it may be
// wrong, and whoever may ring may cut the file short; a wrong hint costs a
// wake-up for nothing, a missing one a delay up to the bound of every sleep.
type bell struct {
	region   mem.Region // empty where we may not ring
	sleepers *uint32
	news     *uint32
}

func newBell(r mem.Region) *bell {
	b := &bell{region: r}
	if r.Len() == 0 {
		return b
	}
	var err error
	b.sleepers = place[uint32](r, topicdir.BellSleepers, &err)
	b.news = place[uint32](r, topicdir.BellNews, &err)
	if err != nil {
		return &bell{}
	}
	return b
}

// arm is what a sleeper does before it sleeps; nil where it cannot ring.
func (b *bell) arm(fencefree *uint32) func() bool {
	if b.sleepers == nil {
		return nil
	}
	return (&wait.Bell{Flag: b.sleepers, FenceFree: fencefree}).Arm
}

// ring tells the publisher that there is news.
func (b *bell) ring() {
	if b.news == nil {
		return
	}
	b.region.Guard(func() error {
		mem.StoreRelease32(b.news, mem.LoadAcquire32(b.news)+1)
		return nil
	})
}

// ringer is the publisher's end: it wakes who sleeps, and hears the news.
type ringer struct {
	bell  *bell
	waker *wait.Waker // nil without a bell
	last  uint32      // the news when it was last heard
}

func newRinger(b *bell, g *ring) *ringer {
	r := &ringer{bell: b}
	if b.sleepers == nil {
		return r
	}
	r.waker = &wait.Waker{Word: g.wake, Flag: b.sleepers, FenceFree: wait.FenceFree()}
	if r.waker.FenceFree {
		// Before anything is published: who sleeps must know it.
		mem.StoreRelease32(g.fencefree, 1)
		mem.FullFence()
	} else {
		mem.StoreRelease32(g.fencefree, 0)
	}
	return r
}

// wake is called after every move of the head. It costs no system call while
// nobody sleeps.
func (r *ringer) wake() {
	if r.waker == nil {
		return
	}
	r.look()
}

// look is under a guard of its own, for it comes with every sample.
func (r *ringer) look() {
	done, before := false, debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if !done {
			r.cut(recover())
		}
	}()
	if !r.waker.Quiet() {
		r.waker.Wake()
	}
	r.last = mem.LoadAcquire32(r.bell.news)
	done = true
}

// cut is for when somebody has cut the bell short. Sleepers notice it as
// well, and look at the head now and then from here on.
func (r *ringer) cut(fault any) {
	if f, ok := fault.(interface{ Addr() uintptr }); !ok || !r.bell.region.Contains(f.Addr()) {
		panic(fault)
	}
	r.waker, r.bell = nil, &bell{}
}

// wakeAll wakes everybody, whatever the bell says.
func (r *ringer) wakeAll(g *ring) {
	w := wait.Waker{Word: g.wake}
	w.WakeAll()
}

// heard gives the news, as of now.
func (r *ringer) heard() uint32 {
	if r.bell.news != nil {
		r.bell.region.Guard(func() error {
			r.last = mem.LoadAcquire32(r.bell.news)
			return nil
		})
	}
	return r.last
}

// rings counts the wake-ups.
func (r *ringer) rings() uint64 {
	if r.waker == nil {
		return 0
	}
	return r.waker.Rings
}
