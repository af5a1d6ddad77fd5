package shmnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/internal/wait"
)

var (
	_ net.Conn      = (*Conn)(nil)
	_ io.ReaderFrom = (*Conn)(nil)
	_ io.WriterTo   = (*Conn)(nil)
	_ syscall.Conn  = (*Conn)(nil)
)

// Conn is one end of a connection: a net.Conn whose bytes go through shared
// memory. Its methods may be called concurrently; Peek with Discard, and
// Reserve with Commit, belong to one goroutine at a time each.
//
// Close it: no finalizer does.
type Conn struct {
	local, remote *net.UnixAddr
	peer          sys.Credentials
	plain         *net.UnixConn // not nil: there is no memory, this is all
	first         []byte        // of a plain connection: bytes that were read already

	bell   bell
	source source
	memory *memory // control and the first rings, for both directions
	name   string  // of memory that is made
	takes  int64   // the greatest ring that we accept
	stats  counters

	in struct {
		sync.Mutex
		receiver
		spin wait.Spinner
		lent bool // by Peek
		turn turn
		over bool // its part in the memory was given up
	}
	out struct {
		sync.Mutex
		sender
		spin  wait.Spinner
		lent  int // bytes lent by Reserve
		over  bool
		looks uint64 // when the socket was looked at last, in ticks
		idle  *time.Timer
		mark  uint64 // tail when idle fired last
		turn  turn
		fill  filling
	}

	mu     sync.Mutex
	broken error // why stopFailed is set
}

// newConn makes a connection of a socket and memory that was checked. It owns
// both, also when it fails. direction is the one in which it sends.
func newConn(socket *net.UnixConn, m *memory, s sizes, direction int, src source) (*Conn, error) {
	c := &Conn{memory: m, source: src}
	m.users.Store(3) // the reader, the writer, and who leaves the marks
	out, err := linesOf(m.region, direction)
	in, e := linesOf(m.region, 1-direction)
	if err = errors.Join(err, e, c.bell.init(socket)); err != nil {
		for range 3 {
			m.release()
		}
		socket.Close()
		return nil, err
	}
	c.in.receiver = newReceiver(in, s.ring(m.region, 1-direction))
	c.out.sender = newSender(out, s.ring(m.region, direction))
	c.stats.ring.Store(s[direction])
	crowd.Join()
	in2, out2 := &c.bell.in, &c.bell.out
	in2.ready = func() bool {
		return c.in.receiver.ready() || c.bell.gift.Load() != nil || in2.stopped()
	}
	out2.ready = func() bool { return c.out.sender.ready() || out2.stopped() }
	return c, nil
}

// Read takes at least one byte, unless p is empty. io.EOF: the peer closed
// the connection or its sending side, and everything was taken;
// syscall.ECONNRESET: it was killed; os.ErrDeadlineExceeded; net.ErrClosed.
func (c *Conn) Read(p []byte) (int, error) {
	if c.plain != nil {
		return c.plainRead(p)
	}
	in := &c.in
	n, err := 0, error(nil)
	in.Lock()
	if in.turn.busy.Load() {
		err = c.awaitIn()
	}
	if err == nil {
		if in.there() == 0 || c.bell.in.stopped() {
			err = c.await(len(p) == 0)
		}
		if err == nil && len(p) > 0 {
			n = in.get(p)
			if in.take(n) {
				c.bell.ring()
			}
		}
		in.Unlock()
	}
	if c.bell.in.stopped() {
		c.settleIn()
	}
	if err != nil {
		return 0, c.opError("read", err)
	}
	return n, nil
}

// await waits until there are bytes. The direction is locked. With peek it
// does not wait.
func (c *Conn) await(peek bool) error {
	in, role := &c.in, &c.bell.in
	for {
		stop := role.stop.Load()
		if stop&^stopHungUp != 0 {
			return c.inError(stop)
		}
		if in.there() > 0 {
			return nil
		}
		if err := c.refill(); err != nil {
			return err
		}
		if in.there() > 0 {
			return nil
		}
		if in.finished() {
			// Fin comes after the last tail.
			if err := in.refill(); err != nil {
				return c.fail(err)
			}
			if in.there() > 0 {
				return nil
			}
			return io.EOF
		}
		if stop&stopHungUp != 0 {
			// The end was seen before tail was looked at, so this was the
			// last look.
			return syscall.ECONNRESET
		}
		if peek {
			return nil
		}
		if in.spin.Spin(&crowd, role.ready) {
			continue
		}
		reads := c.bell.reads.Load()
		in.arm()
		c.bell.listen(role, reads)
		in.disarm()
	}
}

