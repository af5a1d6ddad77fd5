package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-298b2b26/shm/shmnet"
	"github.com/seed-298b2b26/shm/shmtest"
)

// A stream that is echoed. What is one call after the other is shm bench's.
var streams = grpc.ServiceDesc{
	ServiceName: "shm.bench.Streams",
	HandlerType: (*any)(nil),
	Streams:     []grpc.StreamDesc{{StreamName: "Echo", Handler: echoStream, ServerStreams: true, ClientStreams: true}},
}

func echoStream(_ any, s grpc.ServerStream) error {
	for m := new(wrapperspb.BytesValue); ; {
		if err := s.RecvMsg(m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := s.SendMsg(m); err != nil {
			return err
		}
	}
}

func listen(over, address string) (net.Listener, error) {
	if over == "shmnet" {
		return shmnet.Listen(context.Background(), address, nil)
	}
	return net.Listen(over, address)
}

func dial(ctx context.Context, over, address string) (net.Conn, error) {
	if over == "shmnet" {
		return shmnet.Dial(ctx, address, nil)
	}
	return new(net.Dialer).DialContext(ctx, over, address)
}

func init() {
	// A server over a transport, at an address. It ends with its input.
	shmtest.Handle("streams", func(c *shmtest.Child) {
		l, err := listen(c.Args[0], c.Args[1])
		c.Check(err)
		s := grpc.NewServer()
		s.RegisterService(&streams, nil)
		go s.Serve(l)
		defer s.Stop()
		c.Send("ready")
		c.Recv()
	})
}

// stream opens a stream to a server in another process.
func stream(tb testing.TB, over string) grpc.ClientStream {
	address := "@" + shmtest.Name(tb)
	p := shmtest.Start(tb, "streams", over, address)
	p.Expect("ready")
	tb.Cleanup(func() {
		p.CloseInput()
		p.Wait()
	})
	c, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx, over, address) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	s, err := c.NewStream(tb.Context(), &streams.Streams[0], "/shm.bench.Streams/Echo")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// flow sends n messages and receives them, both as fast as it goes.
func flow(s grpc.ClientStream, n, size int) error {
	sent := make(chan error, 1)
	go func() {
		m := wrapperspb.Bytes(make([]byte, size))
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
			return err
		}
		if len(back.Value) != size {
			return fmt.Errorf("%d bytes came back of %d", len(back.Value), size)
		}
	}
	return <-sent
}

var overs = []string{"shmnet", "unix"}

func TestStream(t *testing.T) {
	for _, over := range overs {
		t.Run(over, func(t *testing.T) {
			if err := flow(stream(t, over), 10, 100_000); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkStream has messages on one stream, echoed.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64, 4 << 10, 1 << 20} {
		for _, over := range overs {
			b.Run(fmt.Sprintf("%s/%d", over, size), func(b *testing.B) {
				s := stream(b, over)
				b.SetBytes(int64(2 * size))
				b.ResetTimer()
				if err := flow(s, b.N, size); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
