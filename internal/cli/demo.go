package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/demo"
)

func newDemo(env *Env) *cobra.Command {
	size := sizeValue{n: demo.DefaultSize, least: 1}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show shared memory at work, with real processes",
		Long: `Show shared memory at work: a parent and a child process talk through System V
and through POSIX shared memory, one writer serves three readers, and a large
block goes to another process through shared memory and through a pipe, timed
side by side. It takes a few seconds and leaves nothing behind.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			out := &narration{w: env.Stdout}
			d := &demo.Demo{Out: out, Dir: env.dir(), Size: size.n, Self: peerCommand}
			err := d.Run(cmd.Context())
			if cmd.Context().Err() != nil {
				// Whatever broke first: it was because of this.
				return context.Cause(cmd.Context())
			}
			if err == nil {
				err = out.err
			}
			return err
		},
	}
	cmd.Flags().Var(&size, "size", "size of the large block")
	cmd.Flags().Lookup("size").DefValue = "256M"
	return cmd
}

// narration keeps the first error of an output that is told things as it
// goes.
type narration struct {
	w   io.Writer
	err error
}

func (n *narration) Write(p []byte) (int, error) {
	k, err := n.w.Write(p)
	if n.err == nil {
		n.err = err
	}
	return k, err
}

// peerCommand is how the demonstration starts its other processes: this
// program with the hidden verb demo-peer.
func peerCommand() (demo.Command, error) {
	self, err := os.Executable()
	if err != nil {
		return demo.Command{}, err
	}
	return demo.Command{Path: self, Args: []string{os.Args[0], "demo-peer"}}, nil
}

func newDemoPeer(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:    "demo-peer",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return demo.Peer(cmd.Context(), args, env.Stdin, env.Stdout)
		},
	}
}
