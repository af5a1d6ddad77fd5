package cli

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"syscall"
)

// duplex is a connection whose directions end each by itself, as those of
// Unix sockets, TCP and shmnet do.
type duplex interface {
	io.ReadWriteCloser
	CloseRead() error
	CloseWrite() error
}

// join carries bytes between two connections in both directions until both
// have ended, or the connection broke, and tells what went wrong on either
// side.
func join(a, b duplex) (aErr, bErr error) {
	type end struct {
		side *error
		err  error
	}
	ends := make(chan end, 2)
	direction := func(from, to duplex, fromErr, toErr *error) {
		err := carry(from, to)
		if isWrite(err) {
			fromErr = toErr
		}
		ends <- end{fromErr, err}
	}
	go direction(a, b, &aErr, &bErr)
	go direction(b, a, &bErr, &aErr)
	for range 2 {
		e := <-ends
		if e.err == nil {
			continue
		}
		if *e.side == nil {
			*e.side = e.err
		}
		if !isWrite(e.err) {
			// Both are closed, and the other direction ends too; not at once
			// where it reads standard input.
			break
		}
	}
	return aErr, bErr
}

// carry copies from one connection to the other until its end, and passes
// that on. One of them is of shmnet, which io.Copy lets copy by itself: out of
// its memory or into it, once.
func carry(from, to duplex) error {
	_, err := io.Copy(to, from)
	switch {
	case err == nil:
		// A peer that is gone already needs no end.
		to.CloseWrite()
		return nil
	case errors.Is(err, net.ErrClosed):
		return nil // by the other direction, or the end of the proxy
	case isWrite(err):
		// It takes no more, but may have something to say still: a server
		// that answers before it has read everything.
		from.CloseRead()
		if errors.Is(err, syscall.EPIPE) {
			return nil
		}
		return err
	}
	// What was sent may lack something, which the other side must not take
	// for all.
	abort(to)
	abort(from)
	return err
}

// abort ends a connection so that the peer sees that it broke, where there is
// a way to say so: a Unix socket has none, nor has shmnet.
func abort(c duplex) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// isWrite reports whether an error of a copy is the receiving side's.
func isWrite(err error) bool {
	var op *net.OpError
	var path *fs.PathError
	switch {
	case errors.As(err, &op):
		return op.Op == "write"
	case errors.As(err, &path):
		return path.Op == "write"
	}
	return errors.Is(err, io.ErrShortWrite)
}
