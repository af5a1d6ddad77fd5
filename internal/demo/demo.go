// Package demo is the tutorials' exercises for real, told while they happen:
// a parent and a child process that talk through System V and through POSIX
// shared memory, one writer and three readers, and a large transfer beside a
// pipe. It is what `shm demo` runs.
//
// The other processes are this program, executed again as Peer. Every object
// loses its name as soon as everybody has it, so that even a SIGKILL leaves
// nothing behind but in the moment before.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Demo is one run.
type Demo struct {
	Out  io.Writer               // the narration
	Dir  string                  // of POSIX objects; "" for /dev/shm
	Self func() (Command, error) // how to execute this program again as Peer
	Size int64                   // bytes of the large transfer

	chapter int
}

// Command is a program and its leading arguments.
type Command struct {
	Path string
	Args []string // with the program's name first
}

// DefaultSize is the size of the large transfer.
const DefaultSize = 256 << 20

// Run runs the whole demonstration. The error is that of the first chapter
// that could not do what it shows; a context that ends ends it, cleaned up.
func (d *Demo) Run(ctx context.Context) error {
	if d.Size == 0 {
		d.Size = DefaultSize
	}
	d.say("Two processes that share memory read and write the same bytes: nothing is sent,\nand nothing is copied. This is process %d.", os.Getpid())
	if err := d.talkSysV(ctx); err != nil {
		return err
	}
	if err := d.talkPOSIX(ctx); err != nil {
		return err
	}
	if err := d.oneToThree(ctx); err != nil {
		return err
	}
	verdict, err := d.transfer(ctx)
	if err != nil {
		return err
	}
	d.say("")
	d.say("%s", verdict)
	return nil
}

func (d *Demo) title(format string, args ...any) {
	d.chapter++
	d.say("\n%d. %s", d.chapter, fmt.Sprintf(format, args...))
}

// tell is one step of the narration.
func (d *Demo) tell(who, format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n              ")
	d.say("   %-10s %s", who, text)
}

func (d *Demo) say(format string, args ...any) {
	fmt.Fprintf(d.Out, format+"\n", args...)
}

var errPeer = errors.New("the other process ended too early")
