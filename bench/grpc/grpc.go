// Package grpc measures gRPC and net/http over shared memory, beside the same
// over a Unix socket, between two processes:
//
//	go test -bench . -benchtime 3s -count 5
//
// What is measured is in the tests; here is the service that they call, by
// hand, without a generated stub.
package grpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Names of the methods.
const (
	unaryMethod  = "/shm.bench.Echo/Unary"
	streamMethod = "/shm.bench.Echo/Stream"
)

type echo interface {
	Unary(context.Context, *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)
	Stream(grpc.ServerStream) error
}

// desc describes a service that sends back what comes.
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
	Streams: []grpc.StreamDesc{{
		StreamName:    "Stream",
		Handler:       func(srv any, s grpc.ServerStream) error { return srv.(echo).Stream(s) },
		ServerStreams: true,
		ClientStreams: true,
	}},
}

type server struct{}

func (server) Unary(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	return in, nil
}

func (server) Stream(s grpc.ServerStream) error {
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
