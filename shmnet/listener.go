package shmnet

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/sockfile"
)

var _ net.Listener = (*Listener)(nil)

// handshakesMost is how many may be under way at once. Who comes later waits
// in the kernel's queue.
const handshakesMost = 1024

// Listener accepts connections. Its methods may be called concurrently. It has
// a goroutine that takes what the socket gives, and one for each handshake.
type Listener struct {
	addr   *net.UnixAddr
	opts   Options
	socket *sockfile.Listener
	source source

	ctx     context.Context // of handshakes; ends with Close
	cancel  context.CancelFunc
	places  chan struct{} // one for each handshake under way
	ready   chan *Conn
	failed  chan error
	running sync.WaitGroup
	once    sync.Once
	stats   struct{ accepted, plain, failed atomic.Uint64 }
}

// ListenerStats says what came to a listener.
type ListenerStats struct {
	Accepted uint64 // connections with memory
	Plain    uint64 // connections that fell back to the plain socket
	Failed   uint64 // handshakes that failed
}

// Listen makes a socket at a path, or, with an address that begins with @, at
// an abstract name, and listens there. A socket file that a dead listener left
// behind is replaced; syscall.EADDRINUSE when somebody listens there, or
// something else than a socket is there. ctx bounds Listen, not the Listener.
func Listen(ctx context.Context, address string, opts *Options) (*Listener, error) {
	addr, err := parse(address)
	fail := func(err error) (*Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: err}
	}
	if err != nil {
		return fail(err)
	}
	o, err := opts.orDefault()
	if err != nil {
		return fail(err)
	}
	socket, err := sockfile.Listen(ctx, addr.Name, &sockfile.Options{Mode: o.Mode, SetOwner: o.SetOwner, Owner: o.Owner, Group: o.Group})
	if err != nil {
		return fail(err)
	}
	l := &Listener{
		addr: addr, opts: o, socket: socket, source: kernel{},
		places: make(chan struct{}, handshakesMost), ready: make(chan *Conn), failed: make(chan error),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.running.Go(l.take)
	return l, nil
}

// take takes connections from the socket.
func (l *Listener) take() {
	for {
		select {
		case l.places <- struct{}{}:
		case <-l.ctx.Done():
			return
		}
		c, err := l.socket.AcceptUnix()
		if err == nil {
			l.running.Go(func() {
				defer func() { <-l.places }()
				l.shake(c)
			})
			continue
		}
		<-l.places
		select {
		case l.failed <- bare(err):
		case <-l.ctx.Done():
			return
		}
	}
}

// shake makes a connection of a socket and hands it over.
func (l *Listener) shake(socket *net.UnixConn) {
	ctx, cancel := context.WithTimeout(l.ctx, l.opts.Handshake)
	c, err := serve(ctx, socket, l.addr, &l.opts, l.source)
	cancel()
	switch {
	case err != nil:
		l.stats.failed.Add(1)
		if l.opts.Logger != nil && l.ctx.Err() == nil {
			l.opts.Logger.Warn("shmnet: a handshake failed", "address", l.addr.Name, "err", err)
		}
		return
	case c.plain != nil:
		l.stats.plain.Add(1)
	default:
		l.stats.accepted.Add(1)
	}
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		c.Close()
	}
}

// Accept waits for a connection whose handshake is done; it is a *Conn.
// Handshakes that fail are not errors of Accept: see Options.Logger and Stats.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with the type that it gives.
func (l *Listener) AcceptConn() (*Conn, error) {
	fail := func(err error) (*Conn, error) {
		return nil, &net.OpError{Op: "accept", Net: network, Addr: l.addr, Err: err}
	}
	if l.ctx.Err() != nil {
		return fail(net.ErrClosed)
	}
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return fail(err)
	case <-l.ctx.Done():
		return fail(net.ErrClosed)
	}
}

// Close ends the listener and removes its socket file. Connections that were
// accepted stay.
func (l *Listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: network, Addr: l.addr, Err: net.ErrClosed})
	l.once.Do(func() {
		err = nil
		l.cancel()
		l.socket.Close()
		l.running.Wait()
	})
	return err
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.addr }

// Stats says what came so far.
func (l *Listener) Stats() ListenerStats {
	return ListenerStats{l.stats.accepted.Load(), l.stats.plain.Load(), l.stats.failed.Load()}
}
