package grpc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-298b2b26/shm/shmnet"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

// ways are how the bytes go.
var ways = []string{"shmnet", "unix"}

func listen(way, path string) (net.Listener, error) {
	if way == "shmnet" {
		return shmnet.Listen(context.Background(), path, nil)
	}
	return net.Listen("unix", path)
}

// dialler gives the function that connects.
func dialler(way, path string) func(context.Context) (net.Conn, error) {
	if way == "shmnet" {
		d := shmnet.Dialer{Address: path}
		return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "", "") }
	}
	var d net.Dialer
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "unix", path) }
}

func init() {
	// A server: of gRPC or HTTP, by a way, at a path. It ends with its input.
	shmtest.Handle("serve", func(c *shmtest.Child) {
		l, err := listen(c.Args[1], c.Args[2])
		c.Check(err)
		if c.Args[0] == "grpc" {
			s := grpc.NewServer()
			s.RegisterService(&desc, server{})
			go s.Serve(l)
			defer s.Stop()
		} else {
			s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, _ := strconv.Atoi(r.URL.Query().Get("n"))
				w.Write(make([]byte, n))
			})}
			go s.Serve(l)
			defer s.Close()
		}
		c.Send("ready")
		c.Recv()
	})
}

// serve starts a server in another process.
func serve(tb testing.TB, what, way string) (connect func(context.Context) (net.Conn, error)) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	p := shmtest.Start(tb, "serve", what, way, path)
	p.Expect("ready")
	tb.Cleanup(func() {
		p.CloseInput()
		p.Wait()
	})
	return dialler(way, path)
}

// client connects gRPC to a server in another process.
func client(tb testing.TB, way string) *grpc.ClientConn {
	connect := serve(tb, "grpc", way)
	c, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return connect(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func unary(ctx context.Context, c *grpc.ClientConn, m *wrapperspb.BytesValue) error {
	back := new(wrapperspb.BytesValue)
	if err := c.Invoke(ctx, unaryMethod, m, back); err != nil {
		return err
	}
	if len(back.Value) != len(m.Value) {
		return fmt.Errorf("%d bytes came back of %d", len(back.Value), len(m.Value))
	}
	return nil
}

func get(c *http.Client, n int) error {
	resp, err := c.Get("http://service/?n=" + strconv.Itoa(n))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if got, err := io.Copy(io.Discard, resp.Body); err != nil || int(got) != n {
		return fmt.Errorf("got %d bytes of %d: %w", got, n, err)
	}
	return nil
}

func httpClient(tb testing.TB, way string) *http.Client {
	connect := serve(tb, "http", way)
	t := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx) },
		MaxIdleConnsPerHost: 64,
	}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

// TestWays makes each call once, so that what is measured also works.
func TestWays(t *testing.T) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			c := client(t, way)
			if err := unary(t.Context(), c, wrapperspb.Bytes(bytes.Repeat([]byte("x"), 100_000))); err != nil {
				t.Error(err)
			}
			if err := get(httpClient(t, way), 1_000_000); err != nil {
				t.Error(err)
			}
		})
	}
}

var sizes = []int{64, 4 << 10, 1 << 20}

// BenchmarkUnary is one unary call after the other.
func BenchmarkUnary(b *testing.B) {
	for _, size := range sizes {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/%d", way, size), func(b *testing.B) {
				c, m := client(b, way), wrapperspb.Bytes(make([]byte, size))
				b.SetBytes(int64(2 * size))
				for b.Loop() {
					if err := unary(b.Context(), c, m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkUnaryParallel has 64 callers on one connection.
func BenchmarkUnaryParallel(b *testing.B) {
	for _, way := range ways {
		b.Run(way, func(b *testing.B) {
			c, m := client(b, way), wrapperspb.Bytes(make([]byte, 1<<10))
			if err := unary(b.Context(), c, m); err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := unary(b.Context(), c, m); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkStream sends messages on one stream as fast as they come back.
func BenchmarkStream(b *testing.B) {
	for _, size := range sizes {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/%d", way, size), func(b *testing.B) {
				c, m := client(b, way), wrapperspb.Bytes(make([]byte, size))
				s, err := c.NewStream(b.Context(), &desc.Streams[0], streamMethod)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(2 * size))
				sent := make(chan error, 1)
				n := b.N
				b.ResetTimer()
				go func() {
					for range n {
						if err := s.SendMsg(m); err != nil {
							sent <- err
							return
						}
					}
					sent <- s.CloseSend()
				}()
				back := new(wrapperspb.BytesValue)
				for range n {
					if err := s.RecvMsg(back); err != nil {
						b.Fatal(err)
					}
				}
				if err := <-sent; err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkGET is one HTTP request after the other.
func BenchmarkGET(b *testing.B) {
	for _, size := range sizes {
		for _, way := range ways {
			b.Run(fmt.Sprintf("%s/%d", way, size), func(b *testing.B) {
				c := httpClient(b, way)
				b.SetBytes(int64(size))
				for b.Loop() {
					if err := get(c, size); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkGETParallel has 64 requests under way at once.
func BenchmarkGETParallel(b *testing.B) {
	for _, way := range ways {
		b.Run(way, func(b *testing.B) {
			c := httpClient(b, way)
			if err := get(c, 1<<10); err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := get(c, 1<<10); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
