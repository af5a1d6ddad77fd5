package shmnet

import (
	"io"
	"runtime"
)

// filling is the place in the ring that the source of a ReadFrom has, while
// that waits for it (see turn). The lock guards it.
type filling struct {
	ring  *memory // nil for the first ring
	at, n int
}

// ReadFrom reads from r until its end, into the place where the peer reads it:
// io.Copy into a connection is one copy. What others write meanwhile goes
// between two pieces of it, and waits while r does.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	if c.plain != nil {
		n, err = io.Copy(c.plain, r)
		return n, c.plainError("write", err)
	}
	defer c.settleOut()
	if err := c.lockOut(); err != nil {
		return 0, c.opError("write", err)
	}
	defer c.out.Unlock()
	return c.readFrom(r)
}

func (c *Conn) readFrom(r io.Reader) (n int64, err error) {
	for empty := 0; ; {
		// Whoever waited for the piece before comes first.
		for c.out.turn.queued.Load() > 0 {
			c.out.Unlock()
			runtime.Gosched()
			if err := c.lockOut(); err != nil {
				c.out.Lock() // the caller unlocks
				return n, c.opError("write", err)
			}
		}
		b, err := c.reserve(publishMost)
		if err != nil {
			return n, c.opError("write", err)
		}
		m, err := c.fill(r, b)
		if m > 0 {
			empty = 0
		} else if empty++; empty == 100 && err == nil {
			err = io.ErrNoProgress
		}
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// fill reads once from r into b, which is the next place in the ring, and
// sends what came. The lock is given up meanwhile. When the ring was given
// back before something came, the place is still there, and what came is
// copied to the ring in use.
func (c *Conn) fill(r io.Reader, b []byte) (n int, err error) {
	out := &c.out
	ring, moves := out.grow.ring, out.grow.moves
	if ring != nil {
		ring.users.Add(1)
		defer ring.release()
	}
	n, err = c.readSource(r, b, ring)
	switch {
	case n < 0 || n > len(b):
		return 0, io.ErrNoProgress
	case n == 0:
		return 0, err
	}
	if stop := c.bell.out.stop.Load(); stop&(stopClosed|stopEnded) != 0 {
		return 0, c.opError("write", c.mayWrite())
	}
	e := error(nil)
	if moves == out.grow.moves {
		e = c.commit(n)
	} else {
		n, e = c.write(b[:n])
	}
	if e != nil {
		return n, c.opError("write", e)
	}
	return n, err
}

// readSource reads without the lock, and takes it again, whatever r does.
func (c *Conn) readSource(r io.Reader, b []byte, ring *memory) (n int, err error) {
	out, f := &c.out, &c.out.fill
	f.ring, f.at, f.n = ring, int(out.tail&out.mask), len(b)
	out.turn.give(&out.Mutex)
	defer func() {
		out.turn.takeBack(&out.Mutex, &c.bell, &c.bell.out)
		f.ring = nil
	}()
	return r.Read(b)
}

// thin gives the pages back of a ring that was left while the source has a
// place in it, but for those of the place, which may hold something already.
func (f *filling) thin() {
	if f.ring != nil {
		f.ring.keepOnly(f.at, f.n)
	}
}
