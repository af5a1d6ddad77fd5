package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/topic"
)

func newTopic(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "Publish and subscribe through shared memory",
		Long: `Publish and subscribe through shared memory: one publisher, any number of
subscribers, zero copies. A topic is a directory NAME.topic in /dev/shm, and its
samples are numbered bytes that each subscriber gets once, in order.

A NAME has 1 to 200 bytes of UTF-8, no slash and no control character, and does
not begin with a dot; topic:NAME means the same.`,
		Example: `  shm topic sub news                       in one terminal
  seq 1000 | shm topic pub news --subscribers 1     in another
  shm topic info news`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(
		newTopicPub(env),
		newTopicSub(env),
		newTopicLs(env),
		newTopicInfo(env),
		newTopicDump(env),
		newTopicHz(env),
		newTopicRecord(env),
		newTopicReplay(env),
		newTopicRm(env),
	)
	return cmd
}

// topicName gives the name that an argument means. What can be none is an
// error of the command line.
func topicName(arg string) (string, error) {
	name := strings.TrimPrefix(arg, topicScheme)
	if err := topicdir.CheckName(name); err != nil {
		var e *shm.Error
		if errors.As(err, &e) {
			of := "topic " + procfs.Printable(shorten(name, 60))
			if name == "" {
				of = "a topic is meant"
			}
			err = fmt.Errorf("%s: %w", of, e.Err)
		}
		return "", &usageError{err, "a topic's name has 1 to 200 bytes of UTF-8, no slash, no control character and no dot at its start"}
	}
	return name, nil
}

// checkInterval refuses a time between two looks that cannot be.
func checkInterval(cmd *cobra.Command, interval time.Duration) error {
	if interval < 0 {
		return usage(cmd, fmt.Errorf("--interval %v: a time is 0 or more", interval))
	}
	return nil
}

// topicScheme begins the address of a topic.
const topicScheme = "topic:"

// completeTopic completes the first n arguments with the names of topics, all
// if n is negative, and leaves later ones to the shell if files is set.
func completeTopic(env *Env, n int, files bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			if files {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return topicCompletions(env, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// topicCompletions gives the topics that fit what was begun, in its form.
func topicCompletions(env *Env, begun string) []cobra.Completion {
	names, err := topic.List(env.dir())
	if err != nil {
		return nil
	}
	scheme := ""
	if strings.HasPrefix(begun, topicScheme) {
		scheme = topicScheme
	}
	var all []cobra.Completion
	for _, name := range names {
		// What no shell can be given so is left out.
		if procfs.Printable(name) == name && strings.HasPrefix(scheme+name, begun) {
			all = append(all, cobra.CompletionWithDesc(scheme+name, topicNote(env, name)))
		}
	}
	return all
}

// orTopic completes topics where topic: was begun, else as other does.
func orTopic(env *Env, other cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 && strings.HasPrefix(begun, topicScheme) {
			return topicCompletions(env, begun), cobra.ShellCompDirectiveNoFileComp
		}
		return other(cmd, args, begun)
	}
}

// topicNote is what a shell shows beside a completion.
func topicNote(env *Env, name string) string {
	info, err := topicdir.Inspect(name, &topicdir.OpenOptions{Dir: env.dir()})
	if err != nil {
		return "topic"
	}
	return "topic, " + topicState(info, nil)
}

// topicErr gives an error of a topic the name of the verb, and the next step
// where the error itself names none.
func topicErr(ctx context.Context, verb, name string, err error) error {
	if err == nil {
		return nil
	}
	err = cause(ctx, err)
	var sig *interrupted
	var use *usageError
	if errors.As(err, &sig) || errors.As(err, &use) || errors.Is(err, syscall.EPIPE) || ofStream(err) {
		return err
	}
	out := &shm.Error{Op: "topic " + verb, Kind: "topic", Name: topicdir.Address(name), Err: err}
	var e *shm.Error
	if errors.As(err, &e) {
		if e.Op == out.Op {
			return err // complete: it is about a file
		}
		out.Err, out.Hint = e.Err, e.Hint
	}
	var h *hinted
	if errors.As(err, &h) {
		out.Hint = h.hint
	}
	switch {
	case out.Hint == "":
		out.Hint = topicHint(name, err)
	case errors.Is(err, shm.ErrNoSpace):
		out.Hint += "; shm prune frees what the dead have left"
	}
	return out
}

func topicHint(name string, err error) string {
	switch {
	case errors.Is(err, topic.ErrBusy):
		return "shm topic info shows who publishes; a topic has one publisher"
	case errors.Is(err, topic.ErrType):
		return "publish as it is made (shm topic info shows how), or remove it first: shm topic rm"
	case errors.Is(err, topic.ErrVersion):
		return "another version of this program made it"
	case errors.Is(err, topic.ErrCorrupt):
		return "shm topic rm removes it, and its publisher makes it anew"
	case errors.Is(err, topic.ErrRemoved):
		return "shm topic ls shows what there is now"
	case errors.Is(err, fs.ErrPermission):
		return "shm topic ls shows whose it is and who may subscribe; --share says so when a topic is made"
	case errors.Is(err, shm.ErrNoSpace):
		return "shm topic ls and shm ls show what takes the memory"
	case errors.Is(err, fs.ErrNotExist):
		return "shm topic ls shows which topics there are"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "wait longer, or see whether the other side lives: shm topic info"
	case errors.Is(err, syscall.EINVAL), errors.Is(err, fs.ErrInvalid):
		return "shm topic pub --help tells what is possible"
	}
	return "shm topic info shows how it is made, and who uses it"
}

// topicMount makes sure that the directory of topics is there.
func topicMount(env *Env) error {
	dir := env.dir()
	if dir == "" {
		dir = posix.DefaultDir
	}
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return &hinted{fmt.Errorf("there is no %s: %w", procfs.Printable(dir), fs.ErrNotExist), "mount a tmpfs there: topics are directories in it"}
	}
	return nil
}

// patiently calls try until it reports that it is done, with growing pauses;
// it gives ctx's cause when that ends.
func patiently(ctx context.Context, try func() (done bool, err error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if done, err := try(); done || err != nil {
			return err
		}
		if err := sleepFor(ctx, pause); err != nil {
			return err
		}
	}
}

// sleepFor sleeps, as long as the context allows.
func sleepFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return cause(ctx, ctx.Err())
	case <-t.C:
		return nil
	}
}

// timedOut is an error of a wait that took longer than it may.
func timedOut(what string, d time.Duration) error {
	return fmt.Errorf("%s within %v: %w", what, d, os.ErrDeadlineExceeded)
}
