// Frames sends video-like frames from one process to three others: large
// samples, written in place by the publisher and read in place by all.
//
//	go run ./examples/topic/frames
//
// The subscribers are this program, executed again. Who is too slow misses
// frames, and says how many; nobody slows the camera down.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/seed-298b2b26/shm/topic"
)

const (
	width, height = 1280, 720
	frames        = 60
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if len(os.Args) > 1 {
		watch(ctx, os.Args[1])
		return
	}
	name := fmt.Sprintf("example-frames-%d", os.Getpid())
	pub, err := topic.Create(name, &topic.Options{
		Size: width * height * 3, Slots: 16, Subscribers: 4, Held: 2, Policy: topic.DropOldest,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pub.Remove()

	var viewers sync.WaitGroup
	for range 3 {
		cmd := exec.CommandContext(ctx, os.Args[0], name)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		viewers.Go(func() {
			if err := cmd.Run(); err != nil {
				log.Print(err)
			}
		})
	}
	for pub.Stats().Subscribers < 3 && ctx.Err() == nil {
		pub.Poll() // admits who has joined; Loan does it too
		time.Sleep(time.Millisecond)
	}
	for n := range frames {
		frame, err := pub.Loan(ctx, width*height*3)
		if err != nil {
			log.Print(err)
			return
		}
		draw(frame.Bytes(), byte(n))
		frame.User = uint64(n)
		if err := frame.Publish(); err != nil {
			log.Print(err)
			return
		}
		time.Sleep(time.Second / 120)
	}
	pub.Close() // the subscribers' Next gives io.EOF when they have all
	viewers.Wait()
}

// draw paints the frame in one colour, in the memory that all will read.
func draw(b []byte, colour byte) {
	for i := range b {
		b[i] = colour
	}
}

func watch(ctx context.Context, name string) {
	sub, err := topic.Subscribe(ctx, name, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	var seen, missed uint64
	for frame, err := range sub.Samples(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		first, last := frame.Data[0], frame.Data[len(frame.Data)-1]
		if first != last || first != byte(frame.User) {
			log.Fatalf("frame %d is torn", frame.User)
		}
		seen++
		missed += frame.Missed
	}
	fmt.Printf("process %d saw %d frames and missed %d\n", os.Getpid(), seen, missed)
}
