package bench

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
)

// Service is a way to call another process over connections: a server on one
// side, which answers, and a client on the other. A program that measures one
// hands it to Worker.
type Service struct {
	// Name is the Transport of its cells.
	Name string

	// Serve answers the calls that come to l, until stop is called, which
	// closes l.
	Serve func(l net.Listener, s Spec) (stop func() error)

	// Connect makes the client. It dials as often as it needs.
	Connect func(s Spec, dial Dial) (Client, error)
}

// Dial makes a connection to the server.
type Dial func(ctx context.Context) (net.Conn, error)

// Client is the side that calls.
type Client interface {
	// Caller gives a function that makes a call and takes the whole of the
	// answer. Different callers call at once.
	Caller() func(ctx context.Context) error

	// Close closes the connections.
	Close() error
}

// serviceLine is the calls of one cell: who drives calls, the other serves.
type serviceLine struct {
	s       Spec
	service Service
	wire    wire
	client  Client
	callers []func(context.Context) error
	stop    func() error
}

func newServiceLine(service Service, w wire, s Spec) *serviceLine {
	return &serviceLine{service: service, wire: w, s: s}
}

// open listens, on the side that does not drive.
func (l *serviceLine) open(o *order, r *reply) error {
	if o.Role == 0 {
		return nil
	}
	listener, err := l.wire.listen(o)
	if err != nil {
		return skipped{err}
	}
	r.Address = listener.Addr().String()
	l.stop = l.service.Serve(listener, l.s)
	return nil
}

// join makes the client, on the other side.
func (l *serviceLine) join(ctx context.Context, o *order) (err error) {
	if o.Role > 0 {
		return nil
	}
	address := o.Address
	l.client, err = l.service.Connect(l.s, func(ctx context.Context) (net.Conn, error) { return l.wire.dial(ctx, address) })
	if err != nil {
		return skipped{err}
	}
	for range l.s.callers() {
		l.callers = append(l.callers, l.client.Caller())
	}
	return nil
}

// admit has each caller call once, so that the connections are there.
func (l *serviceLine) admit(ctx context.Context, o *order) error {
	if o.Role > 0 {
		return nil
	}
	return l.drive(ctx, len(l.callers), new(reply))
}

func (l *serviceLine) drive(ctx context.Context, n int, r *reply) error {
	o := overhead()
	return together(len(l.callers), r, func(i int) ([]int64, error) {
		t := newLapsOf(n/len(l.callers), o)
		t.begin()
		for range n / len(l.callers) {
			if err := l.callers[i](ctx); err != nil {
				return nil, err
			}
			t.lap()
		}
		return t.d, nil
	})
}

// answer has nothing to do: the server answers in goroutines of its own.
func (l *serviceLine) answer(context.Context, int, *reply) error { return nil }

func (l *serviceLine) close() error {
	var err error
	if l.client != nil {
		err = l.client.Close()
	}
	if l.stop != nil {
		err = errors.Join(err, l.stop())
	}
	return err
}

// together runs n functions at once, each in a goroutine of its own where
// there are several, and takes the laps of all.
func together(n int, r *reply, f func(i int) ([]int64, error)) error {
	if n == 1 {
		d, err := f(0)
		r.laps(d)
		return err
	}
	parts, errs := make([][]int64, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { parts[i], errs[i] = f(i) })
	}
	wg.Wait()
	r.laps(slices.Concat(parts...))
	return errors.Join(errs...)
}
