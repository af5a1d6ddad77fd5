package memfd_test

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// connected gives the two ends of a connection: "unix" is a stream,
// "unixpacket" keeps packets apart, "unixgram" is datagrams.
func connected(t testing.TB, network string) (a, b *net.UnixConn) {
	t.Helper()
	typ := map[string]int{"unix": unix.SOCK_STREAM, "unixpacket": unix.SOCK_SEQPACKET, "unixgram": unix.SOCK_DGRAM}[network]
	fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	ends := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		must(t, err)
		must(t, f.Close())
		t.Cleanup(func() { c.Close() })
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// end gives a descriptor of one end, for a child process.
func end(t testing.TB, c *net.UnixConn) *os.File {
	t.Helper()
	f, err := c.File()
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}
