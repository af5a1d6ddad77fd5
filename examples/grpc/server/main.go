// Server is a gRPC server over shared memory.
//
//	cd examples/grpc
//	go run ./server       and, in another terminal,
//	go run ./client
//
// Both take the path of the socket as their argument.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	"github.com/seed-298b2b26/shm/examples/grpc/service"
	"github.com/seed-298b2b26/shm/shmnet"
)

func main() {
	log.SetFlags(0)
	path := "grpc.sock"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Before: l, err := net.Listen("unix", path)
	l, err := shmnet.Listen(ctx, path, nil)
	if err != nil {
		log.Fatal(err)
	}

	server := grpc.NewServer()
	server.RegisterService(&service.Desc, service.Server{})
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		server.GracefulStop()
		close(ended)
	})
	fmt.Println("listening at", path)
	if err := server.Serve(l); err != nil {
		log.Fatal(err)
	}
	<-ended
}
