package shmnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/memfd"
)

// serve is the server's side of the handshake. It owns the socket, and closes
// it when it fails.
func serve(ctx context.Context, socket *net.UnixConn, addr *net.UnixAddr, o *Options, src source) (c *Conn, err error) {
	stop := bound(ctx, socket)
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
		if err == nil {
			return
		}
		if c != nil {
			c.Close()
		} else {
			socket.Close()
		}
		c, err = nil, reason(ctx, err)
	}()
	peer, err := credentials(socket)
	if err != nil {
		return nil, err
	}
	c, a, err := greet(ctx, socket, &peer, o, src)
	if c != nil {
		c.local, c.remote, c.peer = addr, &net.UnixAddr{Net: network}, peer
		c.name = memoryName(addr)
	}
	if a == nil {
		return c, err // a plain client, which expects no answer
	}
	var no *refusal
	if errors.As(err, &no) {
		a.status, a.reason, a.text = statusRefused, no.reason, no.Error()
		if no.reason == reasonVersion {
			a.version = versionMost
		}
	} else if err != nil {
		return c, err
	}
	if _, e := socket.Write(a.encode()); e != nil && err == nil {
		err = e
	}
	return c, err
}

// greet reads a hello, and makes what it asks for. It gives the answer to
// send; nil for a client that speaks no hello.
func greet(ctx context.Context, socket *net.UnixConn, peer *sys.Credentials, o *Options, src source) (*Conn, *answer, error) {
	a := &answer{version: versionMost, least: versionLeast, status: statusMemory, takes: o.takes()}
	if err := allowed(peer, o); err != nil {
		return nil, a, &refusal{reasonNotAllowed, err}
	}
	b := make([]byte, helloSize)
	n, err := readHello(socket, b)
	if n < len(helloMagic) || string(b[:len(helloMagic)]) != helloMagic {
		if err == nil || err == io.ErrUnexpectedEOF {
			err = fmt.Errorf("the client began with %q: %w", b[:n], ErrNotProtocol)
			if o.Plain && n > 0 {
				return &Conn{plain: socket, first: b[:n]}, nil, nil
			}
		}
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	h, err := decodeHello(b, int64(o.MaxRing))
	if err != nil {
		return nil, a, err
	}
	a.version = min(h.version, versionMost)
	plain := func(err error) (*Conn, *answer, error) {
		if o.Plain && h.flags&flagPlain != 0 {
			a.status = statusPlain
			return &Conn{plain: socket}, a, nil
		}
		return nil, a, err
	}
	if h.flags&flagMemory == 0 {
		return plain(refuse(reasonNoMeans, "the client has no memory to share, and a plain socket is not wanted: %w", sys.ErrNoSpace))
	}
	m, err := receiveMemory(ctx, socket, h.sizes, src)
	if err != nil {
		switch {
		case errors.Is(err, sys.ErrType), errors.Is(err, sys.ErrCorrupt), errors.Is(err, sys.ErrVersion):
			return nil, a, &refusal{reasonMemory, err}
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), ctx.Err() != nil:
			return nil, nil, err // there is nobody to tell
		}
		return plain(&refusal{reasonNoMeans, err})
	}
	c, err := newConn(socket, m, h.sizes, 1, src)
	if err != nil {
		return nil, nil, err
	}
	c.setLimits(h.takes, o)
	return c, a, nil
}

// readHello reads until b is full, or it is clear that this is no hello, and
// no answer to one.
func readHello(socket *net.UnixConn, b []byte) (n int, err error) {
	for n < len(b) {
		m, err := socket.Read(b[n:])
		n += m
		k := min(n, len(helloMagic))
		if string(b[:k]) != helloMagic[:k] {
			return n, nil
		}
		if err == io.EOF && n > 0 {
			return n, io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// receiveMemory takes the memory that a hello announced.
func receiveMemory(ctx context.Context, socket *net.UnixConn, s sizes, src source) (*memory, error) {
	f, err := memfd.Receive(ctx, socket, want(s.total(), s.total()))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := checkRoom(s.total()); err != nil {
		return nil, err
	}
	m, err := src.take(f, s.total())
	if err != nil {
		return nil, err
	}
	if err := s.checkHeader(m.region); err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

// setLimits notes which rings may come later.
func (c *Conn) setLimits(peerTakes int64, o *Options) {
	c.takes = o.takes()
	c.bell.take = c.takes > 0
	c.out.grow.most = min(peerTakes, o.takes())
}

// allowed refuses a user who is not wanted.
func allowed(peer *sys.Credentials, o *Options) error {
	if len(o.UIDs) == 0 || slices.Contains(o.UIDs, peer.UID) {
		return nil
	}
	return fmt.Errorf("user %d is not among those who are allowed: %w", peer.UID, fs.ErrPermission)
}

func credentials(socket *net.UnixConn) (peer sys.Credentials, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return peer, err
	}
	e := raw.Control(func(fd uintptr) { peer, err = sys.PeerCredentials(int(fd)) })
	return peer, errors.Join(e, err)
}

// bound lets ctx bound what is done with a socket, until the function that it
// gives is called, which tells whether ctx ended before.
func bound(ctx context.Context, socket *net.UnixConn) (release func() error) {
	stop := context.AfterFunc(ctx, func() { socket.SetDeadline(past) })
	return func() error {
		if !stop() {
			return context.Cause(ctx)
		}
		return nil
	}
}

// reason prefers the context's reason over the time-out it caused.
func reason(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		if e == context.DeadlineExceeded {
			return fmt.Errorf("the other side did not finish the handshake in time: %w", os.ErrDeadlineExceeded)
		}
		return e
	}
	return bare(err)
}

// memoryName is what /proc shows of the memory.
func memoryName(addr *net.UnixAddr) string { return "shmnet:" + addr.Name }
