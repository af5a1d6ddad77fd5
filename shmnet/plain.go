package shmnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// errPlain: there is no memory to lend.
var errPlain = fmt.Errorf("the connection fell back to a plain socket: %w", errors.ErrUnsupported)

// plainRead reads what came with the handshake first.
func (c *Conn) plainRead(p []byte) (int, error) {
	c.in.Lock()
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		c.in.Unlock()
		return n, nil
	}
	c.in.Unlock()
	n, err := c.plain.Read(p)
	return n, c.plainError("read", err)
}

func (c *Conn) plainWriteTo(w io.Writer) (n int64, err error) {
	c.in.Lock()
	first := c.first
	c.first = nil
	c.in.Unlock()
	if len(first) > 0 {
		m, err := w.Write(first)
		if err != nil {
			return int64(m), err
		}
		n = int64(m)
	}
	m, err := io.Copy(w, c.plain)
	return n + m, c.plainError("read", err)
}

// plainError gives the errors of the socket our addresses.
func (c *Conn) plainError(op string, err error) error {
	if e, ok := err.(*net.OpError); ok {
		return c.opError(op, e.Err)
	}
	return err
}

// opError is what every method fails with, but for io.EOF.
func (c *Conn) opError(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: network, Source: c.local, Addr: c.remote, Err: named(op, err)}
}

// named gives an errno its call, as package net does.
func named(op string, err error) error {
	if no, ok := err.(syscall.Errno); ok {
		return newSyscallError(op, no)
	}
	return err
}

// SyscallConn gives the socket of a connection that fell back to it. Else it
// fails with errors.ErrUnsupported: the bytes do not go through the socket, so
// who reads it or writes to it would break the connection.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.plain != nil {
		return c.plain.SyscallConn()
	}
	return nil, c.opError("raw", fmt.Errorf("the bytes of the connection are in memory, not on its socket: %w", errors.ErrUnsupported))
}

// bare takes the cause out of an error of package net.
func bare(err error) error {
	if e, ok := err.(*net.OpError); ok {
		return e.Err
	}
	return err
}