// refill looks for more, and for offers.
func (c *Conn) refill() error {
	in := &c.in
	if in.head != in.told && in.tell() {
		c.bell.ring()
	}
	if err := in.refill(); err != nil {
		return c.fail(err)
	}
	if c.takes > 0 && in.hinted() && c.bell.gift.Load() == nil {
		c.bell.look()
	}
	if c.bell.gift.Load() != nil {
		return c.accept()
	}
	return nil
}

// inError says why the reader does not go on.
func (c *Conn) inError(stop uint32) error {
	switch {
	case stop&stopClosed != 0:
		return net.ErrClosed
	case stop&stopFailed != 0:
		return c.failure()
	case stop&stopEnded != 0:
		return io.EOF
	}
	return os.ErrDeadlineExceeded
}

// Write sends all of p, or gives an error and how much of it went before.
// syscall.EPIPE: the peer takes no more, or CloseWrite was called;
// syscall.ECONNRESET: it was killed; os.ErrDeadlineExceeded; net.ErrClosed.
// Written means that it is in the memory: a peer that is killed does not read
// it any more.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.plain != nil {
		n, err = c.plain.Write(p)
		return n, c.plainError("write", err)
	}
	c.out.Lock()
	if c.out.turn.busy.Load() {
		err = c.awaitOut()
	}
	if err == nil {
		n, err = c.write(p)
		c.out.Unlock()
	}
	if c.bell.out.stopped() {
		c.settleOut()
	}
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// write is Write with the direction locked.
func (c *Conn) write(p []byte) (n int, err error) {
	out := &c.out
	if err := c.mayWrite(); err != nil {
		return 0, err
	}
	for {
		if uint64(len(p)-n) > out.free() {
			if err := c.room(len(p) - n); err != nil {
				return n, err
			}
		}
		n += out.put(p[n:])
		c.show()
		if n == len(p) {
			return n, c.shown()
		}
		if c.bell.out.stopped() {
			if err := c.mayWrite(); err != nil {
				return n, err
			}
		}
	}
}

// lookTicks is how often a sender looks at the socket for a peer that is gone
// without a mark: some milliseconds, or, where the counter is slow, a tenth of
// a second.
const lookTicks = 1 << 22

// show publishes what was put. A reader that sleeps is rung, which also tells
// whether it is still there; one that is awake makes no sound, so the socket
// is looked at now and then.
func (c *Conn) show() {
	out := &c.out
	if out.publish() {
		c.bell.ringReader()
	} else if ticks := mem.Ticks(); ticks-out.looks > lookTicks {
		out.looks = ticks
		c.bell.look()
	}
}

// shown gives an error when the end was marked before what was shown last, as
// far as can be known: then the peer does not look for it. The marks come after
// the reason to stop, so without that one they came after the bytes.
func (c *Conn) shown() error {
	if c.bell.out.stop.Load()&(stopClosed|stopEnded|stopHungUp) == 0 {
		return nil
	}
	return c.mayWrite()
}

// mayWrite gives the reason not to send, if there is one. What was lent is
// lent no more: its place is taken.
func (c *Conn) mayWrite() error {
	out := &c.out
	out.lent = 0
	stop := c.bell.out.stop.Load()
	switch {
	case stop == 0 && !out.refused():
		return nil
	case stop&stopClosed != 0:
		return net.ErrClosed
	case stop&stopFailed != 0:
		return c.failure()
	case stop&stopEnded != 0, out.refused():
		return syscall.EPIPE
	case stop&stopHungUp != 0:
		return syscall.ECONNRESET
	}
	return os.ErrDeadlineExceeded
}

// room waits until something of more bytes fits. The direction is locked.
func (c *Conn) room(more int) error {
	out, role := &c.out, &c.bell.out
	for waited := false; ; waited = true {
		if err := out.settle(); err != nil {
			return c.fail(err)
		}
		c.stats.ring.Store(int64(out.size()))
		if err := out.refresh(); err != nil {
			return c.fail(err)
		}
		if out.free() >= min(uint64(more), out.size()/4) || waited && out.free() > 0 {
			return nil
		}
		if err := c.mayWrite(); err != nil {
			return err
		}
		c.growOut(int64(more))
		if out.spin.Spin(&crowd, role.ready) {
			continue
		}
		reads := c.bell.reads.Load()
		out.arm()
		c.bell.listen(role, reads)
		out.disarm()
	}
}

// Close ends the connection and wakes everybody who waits for it. What was
// written stays readable for the peer. Memory that is lent by Peek or Reserve
// stays until Discard or Commit.
func (c *Conn) Close() error {
	if c.plain != nil {
		return c.plainError("close", c.plain.Close())
	}
	if c.bell.in.stop.Load()&stopClosed != 0 {
		return c.opError("close", net.ErrClosed)
	}
	c.bell.stop(&c.bell.in, stopClosed)
	c.bell.stop(&c.bell.out, stopClosed)
	c.hangUp()
	c.settleIn()
	c.settleOut()
	return nil
}

