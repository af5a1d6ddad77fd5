package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// wire makes connections of one kind. What the driving side listens at, the
// other side is told to dial.
type wire struct {
	listen func(o *order) (net.Listener, error)
	dial   func(ctx context.Context, address string) (net.Conn, error)

	// whole: a message is one packet, so that not every size fits.
	whole bool
}

// wires are the transports that are connections. For another kind, add it
// here, and to the cells in plan.go.
var wires = map[string]wire{
	// Names that start with @ are no files: they go with their sockets.
	unix:       {listen: listenUnix("unix"), dial: dialNet("unix")},
	unixpacket: {listen: listenUnix("unixpacket"), dial: dialNet("unixpacket"), whole: true},
	tcp: {
		listen: func(*order) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		dial:   dialNet("tcp"),
	},
}

func listenUnix(network string) func(*order) (net.Listener, error) {
	return func(o *order) (net.Listener, error) { return net.Listen(network, "@shm-"+o.Name) }
}

func dialNet(network string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

// connLine is a connection for one cell.
type connLine struct {
	streamLine
	wire     wire
	listener net.Listener
	accepted chan accepted
	conn     net.Conn
}

type accepted struct {
	conn net.Conn
	err  error
}

func newConnLine(w wire, s Spec) *connLine { return &connLine{streamLine: newStream(s), wire: w} }

// open listens, on the side that drives.
func (l *connLine) open(o *order, r *reply) (err error) {
	if o.Role > 0 {
		return nil
	}
	if l.listener, err = l.wire.listen(o); err != nil {
		return skipped{err}
	}
	l.accepted = make(chan accepted, 1)
	go func() {
		c, err := l.listener.Accept()
		l.accepted <- accepted{c, err}
	}()
	r.Address = l.listener.Addr().String()
	return nil
}

// join dials, on the other side.
func (l *connLine) join(ctx context.Context, o *order) error {
	if o.Role == 0 {
		return nil
	}
	c, err := l.wire.dial(ctx, o.Address)
	if err != nil {
		return skipped{err}
	}
	l.use(c)
	return nil
}

// admit takes the connection that was dialed.
func (l *connLine) admit(ctx context.Context, o *order) error {
	if o.Role > 0 {
		return nil
	}
	select {
	case a := <-l.accepted:
		if a.err != nil {
			return skipped{a.err}
		}
		l.use(a.conn)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.wire.whole {
		return l.probe(ctx, o)
	}
	return nil
}

func (l *connLine) use(c net.Conn) { l.conn, l.in, l.out = c, c, c }

// probe finds out whether a message fits, with a connection to itself. The
// first message never has to wait.
func (l *connLine) probe(ctx context.Context, o *order) error {
	there := *o
	there.Name += "-probe"
	p, err := l.wire.listen(&there)
	if err != nil {
		return skipped{err}
	}
	defer p.Close()
	c, err := l.wire.dial(ctx, p.Addr().String())
	if err != nil {
		return skipped{err}
	}
	defer c.Close()
	_, err = c.Write(l.buf)
	if errors.Is(err, syscall.EMSGSIZE) {
		return skipped{fmt.Errorf("a message of %s does not fit the socket's buffer", sized(l.s.Size))}
	}
	return err
}

// abort ends reads and writes that block.
func (l *connLine) abort() { l.conn.Close() }

func (l *connLine) close() error {
	var err error
	if l.listener != nil {
		err = l.listener.Close()
	}
	if l.conn != nil {
		l.conn.Close() // by abort, perhaps, already
	}
	return err
}
