package shmnet

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

// failer is what tests and child processes have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// socketPath is a path for a socket that fits, and is gone after the test.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shmnet")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// listen listens at a path of its own.
func listen(t testing.TB, opts *Options) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), socketPath(t), opts)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// pair gives both ends of a connection, closed with the test.
func pair(t testing.TB, opts *Options) (client, server *Conn) {
	t.Helper()
	l := listen(t, opts)
	return connect(t, l, opts)
}

func connect(t testing.TB, l *Listener, opts *Options) (client, server *Conn) {
	t.Helper()
	client, err := Dial(t.Context(), l.Addr().String(), opts)
	must(t, err)
	t.Cleanup(func() { client.Close() })
	server, err = l.AcceptConn()
	must(t, err)
	t.Cleanup(func() { server.Close() })
	return client, server
}

// socketPair gives two Unix sockets that are connected.
func socketPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketPath(t), Net: "unix"})
	must(t, err)
	defer l.Close()
	a, err = net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	must(t, err)
	b, err = l.AcceptUnix()
	must(t, err)
	return a, b
}

// heapPair is pair in Go's own memory, which the race detector sees.
func heapPair(t testing.TB, o Options) (client, server *Conn) {
	t.Helper()
	o, err := o.orDefault()
	must(t, err)
	a, b := socketPair(t)
	s := sizes{int64(o.Ring), int64(o.Ring)}
	r := mem.Heap(int(s.total()))
	s.writeHeader(r)
	src := newHeapSource()
	client, err = newConn(a, newMemory(r, 1, nil), s, 0, src)
	must(t, err)
	server, err = newConn(b, newMemory(r, 1, nil), s, 1, src)
	must(t, err)
	for _, c := range []*Conn{client, server} {
		c.local, c.remote = &net.UnixAddr{Net: network}, &net.UnixAddr{Net: network}
		c.setLimits(int64(o.MaxRing), &o)
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

var background = context.Background()

// shortPause is for loops that look for something that nobody announces.
func shortPause() { time.Sleep(100 * time.Microsecond) }

// eventually waits until something is so that nobody announces.
func eventually(t failer, what string, so func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !so(); shortPause() {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
