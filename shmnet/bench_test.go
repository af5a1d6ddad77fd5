package shmnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
)

// transports are what is compared, in turns within one run.
var transports = []string{"unix", "shmnet"}

func dialTransport(t failer, name, path string) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if name == "unix" {
		c, err = net.Dial("unix", path)
	} else {
		c, err = Dial(context.Background(), path, nil)
	}
	must(t, err)
	return c
}

func init() {
	shmtest.Handle("server", func(c *shmtest.Child) {
		var l net.Listener
		var err error
		if c.Args[0] == "unix" {
			l, err = net.Listen("unix", c.Args[1])
		} else {
			l, err = Listen(context.Background(), c.Args[1], nil)
		}
		c.Check(err)
		size, err := strconv.Atoi(c.Args[3])
		c.Check(err)
		c.Send("ready")
		conn, err := l.Accept()
		c.Check(err)
		b := make([]byte, size)
		switch c.Args[2] {
		case "echo":
			for {
				if _, err := io.ReadFull(conn, b); err != nil {
					break
				}
				if _, err := conn.Write(b); err != nil {
					break
				}
			}
		case "sink": // one byte back for each mebibyte's worth, or the end
			n := 0
			for {
				m, err := conn.Read(b)
				n += m
				if err != nil {
					break
				}
			}
			c.Send("%d", n)
		case "messages": // reads messages of 64 bytes one by one
			n := 0
			m := make([]byte, 64)
			for {
				k, err := io.ReadFull(conn, m)
				n += k
				if err != nil {
					break
				}
			}
			c.Send("%d", n)
		}
		conn.Close()
		l.Close()
	})
}

// serverOf starts a server in another process and connects to it.
func serverOf(t testing.TB, transport, what string, size int) (net.Conn, *shmtest.Process) {
	t.Helper()
	path := socketPath(t)
	p := shmtest.Start(t, "server", transport, path, what, fmt.Sprint(size))
	p.Expect("ready")
	return dialTransport(t, transport, path), p
}

// BenchmarkRoundTrip is a request and an answer of the same size, at once one
// after the other (busy), or with both sides asleep in between.
func BenchmarkRoundTrip(b *testing.B) {
	for _, pace := range []string{"busy", "asleep"} {
		for _, size := range []int{64, 1024, 4096, 64 << 10} {
			for _, transport := range transports {
				b.Run(fmt.Sprintf("%s/%d/%s", pace, size, transport), func(b *testing.B) {
					conn, p := serverOf(b, transport, "echo", size)
					buf := make([]byte, size)
					took := make([]time.Duration, 0, b.N)
					trip := func() {
						if _, err := conn.Write(buf); err != nil {
							b.Fatal(err)
						}
						if _, err := io.ReadFull(conn, buf); err != nil {
							b.Fatal(err)
						}
					}
					for range 100 {
						trip()
					}
					b.ResetTimer()
					for range b.N {
						if pace == "asleep" {
							time.Sleep(200 * time.Microsecond)
						}
						begun := time.Now()
						trip()
						took = append(took, time.Since(begun))
					}
					b.StopTimer()
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
					b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
					if c, ok := conn.(*Conn); ok && os.Getenv("SHMNET_STATS") != "" {
						b.Logf("%+v", c.Stats())
					}
					conn.Close()
					p.Wait()
				})
			}
		}
	}
}

// BenchmarkStream is one way, every byte read.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64, 64 << 10, 1 << 20} {
		for _, transport := range transports {
			b.Run(fmt.Sprintf("%d/%s", size, transport), func(b *testing.B) {
				what := "sink"
				if size == 64 {
					what = "messages"
				}
				conn, p := serverOf(b, transport, what, size)
				buf := make([]byte, size)
				b.SetBytes(int64(size))
				b.ResetTimer()
				for range b.N {
					if _, err := conn.Write(buf); err != nil {
						b.Fatal(err)
					}
				}
				if c, ok := conn.(*Conn); ok && os.Getenv("SHMNET_STATS") != "" {
					b.Logf("%+v", c.Stats())
				}
				conn.Close()
				p.Expect(fmt.Sprint(b.N * size))
				b.StopTimer()
				p.Wait()
			})
		}
	}
}

// BenchmarkTurns measures both transports in turns, some trips each, so that
// whatever else the machine does meets both alike. It reports the medians and
// what ours is of the socket's.
func BenchmarkTurns(b *testing.B) {
	for _, c := range []struct {
		pace  string
		trips int // in a turn
		sizes []int
	}{
		{"asleep", 1, []int{1, 64, 1024, 4096, 64 << 10}},
		{"busy", 500, []int{64, 4096, 64 << 10}},
	} {
		for _, size := range c.sizes {
			b.Run(fmt.Sprintf("%s/%d", c.pace, size), func(b *testing.B) {
				var conns []net.Conn
				var servers []*shmtest.Process
				for _, transport := range transports {
					conn, p := serverOf(b, transport, "echo", size)
					conns, servers = append(conns, conn), append(servers, p)
				}
				buf := make([]byte, size)
				took := make([][]time.Duration, len(conns))
				trip := func(conn net.Conn) {
					if _, err := conn.Write(buf); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(conn, buf); err != nil {
						b.Fatal(err)
					}
				}
				for range b.N/c.trips + 1 {
					for i, conn := range conns {
						if c.pace == "asleep" {
							time.Sleep(100 * time.Microsecond)
						}
						for range c.trips {
							begun := time.Now()
							trip(conn)
							took[i] = append(took[i], time.Since(begun))
						}
					}
				}
				at := func(i, percent int) float64 {
					slices.Sort(took[i])
					return float64(took[i][len(took[i])*percent/100])
				}
				for _, p := range []int{50, 90, 99} {
					b.ReportMetric(at(1, p)/at(0, p), fmt.Sprintf("p%d/unix", p))
				}
				b.ReportMetric(at(0, 50), "unix-p50-ns")
				b.ReportMetric(at(1, 50), "p50-ns")
				for i := range conns {
					conns[i].Close()
					servers[i].Wait()
				}
			})
		}
	}
}

// BenchmarkWriteRead is what a Write and a Read cost by themselves, with
// nobody at another processor.
func BenchmarkWriteRead(b *testing.B) {
	for _, size := range []int{64, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w, r := pair(b, nil)
			buf := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				w.Write(buf)
				r.Read(buf)
			}
		})
	}
}
