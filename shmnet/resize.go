package shmnet

import (
	"fmt"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/memfd"
)

// idleAfter is how long nothing must be sent before a ring that has grown is
// given back. Half of it is how often that is looked at.
const idleAfter = 2 * time.Second

// growOut offers a greater ring, if the time has come. The direction is
// locked. A ring that cannot be had is no error: the one that is there does,
// and a smaller one is tried the next time.
func (c *Conn) growOut(more int64) {
	out := &c.out
	size := out.next(more)
	if size == 0 {
		return
	}
	m, f, err := c.source.make(c.name, size)
	if err != nil {
		out.grow.most = size / growBy
		c.stats.refused.Add(1)
		return
	}
	defer f.Close()
	if err := c.sendFile(f); err != nil {
		m.release()
		return // no room on the socket now; the next time
	}
	c.stats.offered.Add(1)
	if out.offered(m) {
		c.bell.ring()
	}
	if out.idle == nil {
		out.idle = time.AfterFunc(time.Hour, c.shrinkOut) // for shrinkOut to find it there
	}
	out.idle.Reset(idleAfter / 2)
}

func (c *Conn) sendFile(f *memfd.File) error {
	err := syscall.EAGAIN
	e := c.bell.raw.Control(func(fd uintptr) {
		if e := sys.SendFD(int(fd), tagMemory, f.FD()); e == nil {
			err = 0
		}
	})
	if e != nil {
		return e
	}
	if err != 0 {
		return err
	}
	return nil
}

// shrinkOut is called by a timer, as long as the ring is not the first one. A
// Write that waits is no idleness, nor is a loan. A ReadFrom that waits for its
// source is: see turn.
func (c *Conn) shrinkOut() {
	out := &c.out
	if !out.TryLock() {
		out.idle.Reset(idleAfter / 2)
		return
	}
	stop := c.bell.out.stop.Load()
	switch {
	case out.over || stop&stopFailed != 0:
	case out.lent == 0 && stop&stopClosed == 0 && c.shrinkLocked():
	case stop&stopClosed == 0:
		out.idle.Reset(idleAfter / 2)
	}
	out.Unlock()
	c.settleOut()
}

func (c *Conn) shrinkLocked() (done bool) {
	out := &c.out
	if err := out.settle(); err != nil {
		c.fail(err)
		return true
	}
	if out.mark != out.tail {
		out.mark = out.tail
		return false
	}
	done, ring, err := out.shrink()
	c.stats.ring.Store(int64(out.size()))
	if err != nil {
		c.fail(err)
		return true
	}
	if done {
		out.fill.thin()
	}
	if ring {
		c.bell.ring()
	}
	return done
}

// accept answers an offer, if there is one. The direction is locked.
func (c *Conn) accept() error {
	g := c.bell.gift.Swap(nil)
	if g == nil {
		return nil // Close was faster
	}
	in := &c.in
	if in.next != nil || c.bell.heaped.Load() {
		if g.fd >= 0 {
			sys.Close(g.fd)
		}
		return c.fail(fmt.Errorf("the peer offers memory before it used what it offered before: %w", sys.ErrCorrupt))
	}
	m, err := c.unwrap(g)
	if err != nil {
		c.stats.refused.Add(1)
	} else {
		c.stats.accepted.Add(1)
	}
	if in.answer(m) {
		c.bell.ring()
	}
	return nil
}

// unwrap makes memory of a gift that is what it ought to be.
func (c *Conn) unwrap(g *gift) (*memory, error) {
	if g.fd < 0 {
		return nil, syscall.EMFILE
	}
	f, err := memfd.Adopt(g.fd)
	if err != nil {
		sys.Close(g.fd)
		return nil, err
	}
	defer f.Close()
	if err := want(ringLeast, c.takes).Check(f); err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkRing(st.Size, c.takes); err != nil {
		return nil, err
	}
	if err := checkRoom(st.Size); err != nil {
		return nil, err
	}
	return c.source.take(f, st.Size)
}