// hangUp leaves the marks and ends the socket, once. The end of the socket is
// the bell.
func (c *Conn) hangUp() {
	b := &c.bell
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	crowd.Leave()
	if !c.isBroken() {
		c.out.lines.finish()
		c.in.lines.shut()
	}
	for _, r := range []*role{&b.in, &b.out} {
		if r.timer != nil {
			r.timer.Stop()
		}
		r.deadline = time.Time{}
	}
	c.memory.release()
	// Also where a child has inherited the socket.
	b.socket.CloseWrite()
	b.socket.CloseRead()
	b.socket.Close()
	b.dispose() // who listens now does it itself
}

// settleIn gives up the reader's part in the memory of a connection that is
// closed, unless somebody uses it, who will come here then.
func (c *Conn) settleIn() {
	if c.bell.in.stop.Load()&stopClosed == 0 || !c.in.TryLock() {
		return
	}
	defer c.in.Unlock()
	if c.in.over || c.in.lent || c.in.turn.busy.Load() {
		return
	}
	c.in.over = true
	c.stats.received.Store(c.in.head)
	for _, m := range []*memory{c.in.ring, c.in.next, c.memory} {
		if m != nil {
			m.release()
		}
	}
}

// settleOut is the same for the writer.
func (c *Conn) settleOut() {
	if c.bell.out.stop.Load()&stopClosed == 0 || !c.out.TryLock() {
		return
	}
	defer c.out.Unlock()
	if c.out.over || c.out.lent > 0 || c.out.turn.busy.Load() {
		return
	}
	c.out.over = true
	c.stats.sent.Store(c.out.tail)
	if c.out.idle != nil {
		c.out.idle.Stop()
	}
	for _, m := range []*memory{c.out.grow.ring, c.out.grow.pending, c.memory} {
		if m != nil {
			m.release()
		}
	}
}

// CloseWrite says that nothing comes any more: when everything is taken, the
// peer reads io.EOF.
func (c *Conn) CloseWrite() error {
	if c.plain != nil {
		return c.plainError("close", c.plain.CloseWrite())
	}
	if c.bell.out.stop.Load()&stopClosed != 0 {
		return c.opError("close", net.ErrClosed)
	}
	c.bell.stop(&c.bell.out, stopEnded)
	c.mark(c.out.lines.finish)
	return nil
}

// mark leaves a mark, if there is still memory to leave it in.
func (c *Conn) mark(leave func() (ring bool)) {
	c.bell.mu.Lock()
	defer c.bell.mu.Unlock()
	if !c.bell.closed && leave() {
		c.bell.ring()
	}
}

// CloseRead says that no more is taken: Read gives io.EOF, and the peer's
// Write gives EPIPE.
func (c *Conn) CloseRead() error {
	if c.plain != nil {
		return c.plainError("close", c.plain.CloseRead())
	}
	if c.bell.in.stop.Load()&stopClosed != 0 {
		return c.opError("close", net.ErrClosed)
	}
	c.bell.stop(&c.bell.in, stopEnded)
	c.mark(c.in.lines.shut)
	return nil
}

// fail ends a connection whose peer breaks the protocol.
func (c *Conn) fail(err error) error {
	err = fmt.Errorf("the peer breaks the protocol: %w", err)
	c.mu.Lock()
	if c.broken == nil {
		c.broken = err
	}
	err = c.broken
	c.mu.Unlock()
	c.bell.stop(&c.bell.in, stopFailed)
	c.bell.stop(&c.bell.out, stopFailed)
	c.bell.socket.CloseWrite()
	c.bell.socket.CloseRead()
	return err
}

func (c *Conn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *Conn) isBroken() bool { return c.failure() != nil }

// LocalAddr is the address of the socket; that of a client has no name.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address of the peer's socket.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds every Read, Peek and WriteTo, also those that wait
// already. The zero time is no bound.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.plain != nil {
		return c.plainError("set", c.plain.SetReadDeadline(t))
	}
	return c.setDeadline(&c.bell.in, t)
}

// SetWriteDeadline is the same for Write, Reserve and ReadFrom.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.plain != nil {
		return c.plainError("set", c.plain.SetWriteDeadline(t))
	}
	return c.setDeadline(&c.bell.out, t)
}

func (c *Conn) setDeadline(r *role, t time.Time) error {
	if r.stop.Load()&stopClosed != 0 {
		return c.opError("set", net.ErrClosed)
	}
	c.bell.setDeadline(r, t)
	return nil
}
