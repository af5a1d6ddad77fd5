// Readtwice hands one large block to several processes, which read it twice,
// in place: reading takes nothing away.
//
//	go run ./examples/topic/readtwice
package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"log"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/seed-298b2b26/shm/topic"
)

const size = 32 << 20

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if len(os.Args) > 1 {
		read(ctx, os.Args[1])
		return
	}
	name := fmt.Sprintf("example-readtwice-%d", os.Getpid())
	pub, err := topic.Create(name, &topic.Options{Size: size, Slots: 4, Subscribers: 2, Held: 1, Policy: topic.Block})
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Remove()
	var readers sync.WaitGroup
	for range 2 {
		cmd := exec.CommandContext(ctx, os.Args[0], name)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		readers.Go(func() {
			if err := cmd.Run(); err != nil {
				log.Print(err)
			}
		})
	}
	// Who is admitted reads in place; before that it would be given a copy.
	for pub.Stats().Subscribers < 2 && ctx.Err() == nil {
		pub.Poll()
		time.Sleep(time.Millisecond)
	}
	block, err := pub.Loan(ctx, size)
	if err != nil {
		log.Print(err)
		return
	}
	for i := range block.Bytes() {
		block.Bytes()[i] = byte(i * 7)
	}
	fmt.Printf("process %d wrote %d bytes, checksum %08x\n", os.Getpid(), size, crc32.ChecksumIEEE(block.Bytes()))
	if err := block.Publish(); err != nil {
		log.Print(err)
		return
	}
	pub.Close()
	readers.Wait()
}

func read(ctx context.Context, name string) {
	sub, err := topic.Subscribe(ctx, name, &topic.SubscribeOptions{From: topic.Oldest})
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	block, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer block.Release()
	for round := range 2 {
		fmt.Printf("process %d, round %d: checksum %08x\n", os.Getpid(), round+1, crc32.ChecksumIEEE(block.Data))
	}
}
