// Shm-bench-grpc is the processes between which `shm bench` measures gRPC. It
// is a program of its own so that nobody who uses the module needs gRPC:
//
//	go -C bench/grpc install ./shm-bench-grpc
//
// shm bench finds it in PATH, or builds it where it runs inside a checkout.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-298b2b26/shm/bench/grpc"
	"github.com/seed-298b2b26/shm/internal/bench"
)

func main() {
	if err := bench.Worker(context.Background(), os.Args[1:], os.Stdin, os.Stdout, grpc.Service); err != nil {
		fmt.Fprintln(os.Stderr, "shm-bench-grpc:", err)
		os.Exit(1)
	}
}
