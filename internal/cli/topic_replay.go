package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/record"
	"github.com/seed-298b2b26/shm/topic"
)

type replayFlags struct {
	making
	speed float64
	fast  bool
	count uint64
}

func newTopicReplay(env *Env) *cobra.Command {
	var fl replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE NAME",
		Short: "Publish what shm topic record has recorded",
		Long: `Publish the samples of a recording, - for standard input, with the pauses that
were between them, or so many times faster with --speed, or without any with
--fast. Bytes, flags and the user's word are as they were; numbers and times are
new. The topic is made as the recorded one was, where no flag says otherwise;
it ends with the recording, as with shm topic pub.

A recording that is cut off is published as far as it goes, and that is said. One
that is damaged too, and then the exit code is 6.`,
		Example: `  shm topic replay camera.rec camera --subscribers 1
  zcat ticks.rec.gz | shm topic replay - ticks --fast`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeReplay(env),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := topicName(args[1])
		if err != nil {
			return err
		}
		return topicErr(cmd.Context(), "replay", name, fl.run(cmd.Context(), env, args[0], name))
	}
	fl.flags(cmd)
	// These defaults do not hold here; the recording says how it was.
	for _, name := range []string{"policy", "slots", "size", "max-subscribers", "patience"} {
		f := cmd.Flags().Lookup(name)
		f.DefValue = ""
		f.Usage += "; as recorded unless given"
	}
	f := cmd.Flags()
	f.Float64Var(&fl.speed, "speed", 1, "so many times as fast as it was")
	f.BoolVar(&fl.fast, "fast", false, "without any pauses")
	f.Uint64Var(&fl.count, "count", 0, "end after so many samples; 0 means with the recording")
	cmd.MarkFlagsMutuallyExclusive("speed", "fast")
	return cmd
}

// completeReplay leaves the file to the shell and completes the topic.
func completeReplay(env *Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return nil, cobra.ShellCompDirectiveDefault
		case 1:
			return topicCompletions(env, begun), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func (fl *replayFlags) run(ctx context.Context, env *Env, path, name string) error {
	if !(fl.speed > 0) || math.IsInf(fl.speed, 0) {
		return usage(fl.cmd, fmt.Errorf("--speed %v: more than 0", fl.speed))
	}
	in := env.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fileErr("replay", path, err, "shm topic record makes recordings")
		}
		defer f.Close()
		in = f
	}
	rec, err := record.NewReader(in)
	if err != nil {
		return recordingErr(path, err)
	}
	like, err := optionsOf(&rec.Header)
	if err != nil {
		return recordingErr(path, err)
	}
	opts, err := fl.options(env, like)
	if err != nil {
		return err
	}
	return fl.publish(ctx, env, opts, name, func(p *publishing) error {
		err := fl.copy(ctx, p, rec)
		var damage *recordingError
		switch {
		case !errors.As(err, &damage):
			return err
		case errors.Is(err, record.ErrCut):
			env.noteln("%s: the recording is cut off after %s", procfs.Printable(path), plural(rec.Samples(), "sample"))
			return nil
		}
		return recordingErr(path, damage.error)
	})
}

// recordingError tells what is wrong with the recording from what is with
// the topic.
type recordingError struct{ error }

func (e *recordingError) Unwrap() error { return e.error }

func (fl *replayFlags) copy(ctx context.Context, p *publishing, rec *record.Reader) error {
	var began, first time.Time
	for fl.count == 0 || rec.Samples() < fl.count {
		s, err := rec.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &recordingError{err}
		}
		if began.IsZero() {
			began, first = time.Now(), s.Time
		}
		if !fl.fast {
			after := float64(s.Time.Sub(first)) / fl.speed
			if err := p.pause(ctx, began.Add(time.Duration(min(after, 1<<62)))); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := p.Loan(ctx, len(s.Data))
		if err != nil {
			return err
		}
		copy(l.Bytes(), s.Data)
		l.User, l.Flags = s.User, s.Flags
		if err := l.Publish(); err != nil {
			return err
		}
	}
	return nil
}

// recordingErr is an error of the recording, not of the topic.
func recordingErr(path string, err error) error {
	hint := "shm topic record makes recordings"
	switch {
	case errors.Is(err, topic.ErrVersion):
		hint = "a newer version of this program reads it"
	case errors.Is(err, record.ErrCut):
		hint = "it was cut off before its first sample"
	}
	return fileErr("replay", path, err, hint)
}
