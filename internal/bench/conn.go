package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/seed-298b2b26/shm/shmnet"
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
	shmnets: {
		listen: func(o *order) (net.Listener, error) { return shmnet.Listen(context.Background(), "@shm-"+o.Name, nil) },
		dial: func(ctx context.Context, address string) (net.Conn, error) {
			return shmnet.Dial(ctx, address, nil)
		},
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

// connLine is the connections of one cell: one, most often.
type connLine struct {
	s        Spec
	wire     wire
	listener net.Listener
	accepted chan accepted
	ends     []*connEnd
}

// connEnd is one end of one connection.
type connEnd struct {
	streamLine
	conn net.Conn
}

type accepted struct {
	conn net.Conn
	err  error
}

func newConnLine(w wire, s Spec) *connLine { return &connLine{wire: w, s: s} }

// open listens, on the side that drives.
func (l *connLine) open(o *order, r *reply) (err error) {
	if o.Role > 0 {
		return nil
	}
	if l.listener, err = l.wire.listen(o); err != nil {
		return skipped{err}
	}
	l.accepted = make(chan accepted, l.s.connections())
	go func() {
		for range l.s.connections() {
			c, err := l.listener.Accept()
			l.accepted <- accepted{c, err}
			if err != nil {
				return
			}
		}
	}()
	r.Address = l.listener.Addr().String()
	return nil
}

// join dials, on the other side.
func (l *connLine) join(ctx context.Context, o *order) error {
	if o.Role == 0 {
		return nil
	}
	for range l.s.connections() {
		c, err := l.wire.dial(ctx, o.Address)
		if err != nil {
			return skipped{err}
		}
		l.use(c)
	}
	return nil
}

// admit takes the connections that were dialed.
func (l *connLine) admit(ctx context.Context, o *order) error {
	if o.Role > 0 {
		return nil
	}
	for range l.s.connections() {
		select {
		case a := <-l.accepted:
			if a.err != nil {
				return skipped{a.err}
			}
			l.use(a.conn)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if l.wire.whole {
		return l.probe(ctx, o)
	}
	return nil
}

func (l *connLine) use(c net.Conn) {
	e := &connEnd{streamLine: newStream(l.s), conn: c}
	e.in, e.out = c, c
	if l.s.InPlace {
		e.place = c.(inPlace)
	}
	l.ends = append(l.ends, e)
}

func (l *connLine) drive(ctx context.Context, n int, r *reply) error {
	o := overhead() // once: it takes as long as some requests do
	return together(len(l.ends), r, func(i int) ([]int64, error) { return l.ends[i].send(n/len(l.ends), o) })
}

func (l *connLine) answer(ctx context.Context, n int, r *reply) error {
	return together(len(l.ends), r, func(i int) ([]int64, error) { return l.ends[i].receive(n / len(l.ends)) })
}

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
	_, err = c.Write(make([]byte, l.s.Size))
	if errors.Is(err, syscall.EMSGSIZE) {
		return skipped{fmt.Errorf("a message of %s does not fit the socket's buffer", sized(l.s.Size))}
	}
	return err
}

// abort ends reads and writes that block.
func (l *connLine) abort() {
	for _, e := range l.ends {
		e.conn.Close()
	}
}

func (l *connLine) close() error {
	l.abort() // the second time, perhaps
	if l.listener != nil {
		return l.listener.Close()
	}
	return nil
}
