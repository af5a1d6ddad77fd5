package shmnet

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

// TestConn is what everybody expects of a net.Conn.
func TestConn(t *testing.T) {
	t.Run("mapped", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			a, b := pair(t, nil)
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
	t.Run("heap", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			a, b := heapPair(t, Options{})
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
	t.Run("never grows", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			a, b := pair(t, &Options{Ring: 4096, MaxRing: 1})
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
}
