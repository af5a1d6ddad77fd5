// Ticks sends market-data-like small records: typed samples, none of which
// may be lost, so the publisher waits for a subscriber that is behind.
//
//	go run ./examples/topic/ticks
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	"github.com/seed-298b2b26/shm/topic"
)

// Tick has one layout everywhere: fixed-width fields, no pointers.
type Tick struct {
	Instrument uint32
	Side       uint8
	_          [3]byte
	Price      int64 // in millionths
	Quantity   int64
}

var ticks topic.Of[Tick]

const count = 200_000

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if len(os.Args) > 1 {
		trade(ctx, os.Args[1])
		return
	}
	name := fmt.Sprintf("example-ticks-%d", os.Getpid())
	pub, err := ticks.Create(name, &topic.Options{Slots: 1024, Policy: topic.Block})
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Remove()
	cmd := exec.CommandContext(ctx, os.Args[0], name)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		log.Print(err)
		return
	}
	for pub.Stats().Subscribers < 1 && ctx.Err() == nil {
		pub.Poll()
		time.Sleep(time.Millisecond)
	}
	for n := range count {
		if err := pub.Send(ctx, Tick{Instrument: uint32(n % 100), Price: int64(n), Quantity: 1}); err != nil {
			log.Print(err)
			return
		}
	}
	pub.Close()
	if err := cmd.Wait(); err != nil {
		log.Print(err)
	}
}

func trade(ctx context.Context, name string) {
	sub, err := ticks.Subscribe(ctx, name, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	var n, volume int64
	for sample, err := range sub.Samples(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		tick, err := sub.Value(sample)
		if err != nil {
			log.Fatal(err)
		}
		if tick.Price != n {
			log.Fatalf("tick %d came where %d was due", tick.Price, n)
		}
		n++
		volume += tick.Quantity
	}
	fmt.Printf("process %d got %d ticks in order, none lost, volume %d\n", os.Getpid(), n, volume)
}
