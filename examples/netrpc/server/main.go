// Server answers net/rpc calls over shared memory.
//
//	go run ./examples/netrpc/server       and, in another terminal,
//	go run ./examples/netrpc/client
//
// Both take the address as their argument: the path of a socket, or an
// abstract name, which begins with @ and needs no file.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-298b2b26/shm/shmnet"
)

// Arith is the service.
type Arith struct{}

// Numbers are what it works on.
type Numbers struct{ A, B int }

// Multiply gives the product.
func (Arith) Multiply(n Numbers, product *int) error {
	*product = n.A * n.B
	return nil
}

// Divide gives the quotient.
func (Arith) Divide(n Numbers, quotient *int) error {
	if n.B == 0 {
		return errors.New("divided by zero")
	}
	*quotient = n.A / n.B
	return nil
}

func main() {
	log.SetFlags(0)
	address := "netrpc.sock"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := rpc.Register(Arith{}); err != nil {
		log.Fatal(err)
	}

	// Before: l, err := net.Listen("unix", address)
	l, err := shmnet.Listen(ctx, address, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	fmt.Println("listening at", address)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		go rpc.ServeConn(conn)
	}
}
