// Package cli is the command shm: one file a verb. Main is all that
// cmd/shm calls, and all that a test needs.
//
// What holds for every verb: standard output carries only what was asked
// for; everything else, errors with a hint line first of all, goes to
// standard error; the exit code says what kind of failure it was (exit.go).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-298b2b26/shm"
)

// Env is what the command uses of its surroundings.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
}

// dir is the directory of POSIX objects: SHM_DIR, else the default.
func (e *Env) dir() string { return e.Getenv("SHM_DIR") }

// options gives the library's options with what the surroundings say.
func (e *Env) options() *shm.Options { return &shm.Options{Dir: e.dir()} }

// terminal reports whether f is one, and its width in columns.
func terminal(f any) (width int, ok bool) {
	file, isFile := f.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}

// noteln says something to the person on standard error.
func (e *Env) noteln(format string, args ...any) {
	fmt.Fprintf(e.Stderr, "shm: "+format+"\n", args...)
}

// Main runs the command with its arguments and gives its exit code.
func Main(args []string, env Env) int {
	ctx, stop := interruptible()
	defer stop()
	root := newRoot(&env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	return report(&env, root.ExecuteContext(ctx))
}

// interruptible gives a context that the first interrupt ends, with
// errInterrupted as its cause. A second one kills, as it does by default.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A write to a closed standard output would kill us; caught, it is an
	// error, which report knows.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-ch:
			signal.Stop(ch)
			cancel(&interrupted{s})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(ch)
		close(done)
		cancel(nil)
	}
}

// newRoot assembles the command. Verbs stand in the order in which help
// lists them.
func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "shm",
		Short: "Share memory between processes, and see what is shared",
		Long: `shm shares memory between the processes of one Linux machine: System V
segments, POSIX objects, memfds and topics, each named by an address:

  posix:/name            a POSIX object; /name and name mean this too
  sysv:0x1234            a System V segment by its key
  sysv:id=7              by its identifier
  sysv:ftok=./file,65    by the key that ftok makes of a file
  sysv:private           a new segment without a key
  memfd:PID/FD           a descriptor of a process
  topic:NAME             a topic, see shm topic

SHM_DIR names another directory than /dev/shm for POSIX objects and topics.`,
		Example: `  shm write /greeting 'hello'      in one terminal
  shm read /greeting               in another
  shm ls
  shm rm /greeting`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownVerb,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			// Flags that exclude each other: cobra looks too, and its error
			// would not be known for one of usage.
			if err := cmd.ValidateFlagGroups(); err != nil {
				return usage(cmd, err)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return cmd.Help()
		},
	}
	root.Version = readBuild().String()
	root.SetVersionTemplate("shm {{.Version}}\n")
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.AddCommand(verbs(env)...)
	checkArgs(root)
	return root
}

// knownVerb refuses what is no verb, and proposes one that looks like it.
func knownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no verb %q", args[0])
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		text += "; is it " + strings.Join(like, " or ") + "?"
	}
	return errors.New(text)
}

// checkArgs makes wrong arguments usage errors, of c and all below it.
func checkArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				if strings.Contains(err.Error(), "arg(s)") {
					// Said by what the verb takes, not by what was counted.
					err = fmt.Errorf("not with %s: %s", plural(len(args), "argument"), cmd.UseLine())
				}
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		checkArgs(sub)
	}
}

// verbs lists every verb; each stands in a file of its name.
func verbs(env *Env) []*cobra.Command {
	return []*cobra.Command{
		newCreate(env),
		newWrite(env),
		newRead(env),
		newRm(env),
		newLs(env),
		newInfo(env),
		newWatch(env),
		newPrune(env),
		newTopic(env),
		newProxy(env),
		newDemo(env),
		newDemoPeer(env),
		newBench(env),
		newBenchWorker(env),
		newCompletion(env),
		newMan(env),
		newVersion(env),
	}
}

// usage makes an error of the command line's form, with the next step.
func usage(cmd *cobra.Command, err error) error {
	return &usageError{err, fmt.Sprintf("see %s --help", cmd.CommandPath())}
}

type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return "shm: " + e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

type interrupted struct{ signal os.Signal }

func (i *interrupted) Error() string {
	switch i.signal {
	case syscall.SIGTERM:
		return "interrupted by SIGTERM"
	case syscall.SIGHUP:
		return "interrupted by SIGHUP"
	}
	return "interrupted by " + i.signal.String()
}

// cause gives why a context ended, where err only says that it did.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) {
		if c := context.Cause(ctx); c != nil {
			return c
		}
	}
	return err
}
