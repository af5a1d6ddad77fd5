package shmnet

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Reasons not to go on, as bits of role.stop.
const (
	stopClosed  = 1 << iota // Close was called
	stopExpired             // the deadline has passed
	stopFailed              // the peer lied, or the socket did; Conn.broken says how
	stopEnded               // CloseWrite of ours, or CloseRead
	stopHungUp              // the socket has come to its end
)

// role is one direction's part in the waiting: what the reader sleeps with,
// or the writer. There is at most one sleeper a role, for it holds the
// direction's lock.
type role struct {
	bell  *bell
	stop  atomic.Uint32
	ready func() bool // what it waits for, or a reason to stop

	queue   sync.Cond     // of who waits for the turn
	napping atomic.Bool   // it sleeps, or will in a moment
	waiting bool          // at woken
	woken   chan struct{} // holds one

	deadline time.Time
	timer    *time.Timer // sets stopExpired
}

func (r *role) stopped() bool { return r.stop.Load() != 0 }

// past is a deadline that makes a blocked read return.
var past = time.Unix(1, 0)

// bell is the socket as a connection uses it: what arrives on it only says
// that there is something to see in the memory, or that the peer is gone.
//
// Two sleep at most, the reader and the writer, and there is one socket. Who
// comes first listens to it, and wakes the other when it has heard something;
// the other waits at a channel.
//
// Guarantee: who notes reads, arms its nap and then calls listen is awake again
// after the peer has rung that nap, which it does once. For the bell is heard by
// itself, or by another one; the other one takes the lock after that, and so
// either finds it waiting, or comes first, and then reads has changed when the
// lock is taken. That it is not ready does not suffice to sleep: the bell may
// have been rung late, for something that it has seen already
// (spec/models/nap.pml).
type bell struct {
	socket *net.UnixConn
	raw    syscall.RawConn
	take   bool // descriptors may come

	mu       sync.Mutex
	listener *role         // who listens to the socket
	reads    atomic.Uint64 // of the socket, or waits for it; changes under mu
	kicked   bool          // with a deadline in the past
	closed   bool
	in, out  role

	bed *atomic.Pointer[role] // where to be found asleep

	gift atomic.Pointer[gift] // came and was not answered

	// For the functions below, which are made once; those of who listens.
	buf     [64]byte
	got     int
	gotErr  error
	fresh   bool // the socket was not looked at yet
	stale   bool // a bell was left there that somebody has woken up from
	receive func(uintptr) bool
	send    func(uintptr)
	poll    func(uintptr)

	// Of the writer, under its lock.
	notify    func(uintptr)
	notifyErr error

	heaped atomic.Bool // more than one gift at a time came
	rings  atomic.Uint64
	naps   atomic.Uint64
}

// gift is an offer of the peer: a descriptor, or -1 for one that the kernel
// could not deliver.
type gift struct{ fd int }

func (b *bell) init(socket *net.UnixConn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	b.socket, b.raw, b.bed = socket, raw, beds.assign()
	b.in.woken, b.out.woken = make(chan struct{}, 1), make(chan struct{}, 1)
	b.in.queue.L, b.out.queue.L = &b.mu, &b.mu
	b.in.bell, b.out.bell = b, b
	b.receive = b.hear
	b.poll = func(fd uintptr) { b.got, b.gotErr = b.drain(fd) }
	b.send = func(fd uintptr) {
		// Whatever goes wrong, the end of the socket says it better.
		sys.SendBell(int(fd))
	}
	b.notify = func(fd uintptr) { b.notifyErr = sys.SendBell(int(fd)) }
	return nil
}

// ring wakes the peer.
func (b *bell) ring() {
	b.rings.Add(1)
	b.raw.Control(b.send)
}

// ringReader wakes the peer's reader, and notes if there is no peer any more.
// The writer's lock is held.
func (b *bell) ringReader() {
	b.rings.Add(1)
	b.notifyErr = nil
	b.raw.Control(b.notify)
	if b.notifyErr != nil && b.notifyErr != syscall.EAGAIN {
		b.mu.Lock()
		b.hangUp()
		b.mu.Unlock()
	}
}

