// Client makes net/rpc calls to ../server over shared memory.
//
//	go run ./examples/netrpc/client
package main

import (
	"context"
	"fmt"
	"log"
	"net/rpc"
	"os"

	"github.com/seed-298b2b26/shm/shmnet"
)

// Numbers are what the service works on.
type Numbers struct{ A, B int }

func main() {
	log.SetFlags(0)
	address := "netrpc.sock"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}

	// Before: conn, err := net.Dial("unix", address)
	conn, err := shmnet.Dial(context.Background(), address, nil)
	if err != nil {
		log.Fatal(err)
	}
	client := rpc.NewClient(conn)
	defer client.Close()

	var product int
	if err := client.Call("Arith.Multiply", Numbers{6, 7}, &product); err != nil {
		log.Fatal(err)
	}
	fmt.Println("6 * 7 =", product)

	// Many calls may be under way at once.
	calls := make([]*rpc.Call, 1000)
	for i := range calls {
		calls[i] = client.Go("Arith.Multiply", Numbers{i, i}, new(int), nil)
	}
	sum := 0
	for _, c := range calls {
		if c = <-c.Done; c.Error != nil {
			log.Fatal(c.Error)
		}
		sum += *c.Reply.(*int)
	}
	fmt.Println("the sum of the first 1000 squares is", sum)

	var quotient int
	err = client.Call("Arith.Divide", Numbers{1, 0}, &quotient)
	fmt.Println("1 / 0:", err)
	fmt.Println("the server is process", conn.Peer().PID)
}
