package shmnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/memfd"
)

// Dialer connects with options. The zero Dialer has none.
type Dialer struct {
	// Options are for every connection; nil means none.
	Options *Options

	// Address is where to connect to; empty: where the caller says. Clients
	// that make up an address, of a host and a port, need it.
	Address string
}

// DialContext connects, as Dial does. network is ignored, and address too
// where the Dialer has one. Its type is the one that http.Transport and others
// ask for.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Address != "" {
		address = d.Address
	}
	c, err := Dial(ctx, address, d.Options)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Dial connects to a Listener: to the path of its socket, or to an abstract
// name, which begins with @. ctx bounds the connecting, not the connection.
func Dial(ctx context.Context, address string, opts *Options) (*Conn, error) {
	fail := func(err error) (*Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: &net.UnixAddr{Name: address, Net: network}, Err: bare(err)}
	}
	addr, err := parse(address)
	if err != nil {
		return fail(err)
	}
	o, err := opts.orDefault()
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Handshake)
	defer cancel()
	socket, err := dialUnix(ctx, addr)
	if err != nil {
		return fail(err)
	}
	c, err := introduce(ctx, socket, addr, &o, kernel{})
	if errors.Is(err, ErrNotProtocol) && o.Plain {
		// The hello is lost on this server; it gets a connection without.
		if socket, err = dialUnix(ctx, addr); err == nil {
			c, err = newPlain(socket, addr, &o)
		}
	}
	if err != nil {
		return fail(err)
	}
	return c, nil
}

func dialUnix(ctx context.Context, addr *net.UnixAddr) (*net.UnixConn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr.Name)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// newPlain makes a connection of a socket alone. It owns the socket.
func newPlain(socket *net.UnixConn, addr *net.UnixAddr, o *Options) (*Conn, error) {
	peer, err := credentials(socket)
	if err == nil {
		err = allowed(&peer, o)
	}
	if err != nil {
		socket.Close()
		return nil, err
	}
	return &Conn{plain: socket, local: &net.UnixAddr{Net: network}, remote: addr, peer: peer}, nil
}

// introduce is the client's side of the handshake. It owns the socket, and
// closes it when it fails.
func introduce(ctx context.Context, socket *net.UnixConn, addr *net.UnixAddr, o *Options, src source) (c *Conn, err error) {
	stop := bound(ctx, socket)
	var m *memory
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
		if err == nil {
			return
		}
		switch {
		case c != nil:
			c.Close()
		default:
			if m != nil {
				m.release()
			}
			socket.Close()
		}
		c, err = nil, reason(ctx, err)
	}()
	peer, err := credentials(socket)
	if err != nil {
		return nil, err
	}
	if err := allowed(&peer, o); err != nil {
		return nil, err
	}
	s := sizes{int64(o.Ring), int64(o.Ring)}
	h := hello{version: versionMost, least: versionLeast, sizes: s, takes: o.takes()}
	if o.Plain {
		h.flags |= flagPlain
	}
	m, f, err := src.make(memoryName(addr), s.total())
	switch {
	case err == nil:
		defer f.Close()
		s.writeHeader(m.region)
		h.flags |= flagMemory
	case !o.Plain:
		return nil, err
	}
	a, err := exchange(ctx, socket, &h, f)
	if err != nil {
		return nil, err
	}
	switch {
	case a.status == statusRefused:
		return nil, a.refused()
	case a.status == statusPlain && !o.Plain:
		return nil, fmt.Errorf("the server wants a plain socket, which was not offered: %w", sys.ErrCorrupt)
	case a.status == statusPlain:
		if m != nil {
			m.release()
			m = nil
		}
		return &Conn{plain: socket, local: &net.UnixAddr{Net: network}, remote: addr, peer: peer}, nil
	case m == nil:
		return nil, fmt.Errorf("the server accepts memory that was not sent: %w", sys.ErrCorrupt)
	}
	c, err = newConn(socket, m, s, 0, src)
	m = nil
	if err != nil {
		return nil, err
	}
	c.local, c.remote, c.peer, c.name = &net.UnixAddr{Net: network}, addr, peer, memoryName(addr)
	c.setLimits(a.takes, o)
	return c, nil
}

// exchange says hello and reads the answer.
func exchange(ctx context.Context, socket *net.UnixConn, h *hello, f *memfd.File) (a answer, err error) {
	if _, err := socket.Write(h.encode()); err != nil && !closedEarly(err) {
		return a, err
	}
	if f != nil {
		// Who has refused already does not read it, but has answered.
		if err := memfd.Send(ctx, socket, f); err != nil && !closedEarly(err) {
			return a, err
		}
	}
	b := make([]byte, helloSize)
	n, err := readHello(socket, b)
	switch k := min(n, len(helloMagic)); {
	case string(b[:k]) != helloMagic[:k]:
		return a, fmt.Errorf("the server answers %q: %w", b[:n], ErrNotProtocol)
	case err == io.EOF, err == io.ErrUnexpectedEOF, closedEarly(err):
		return a, fmt.Errorf("the server closed the connection at the hello: %w", ErrNotProtocol)
	case err != nil:
		return a, err
	}
	a, text, err := decodeAnswer(b)
	if err != nil {
		return a, err
	}
	t := make([]byte, text)
	if _, err := io.ReadFull(socket, t); err != nil {
		return a, err
	}
	a.text = string(t)
	return a, nil
}

func closedEarly(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
