package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/topic"
)

func newTopicRm(env *Env) *cobra.Command {
	var fl struct{ force, verbose, json bool }
	cmd := &cobra.Command{
		Use:     "rm NAME...",
		Aliases: []string{"remove"},
		Short:   "Remove topics that nobody publishes",
		Long: `Remove topics: their names are free at once, and the memory goes when nobody has
it any more.

While its publisher lives a topic is refused with exit code 7; --force removes it
all the same, the publisher notices it within a second, and subscribers get what
is there and then the end. Of several topics all that can be removed are, each is
reported, and the exit code is that of the first failure.`,
		Example: `  shm topic rm log
  shm topic rm camera1 camera2 --force`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeTopic(env, -1, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			var errs []error
			for _, arg := range args {
				name, err := topicName(arg)
				if err == nil {
					err = topic.Remove(name, &topic.RemoveOptions{Dir: env.dir(), Force: fl.force})
					err = topicErr(cmd.Context(), "rm", name, rmHint(err))
				}
				errs = append(errs, err)
				if err := tellRemoved(env, topicScheme+strings.TrimPrefix(arg, topicScheme), err, fl.json, fl.verbose || len(args) > 1); err != nil {
					return err
				}
			}
			return failed(errs...)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&fl.force, "force", "f", false, "remove also what somebody publishes")
	f.BoolVarP(&fl.verbose, "verbose", "v", false, "report what was removed, also a single one")
	f.BoolVar(&fl.json, "json", false, "report as JSON, one line a topic")
	return cmd
}

// rmHint gives the next step where somebody publishes the topic.
func rmHint(err error) error {
	if exitCode(err) == exitInUse {
		return &hinted{err, "--force removes it all the same"}
	}
	return err
}

func tellRemoved(env *Env, address string, failed error, asJSON, verbose bool) error {
	switch {
	case asJSON:
		line := struct {
			Address string `json:"address"`
			Removed bool   `json:"removed"`
			Error   string `json:"error,omitempty"`
			Code    int    `json:"code,omitempty"`
		}{Address: jsonText(address), Removed: failed == nil, Code: exitCode(failed)}
		if failed != nil {
			line.Error = strings.TrimPrefix(failed.Error(), "shm: ")
		}
		return writeJSON(env.Stdout, line, false)
	case verbose && failed == nil:
		_, err := fmt.Fprintln(env.Stdout, "removed", address)
		return err
	}
	return nil
}
