package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/bench"
)

func newBench(env *Env) *cobra.Command {
	b := &bench.Bench{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure topics and connections beside pipes, sockets and what is possible",
		Long: `Measure topics and connections between processes of this machine, beside a
memory segment with semaphores, pipes, Unix sockets and TCP, a bare futex, and
the limit: a ring between two processes that is nothing but loads and stores, in
Go and, where there is a compiler, in C. Messages have 8 bytes to 16 MiB; they go
there and back, or one way as fast as they can; both sides spin, sleep, or adapt.

Calls of net/http and gRPC are measured over connections of each kind, one after
the other and 64 at once, beside what the same bytes take without them. gRPC needs
another program, shm-bench-grpc: from PATH, or built on the spot where the
command runs in a checkout of this module and there is a go command.

What is compared was measured in turns within the same second; figures of
different groups or different runs say less, for processors change their speed.
Where topics lose, it says so. What does not fit, or has no processor to spin
on, is skipped, and the reason given. It takes 15 minutes at most, and leaves
nothing behind.`,
		Example: `  shm bench --quick
  shm bench --only 'round trip, 64 B'
  shm bench --json --svg bench.svg > bench.json`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			b.Out, b.Dir, b.Self = env.Stdout, env.dir(), benchWorker
			if width, ok := terminal(env.Stderr); ok {
				b.Progress = benchProgress(env.Stderr, width)
			}
			err := b.Run(cmd.Context())
			if errors.Is(err, bench.ErrNothing) {
				return &usageError{err, "shm bench --only 'round trip' measures some: titles are what it prints above its tables"}
			}
			return cause(cmd.Context(), err)
		},
	}
	cmd.Flags().BoolVar(&b.JSON, "json", false, "print one object a line")
	cmd.Flags().BoolVar(&b.Quick, "quick", false, "take a minute at most, with fewer and shorter rounds")
	cmd.Flags().StringVar(&b.SVG, "svg", "", "draw the chart of latency and throughput over size into this `file`")
	cmd.Flags().StringVar(&b.Only, "only", "", "measure only groups with this `text` in their title")
	return cmd
}

// benchProgress shows a text on the last line of a terminal, in place of the
// one before.
func benchProgress(w io.Writer, width int) func(text string) {
	shown := 0
	return func(text string) {
		if width > 1 && len(text) > width-1 {
			text = text[:width-1]
		}
		fmt.Fprintf(w, "\r%-*s\r%s", shown, "", text)
		shown = len(text)
	}
}

func benchWorker() (bench.Command, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Command{}, err
	}
	return bench.Command{Path: self, Args: []string{os.Args[0], "bench-worker"}}, nil
}

// newBenchWorker is what the other processes of bench run.
func newBenchWorker(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:    "bench-worker",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.Worker(cmd.Context(), args, env.Stdin, env.Stdout)
		},
	}
}
