package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/bench"
)

func newBench(env *Env) *cobra.Command {
	b := &bench.Bench{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure topics beside pipes, sockets and what is possible",
		Long: `Measure topics between processes of this machine, beside a pipe, a Unix socket,
a bare futex, and the limit: a ring between two processes that is nothing but
loads and stores, in Go and, where there is a compiler, in C.

What is compared was measured in turns within the same second; figures of
different groups or different runs say less, for processors change their speed.
Where topics lose, it says so. It leaves nothing behind.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			b.Out, b.Dir, b.Self = env.Stdout, env.dir(), benchWorker
			if _, ok := terminal(env.Stderr); ok {
				b.Progress = env.Stderr
			}
			return cause(cmd.Context(), b.Run(cmd.Context()))
		},
	}
	cmd.Flags().BoolVar(&b.JSON, "json", false, "print one object a line")
	cmd.Flags().BoolVar(&b.Quick, "quick", false, "take seconds instead of minutes")
	cmd.Flags().StringVar(&b.Only, "only", "", "measure only groups with this `text` in their title")
	return cmd
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
