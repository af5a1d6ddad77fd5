//go:build linux

package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"

	"github.com/seed-298b2b26/shm/inspect"
)

func ExampleScan() {
	snap, err := inspect.Scan(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range snap.Objects {
		fmt.Printf("%-9s %-24s %10d bytes, %d in memory, %s\n", o.Kind, o.Address, o.Size, o.Used, o.State())
		for _, h := range o.Holders {
			fmt.Printf("\tprocess %d (%s): %d mappings, descriptors %v\n", h.PID, h.Command, h.Maps, h.FDs)
		}
		if orphaned, why := o.Orphaned(); orphaned {
			fmt.Println("\tcould go:", why)
		}
	}
	for _, r := range snap.Reasons {
		fmt.Printf("not everything was seen: %s\n", r)
	}
}

func ExampleFind() {
	o, err := inspect.Find(context.Background(), "posix:/example-that-is-not-there", nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Println("there is none")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println(o.Size)
	}
	// Output: there is none
}