// hear is asked at the beginning of a sleep whether it is over, and then
// whenever something has come on the socket.
//
// What has come wakes us; who finds then what it waits for goes to work, and
// leaves the bell where it is. It is taken away at the beginning of the next sleep,
// when the peer has its answer already. If it is no longer alone there, what is
// beside it may have been rung for this sleep, or for the other one's, and wakes
// us again.
func (b *bell) hear(fd uintptr) (over bool) {
	if !b.fresh {
		if b.listener.ready() {
			b.stale, b.got, b.gotErr = true, 1, nil
			return true
		}
	} else {
		b.fresh = false
		if b.stale {
			gift := b.gift.Load()
			b.got, b.gotErr = b.drain(fd)
			if b.gotErr == nil && b.got != 1 || b.gift.Load() != gift {
				return true
			}
		}
		if sys.Quiet(int(fd)) {
			return false // as it is most often
		}
	}
	b.got, b.gotErr = b.drain(fd)
	return b.gotErr != syscall.EAGAIN
}

// drain reads the socket once.
func (b *bell) drain(fd uintptr) (int, error) {
	b.stale = false
	n, right, lost, err := sys.RecvBells(int(fd), b.buf[:], b.take)
	switch {
	case right >= 0:
		b.keep(&gift{right})
	case lost && b.take:
		b.keep(&gift{-1})
	}
	return n, err
}

// keep puts a gift where the reader finds it. One at a time is right.
func (b *bell) keep(g *gift) {
	if !b.gift.CompareAndSwap(nil, g) {
		if g.fd >= 0 {
			sys.Close(g.fd)
		}
		b.heaped.Store(true)
	}
}

// dispose closes a gift that nobody will look at.
func (b *bell) dispose() {
	if g := b.gift.Swap(nil); g != nil && g.fd >= 0 {
		sys.Close(g.fd)
	}
}

// listen sleeps until the peer rings, or something else has happened. The
// nap is armed, and reads was what it was before that.
func (b *bell) listen(r *role, reads uint64) {
	b.mu.Lock()
	if r.ready() || b.reads.Load() != reads {
		b.mu.Unlock()
		return
	}
	b.naps.Add(1)
	r.napping.Store(true)
	b.bed.Store(r)
	defer b.bed.CompareAndSwap(r, nil)
	defer r.napping.Store(false)
	if b.listener != nil {
		r.waiting = true
		b.mu.Unlock()
		<-r.woken
		return
	}
	b.listener = r
	b.mu.Unlock()

	b.gotErr, b.fresh = nil, true
	err := b.raw.Read(b.receive)
	if err == nil {
		err = b.gotErr
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.listener = nil
	b.reads.Add(1)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
	case err != nil, b.got == 0:
		// The end, or ECONNRESET where bells lay unread at the other side
		// when it was closed, or Close of ours.
		b.hangUp()
	}
	if b.kicked {
		b.kicked = false
		b.socket.SetReadDeadline(time.Time{})
	}
	b.got = 0
	if b.closed {
		b.dispose()
	}
	b.wake(&b.in)
	b.wake(&b.out)
}

// hangUp notes the end of the socket. The lock is held.
func (b *bell) hangUp() {
	b.in.stop.Or(stopHungUp)
	b.out.stop.Or(stopHungUp)
	b.in.queue.Broadcast()
	b.out.queue.Broadcast()
}

// wake wakes a role that waits for who listens. The lock is held.
func (b *bell) wake(r *role) {
	if r.waiting {
		r.waiting = false
		r.woken <- struct{}{}
	}
	r.queue.Broadcast()
}

// stop gives a role a reason not to go on, and wakes it.
func (b *bell) stop(r *role, reason uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.stop.Or(reason)
	b.kick(r)
}

// kick lets a sleeping role look again. The lock is held.
func (b *bell) kick(r *role) {
	if b.listener == r && !b.kicked {
		b.kicked = true
		b.socket.SetReadDeadline(past)
	}
	b.wake(r)
}

// look reads the socket without waiting, unless somebody does that already.
func (b *bell) look() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener != nil {
		return
	}
	if err := b.raw.Control(b.poll); err != nil {
		return // closed
	}
	// Nobody listens, so nobody sleeps; who is about to begins anew.
	b.reads.Add(1)
	if b.got == 0 && b.gotErr != syscall.EAGAIN {
		b.hangUp()
	}
	b.got, b.gotErr = 0, nil
}

// setDeadline is for one role.
func (b *bell) setDeadline(r *role, t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.deadline = t
	if r.timer != nil {
		r.timer.Stop()
	}
	r.stop.And(^uint32(stopExpired))
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		r.stop.Or(stopExpired)
		b.kick(r)
		return
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(left, func() { b.expire(r) })
		return
	}
	r.timer.Reset(left)
}

// expire is what a timer calls. The deadline may have been changed since it
// fired.
func (b *bell) expire(r *role) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.deadline.IsZero() {
		return
	}
	if left := time.Until(r.deadline); left > 0 {
		r.timer.Reset(left)
		return
	}
	r.stop.Or(stopExpired)
	b.kick(r)
}
