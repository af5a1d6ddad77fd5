package cli

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/topic"
)

// rateInterval is the time between the two looks that make a rate.
const rateInterval = 250 * time.Millisecond

func newTopicLs(env *Env) *cobra.Command {
	var show struct {
		interval       time.Duration
		noHeader, json bool
	}
	cmd := &cobra.Command{
		Use:     "ls [PATTERN...]",
		Aliases: []string{"list"},
		Short:   "List the topics, who publishes them and how fast",
		Long: `List the topics, also those of processes that are dead. *, ? and [a-z] in a
PATTERN are as in the shell.

STATE is live while somebody publishes; ended when the publisher closed the
topic and left it to be read; dead when it was killed, and the next one may go on
with it; closed when you may not look into it; damaged when it is no topic. RATE
is what was published between two looks; SUBS are the subscribers that live, and
how many there may be. Observers leave no trace.`,
		Example: `  shm topic ls
  shm topic ls 'camera*' --json`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeTopic(env, -1, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkInterval(cmd, show.interval); err != nil {
				return err
			}
			names, err := matchingTopics(env, cmd, args)
			if err != nil {
				return err
			}
			views, err := lookAt(cmd.Context(), env, names, show.interval)
			if err != nil {
				return err
			}
			if show.json {
				var u users
				doc := struct {
					Time   time.Time    `json:"time"`
					Topics []*jsonTopic `json:"topics"`
				}{time.Now(), []*jsonTopic{}}
				for _, v := range views {
					doc.Topics = append(doc.Topics, v.json(&u))
				}
				return writeJSON(env.Stdout, doc, true)
			}
			width, _ := terminal(env.Stdout)
			t := topicTable(views)
			t.header = !show.noHeader && len(views) > 0
			return t.write(env.Stdout, width)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&show.interval, "interval", rateInterval, "time between the two looks; 0 means one look, and no rate")
	f.BoolVar(&show.noHeader, "no-header", false, "leave out the header")
	f.BoolVar(&show.json, "json", false, "write JSON")
	return cmd
}

// matchingTopics gives the topics that fit a pattern, or all. A name that is
// no pattern must be there.
func matchingTopics(env *Env, cmd *cobra.Command, patterns []string) ([]string, error) {
	for i, p := range patterns {
		patterns[i] = strings.TrimPrefix(p, topicScheme)
		if _, err := path.Match(patterns[i], ""); err != nil {
			return nil, usage(cmd, fmt.Errorf("%q is no pattern: %w", p, err))
		}
	}
	names, err := topic.List(env.dir())
	if err != nil {
		return nil, err
	}
	if len(patterns) == 0 {
		return names, nil
	}
	found := make([]bool, len(patterns))
	var fit []string
	for _, name := range names {
		matched := false
		for i, p := range patterns {
			if ok, _ := path.Match(p, name); ok || p == name {
				found[i], matched = true, true
			}
		}
		if matched {
			fit = append(fit, name)
		}
	}
	var missing []error
	for i, p := range patterns {
		if !found[i] && !strings.ContainsAny(p, `*?[\`) {
			if _, err := topicName(p); err != nil {
				return nil, err
			}
			missing = append(missing, noTopic("ls", p))
		}
	}
	return fit, failed(missing...)
}

func topicTable(views []*topicView) *table {
	t := &table{columns: []column{
		{name: "NAME", least: 16},
		{name: "STATE"},
		{name: "PUBLISHER", least: 8, drop: 5},
		{name: "RATE", right: true},
		{name: "PUBLISHED", right: true, drop: 2},
		{name: "POLICY", drop: 4},
		{name: "SLOTS", right: true},
		{name: "SUBS", right: true},
		{name: "USED", right: true, drop: 3},
		{name: "OWNER", drop: 1},
	}}
	var u users
	for _, v := range views {
		row := []string{procfs.Printable(v.Name), topicState(v.Info, v.err), "-", "-", "-", "-", "-", "-", "-", procfs.Printable(u.name(v.UID))}
		if v.Publisher != nil {
			row[2] = processCell(v.Publisher)
		}
		if v.Size > 0 {
			row[8] = humanSize(v.Size)
		}
		if v.err == nil {
			if v.over > 0 {
				row[3] = rateText(v.rate)
			}
			living := 0
			for i := range v.Members {
				if v.Members[i].Alive {
					living++
				}
			}
			row[4] = strconv.FormatUint(v.Counters[topicdir.CountPublished], 10)
			row[5] = topic.Policy(v.Config.Policy).String()
			row[6] = fmt.Sprintf("%dx%s", v.Config.Slots, humanSize(v.Config.Capacity))
			row[7] = fmt.Sprintf("%d/%d", living, v.Config.Subscribers)
		}
		t.rows = append(t.rows, row)
	}
	return t
}
