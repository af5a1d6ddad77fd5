// Package grpc is gRPC as `shm bench` measures it: one unary method that
// sends back what comes, by hand, without a generated stub.
package grpc

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-298b2b26/shm/internal/bench"
)

// Service is what a worker needs to measure it. All callers have one
// connection between them.
var Service = bench.Service{Name: "grpc", Serve: serve, Connect: connect}

const method = "/shm.bench.Echo/Unary"

type echo interface {
	Unary(context.Context, *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)
}

var desc = grpc.ServiceDesc{
	ServiceName: "shm.bench.Echo",
	HandlerType: (*echo)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Unary",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.BytesValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			return srv.(echo).Unary(ctx, in)
		},
	}},
}

type server struct{}

func (server) Unary(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	return in, nil
}

func serve(l net.Listener, _ bench.Spec) (stop func() error) {
	s := grpc.NewServer()
	s.RegisterService(&desc, server{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return func() error {
		s.Stop()
		if err := <-done; !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	}
}

type client struct {
	conn *grpc.ClientConn
	s    bench.Spec
}

func connect(s bench.Spec, dial bench.Dial) (bench.Client, error) {
	conn, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	return &client{conn, s}, err
}

// Caller has a message of its own, which it sends again and again.
func (c *client) Caller() func(context.Context) error {
	m := wrapperspb.Bytes(make([]byte, c.s.Size))
	return func(ctx context.Context) error {
		back := new(wrapperspb.BytesValue)
		if err := c.conn.Invoke(ctx, method, m, back); err != nil {
			return err
		}
		if len(back.Value) != len(m.Value) {
			return fmt.Errorf("%d bytes came back of %d", len(back.Value), len(m.Value))
		}
		return nil
	}
}

func (c *client) Close() error { return c.conn.Close() }
