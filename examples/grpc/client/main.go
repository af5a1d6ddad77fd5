// Client makes a unary and a streaming gRPC call to ../server.
//
//	go run ./client
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-298b2b26/shm/examples/grpc/service"
	"github.com/seed-298b2b26/shm/shmnet"
)

func main() {
	log.SetFlags(0)
	path := "grpc.sock"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	// Before: grpc.NewClient("unix:"+path, ...) without a dialler. The target
	// becomes the authority of the requests, and passthrough looks nothing up.
	conn, err := grpc.NewClient("passthrough:///localhost",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return shmnet.Dial(ctx, path, nil)
		}),
		// The other end is a process of this machine: Conn.Peer says which.
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := service.Client{Conn: conn}

	hello, err := client.Hello(ctx, "gRPC")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("unary:", hello)
	if err := stream(ctx, client); err != nil {
		log.Fatal(err)
	}
}

// stream sends 1000 messages of growing size, and compares what comes back.
func stream(ctx context.Context, client service.Client) error {
	const count = 1000
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 64*i) }
	s, err := client.Echo(ctx)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		for i := range count {
			if err := s.Send(wrapperspb.Bytes(content(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- s.CloseSend()
	}()
	n, size := 0, 0
	for ; ; n++ {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(m.Value, content(n)) {
			return fmt.Errorf("message %d came back changed", n)
		}
		size += len(m.Value)
	}
	if err := <-sent; err != nil {
		return err
	}
	fmt.Printf("stream: %d of %d messages came back, %d bytes\n", n, count, size)
	return nil
}
