// Package service is a gRPC service by hand, without a generated stub, so that
// the example needs no compiler for protocol buffers: what would be generated
// from
//
//	service Talk {
//	  rpc Hello(google.protobuf.StringValue) returns (google.protobuf.StringValue);
//	  rpc Echo(stream google.protobuf.BytesValue) returns (stream google.protobuf.BytesValue);
//	}
package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Names of the methods.
const (
	Hello = "/shm.example.Talk/Hello"
	Echo  = "/shm.example.Talk/Echo"
)

// Talk is what a server must have.
type Talk interface {
	Hello(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
	Echo(grpc.BidiStreamingServer[wrapperspb.BytesValue, wrapperspb.BytesValue]) error
}

// Desc describes the service to grpc.Server.RegisterService.
var Desc = grpc.ServiceDesc{
	ServiceName: "shm.example.Talk",
	HandlerType: (*Talk)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Hello",
		Handler: func(srv any, ctx context.Context, decode func(any) error, between grpc.UnaryServerInterceptor) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			if between == nil {
				return srv.(Talk).Hello(ctx, in)
			}
			info := &grpc.UnaryServerInfo{Server: srv, FullMethod: Hello}
			return between(ctx, in, info, func(ctx context.Context, req any) (any, error) {
				return srv.(Talk).Hello(ctx, req.(*wrapperspb.StringValue))
			})
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName: "Echo",
		Handler: func(srv any, s grpc.ServerStream) error {
			return srv.(Talk).Echo(&grpc.GenericServerStream[wrapperspb.BytesValue, wrapperspb.BytesValue]{ServerStream: s})
		},
		ServerStreams: true,
		ClientStreams: true,
	}},
}

// Server is a Talk.
type Server struct{}

// Hello greets.
func (Server) Hello(_ context.Context, name *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return wrapperspb.String(fmt.Sprintf("hello %s, this is process %d", name.Value, os.Getpid())), nil
}

// Echo sends back what comes.
func (Server) Echo(s grpc.BidiStreamingServer[wrapperspb.BytesValue, wrapperspb.BytesValue]) error {
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
}

// Client calls a Talk.
type Client struct{ Conn grpc.ClientConnInterface }

// Hello is a unary call.
func (c Client) Hello(ctx context.Context, name string) (string, error) {
	out := new(wrapperspb.StringValue)
	err := c.Conn.Invoke(ctx, Hello, wrapperspb.String(name), out)
	return out.Value, err
}

// Echo opens a stream.
func (c Client) Echo(ctx context.Context) (grpc.BidiStreamingClient[wrapperspb.BytesValue, wrapperspb.BytesValue], error) {
	s, err := c.Conn.NewStream(ctx, &Desc.Streams[0], Echo)
	if err != nil {
		return nil, err
	}
	return &grpc.GenericClientStream[wrapperspb.BytesValue, wrapperspb.BytesValue]{ClientStream: s}, nil
}
