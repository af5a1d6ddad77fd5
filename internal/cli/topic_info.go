package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

func newTopicInfo(env *Env) *cobra.Command {
	var interval time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info NAME",
		Short: "Show everything known about a topic and its subscribers",
		Long: `Show everything that is known about a topic, of a living or a dead publisher,
and about each of its subscribers: LAG is how many numbers it has still to take,
LOST how many samples were overwritten before it took them, HELD how many it
holds now. STATE is admitted while the publisher keeps its samples for it;
demoted when it was too slow and has not asked again; asking before it is
admitted; dead. Observers leave no trace, and this is one.`,
		Example: `  shm topic info log
  shm topic info log --json | jq .subscribers`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeTopic(env, 1, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := topicName(args[0])
			if err != nil {
				return err
			}
			if err := checkInterval(cmd, interval); err != nil {
				return err
			}
			return runTopicInfo(cmd.Context(), env, name, interval, asJSON)
		},
	}
	cmd.Flags().DurationVar(&interval, "interval", rateInterval, "time between the two looks that make the rate; 0 means one look")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func runTopicInfo(ctx context.Context, env *Env, name string, interval time.Duration, asJSON bool) error {
	views, err := lookAt(ctx, env, []string{name}, interval)
	if err != nil {
		return err
	}
	v := views[0]
	if v.err != nil && v.Mode == 0 {
		return topicErr(ctx, "info", name, v.err)
	}
	if asJSON {
		err = writeJSON(env.Stdout, v.json(&users{}), true)
	} else {
		err = describeTopic(env, v, time.Now())
	}
	if err != nil {
		return err
	}
	return topicErr(ctx, "info", name, v.err)
}

// noTopic is the error of a topic that is not there.
func noTopic(verb, name string) error {
	return &shm.Error{Op: "topic " + verb, Kind: "topic", Name: topicdir.Address(name),
		Err: fmt.Errorf("there is no such topic: %w", fs.ErrNotExist), Hint: "shm topic ls shows which topics there are"}
}

// describeTopic writes a topic as labelled lines, and its subscribers as a
// table.
func describeTopic(env *Env, v *topicView, now time.Time) error {
	var u users
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("address", "%s", topicdir.Address(v.Name))
	line("directory", "%s", procfs.Printable(v.Path))
	line("state", "%s", stateText(v))
	publisherLine(v, &u, now, line)
	line("owner", "%s (%d), group %s (%d), mode %04o", u.name(v.UID), v.UID, u.group(v.GID), v.GID, v.Mode)
	if v.Size > 0 || v.err == nil {
		line("used", "%s", bothSizes(v.Size))
	}
	if v.err == nil {
		configLines(v, now, line)
		counterLines(v, line)
	}
	for i := range v.Refused {
		r := &v.Refused[i]
		line("strange file", "%s of %s: %v", procfs.Printable(r.Name), u.name(r.UID), r.Err)
	}
	if v.err == nil {
		living := 0
		for i := range v.Members {
			if v.Members[i].Alive {
				living++
			}
		}
		line("subscribers", "%d of at most %d", living, v.Config.Subscribers)
	}
	w.Flush()
	b.WriteString(subscriberTable(v, &u))
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

func stateText(v *topicView) string {
	switch s := topicState(v.Info, v.err); s {
	case "ended":
		return "ended: its publisher has closed it, and left it to be read"
	case "dead":
		return "dead: its publisher is gone without having ended it; the next one goes on with it"
	case "closed":
		return "closed: you may not look into it"
	case "damaged":
		return "damaged: " + causeText(v.err)
	default:
		return s
	}
}

func publisherLine(v *topicView, u *users, now time.Time, line lineFunc) {
	p := v.Publisher
	switch {
	case p == nil:
		line("publisher", "not known")
	case v.Alive:
		line("publisher", "%s, of %s, since %s", processText(p), procfs.Printable(u.name(p.UID)), bothTimes(p.Made, now))
	case v.Heard.IsZero():
		line("publisher", "%s, which is dead", processText(p))
	default:
		line("publisher", "%s, which is dead; last heard of %s", processText(p), bothTimes(v.Heard, now))
	}
}

func processText(m *topicdir.Maker) string {
	if command := commandOf(m); command != "" {
		return fmt.Sprintf("process %d (%s)", m.PID, command)
	}
	if m.Elsewhere() {
		return fmt.Sprintf("process %d of another pid namespace or boot", m.PID)
	}
	return fmt.Sprintf("process %d", m.PID)
}

func configLines(v *topicView, now time.Time, line lineFunc) {
	c := &v.Config
	line("sharing", "%v", v.Sharing)
	line("policy", "%s", policyText(c))
	line("slots", "%d x %s", c.Slots, bothSizes(c.Capacity))
	line("held", "at most %s by each subscriber", plural(c.Held, "sample"))
	if c.TypeName != "" || c.TypeHash != [32]byte{} {
		line("type", "%s (%x)", procfs.Printable(c.TypeName), c.TypeHash[:8])
	}
	line("created", "%s", bothTimes(v.Maker.Made, now))
}

func counterLines(v *topicView, line lineFunc) {
	n := &v.Counters
	if v.over > 0 {
		line("rate", "%s, %s", rateText(v.rate), flowText(v.flow))
	}
	line("published", "%s, %s; the next number is %d", plural(n[topicdir.CountPublished], "sample"), bothSizes(int64(n[topicdir.CountBytes])), v.Head)
	if v.Epoch > 1 {
		line("take-overs", "%d", v.Epoch-1)
	}
	line("holes", "%d", n[topicdir.CountHoles])
	line("demoted", "%s", plural(n[topicdir.CountDemoted], "time"))
	line("evicted", "%s", plural(n[topicdir.CountEvicted], "subscriber"))
	line("waited", "%s for subscribers; %s woken", plural(n[topicdir.CountWaits], "time"), plural(n[topicdir.CountWakes], "time"))
}

// subscriberTable lists the subscribers, one a line.
func subscriberTable(v *topicView, u *users) string {
	if len(v.Members) == 0 {
		return ""
	}
	t := &table{header: true, columns: []column{
		{name: "PID", right: true}, {name: "USER"}, {name: "COMMAND"}, {name: "STATE"}, {name: "LAG", right: true}, {name: "LOST", right: true},
		{name: "TAKEN", right: true}, {name: "COPIED", right: true}, {name: "HELD", right: true},
	}}
	for i := range v.Members {
		m := &v.Members[i]
		command := commandOf(&m.Maker)
		if command == "" {
			command = "-"
		}
		t.rows = append(t.rows, []string{
			fmt.Sprint(m.Maker.PID), procfs.Printable(u.name(m.UID)), command, memberState(m), fmt.Sprint(lag(v.Info, m)), fmt.Sprint(m.Lost),
			fmt.Sprint(m.Taken), fmt.Sprint(m.Copied), fmt.Sprint(len(m.Pins)),
		})
	}
	var b strings.Builder
	b.WriteByte('\n')
	t.write(&b, 0)
	return b.String()
}
