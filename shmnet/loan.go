package shmnet

import (
	"io"
	"net"
	"runtime"
	"syscall"
)

// Peek waits until there is something to read and gives it where it stands,
// without a copy: at least one byte, and all that stands in a row. The slice
// is valid until Discard, or until something else is read from the
// connection. The peer can change what stands there at any time, so what
// decides about anything must be copied before it is checked. It must not be
// written to.
//
// Every Peek is followed by a Discard, of 0 bytes at least: until then Close
// leaves the memory mapped. The errors are those of Read.
func (c *Conn) Peek() ([]byte, error) {
	if c.plain != nil {
		return nil, c.opError("read", errPlain)
	}
	b, err := []byte(nil), c.lockIn()
	if err == nil {
		b, err = c.peek()
		c.in.lent = err == nil
		c.in.Unlock()
	}
	if err != nil {
		c.settleIn()
		return nil, c.opError("read", err)
	}
	return b, nil
}

func (c *Conn) peek() ([]byte, error) {
	if c.in.there() == 0 || c.bell.in.stopped() {
		if err := c.await(false); err != nil {
			return nil, err
		}
	}
	return c.in.bytes(), nil
}

// Discard takes the first n bytes that Peek gave; n is at most their number.
func (c *Conn) Discard(n int) error {
	if c.plain != nil {
		return c.opError("read", errPlain)
	}
	err := c.lockIn()
	if err != nil {
		c.in.Lock() // what is lent is given back all the same
	}
	switch stop := c.bell.in.stop.Load(); {
	case err != nil:
	case c.in.over || stop&stopClosed != 0:
		err = net.ErrClosed
	case n < 0 || uint64(n) > c.in.there():
		err = syscall.EINVAL
	case n > 0 && c.in.take(n):
		c.bell.ring()
	}
	c.in.lent = false
	c.in.Unlock()
	c.settleIn()
	if err != nil {
		return c.opError("read", err)
	}
	return nil
}

// Reserve waits until there is room and gives the place where what is written
// next will stand: at least one byte, at most n, in a row. What is there is
// undefined. The slice is valid until Commit, or until something else is
// written to the connection. The errors are those of Write.
//
// Every Reserve is followed by a Commit, of 0 bytes at least: until then Close
// leaves the memory mapped.
func (c *Conn) Reserve(n int) ([]byte, error) {
	if c.plain != nil {
		return nil, c.opError("write", errPlain)
	}
	b, err := []byte(nil), c.lockOut()
	if err == nil {
		b, err = c.reserve(n)
		c.out.lent = len(b)
		c.out.Unlock()
	}
	if err != nil {
		c.settleOut()
		return nil, c.opError("write", err)
	}
	return b, nil
}

func (c *Conn) reserve(n int) ([]byte, error) {
	out := &c.out
	if n <= 0 {
		return nil, syscall.EINVAL
	}
	if err := c.mayWrite(); err != nil {
		return nil, err
	}
	if uint64(n) > out.free() || out.free() == 0 {
		if err := c.room(n); err != nil {
			return nil, err
		}
	}
	b := out.space()
	return b[:min(n, len(b))], nil
}

// Commit sends the first n bytes of what Reserve gave.
func (c *Conn) Commit(n int) error {
	if c.plain != nil {
		return c.opError("write", errPlain)
	}
	c.out.Lock()
	err := error(nil)
	switch stop := c.bell.out.stop.Load(); {
	case c.out.over || stop&stopClosed != 0:
		err = net.ErrClosed
	case stop&stopEnded != 0:
		err = syscall.EPIPE
	case n < 0 || n > c.out.lent:
		err = syscall.EINVAL
	case n > 0:
		err = c.commit(n)
	}
	c.out.lent = 0
	c.out.Unlock()
	c.settleOut()
	if err != nil {
		return c.opError("write", err)
	}
	return nil
}

func (c *Conn) commit(n int) error {
	c.out.tail += uint64(n)
	c.show()
	return c.shown()
}

// WriteTo reads until the end and writes everything to w, from where it
// stands: io.Copy out of a connection is one copy. Others who read get what
// comes between two pieces of it, and wait while w does.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	if c.plain != nil {
		return c.plainWriteTo(w)
	}
	defer c.settleIn()
	if err := c.lockIn(); err == io.EOF {
		return 0, nil
	} else if err != nil {
		return 0, c.opError("read", err)
	}
	defer c.in.Unlock()
	return c.writeTo(w)
}

func (c *Conn) writeTo(w io.Writer) (n int64, err error) {
	for {
		// Whoever waited for the piece before comes first.
		err := error(nil)
		for err == nil && c.in.turn.queued.Load() > 0 {
			c.in.Unlock()
			runtime.Gosched()
			if err = c.lockIn(); err != nil {
				c.in.Lock() // the caller unlocks
			}
		}
		var b []byte
		if err == nil {
			b, err = c.peek()
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, c.opError("read", err)
		}
		m, err := c.writeSink(w, b)
		if m < 0 || m > len(b) {
			return n, io.ErrShortWrite
		}
		n += int64(m)
		if c.bell.in.stop.Load()&stopClosed == 0 && c.in.take(m) {
			c.bell.ring()
		}
		if err == nil && m < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, err
		}
	}
}

// writeSink writes without the lock, and takes it again, whatever w does.
func (c *Conn) writeSink(w io.Writer, b []byte) (int, error) {
	c.in.turn.give(&c.in.Mutex)
	defer c.in.turn.takeBack(&c.in.Mutex, &c.bell, &c.bell.in)
	return w.Write(b)
}

// WriteBuffers writes everything in v as one Write does, and takes from v what
// was written: writev(2). net.Buffers.WriteTo works too, with a Write a
// buffer.
func (c *Conn) WriteBuffers(v *net.Buffers) (n int64, err error) {
	if c.plain != nil {
		n, err = v.WriteTo(c.plain)
		return n, c.plainError("write", err)
	}
	if err = c.lockOut(); err == nil {
		n, err = c.writeBuffers(v)
		c.out.Unlock()
	}
	c.settleOut()
	if err != nil {
		return n, c.opError("write", err)
	}
	return n, nil
}

func (c *Conn) writeBuffers(v *net.Buffers) (n int64, err error) {
	out := &c.out
	if err := c.mayWrite(); err != nil {
		return 0, err
	}
	hidden := false // something was put and not shown
	for len(*v) > 0 {
		b := (*v)[0]
		m := 0
		if uint64(len(b)) <= min(out.free(), publishMost) {
			// It is shown with what comes after it.
			m = out.put(b)
			hidden = true
		} else {
			if hidden {
				// The reader cannot make room of what it does not see.
				c.show()
				hidden = false
			}
			if m, err = c.write(b); err != nil {
				(*v)[0] = b[m:]
				return n + int64(m), err
			}
		}
		n += int64(m)
		(*v)[0] = nil
		*v = (*v)[1:]
	}
	if hidden {
		c.show()
	}
	return n, c.shown()
}
