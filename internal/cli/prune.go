package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/topicdir"
)

type pruneFlags struct {
	dryRun, yes, kept, allUsers, json bool
}

func newPrune(env *Env) *cobra.Command {
	var fl pruneFlags
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what dead publishers and subscribers have left",
		Long: `Remove what dead processes have left of topics: topics whose publisher was killed
and that nobody subscribes to or has open; the files of dead subscribers in topics
without a publisher; and what was half made or half removed when its process died.
It is shown first, with who died, how that is known, and how many bytes it frees;
then, on a terminal, prune asks. Off a terminal it needs --yes, or --dry-run,
which removes nothing.

Left alone, and said: a topic that a subscriber or observer still has, for its next
publisher goes on with it; one that its publisher has ended and left to be read
(shm topic pub --keep), unless --kept asks for it; dead subscribers of a living
publisher, who removes their files itself; what is damaged (shm topic rm removes
it); and what belongs to other users. Everything is looked at again, holding the
topic's lock, before it goes: what has come back to life stays, and is no failure.

Death is never guessed from a time: whoever lives holds a lock that the kernel
drops. Only topics are pruned so far. Of System V segments and POSIX objects shm
ls shows which are orphans, and shm rm removes them.`,
		Example: `  shm prune --dry-run
  shm prune --yes --kept
  shm prune --dry-run --json | jq .bytes`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return fl.run(cmd, env) }
	f := cmd.Flags()
	f.BoolVarP(&fl.dryRun, "dry-run", "n", false, "only show what is dead, why, and what removing it would free")
	f.BoolVarP(&fl.yes, "yes", "y", false, "remove it without asking")
	f.BoolVar(&fl.kept, "kept", false, "also topics that their publishers have ended and left to be read")
	f.BoolVar(&fl.allUsers, "all-users", false, "also what belongs to other users, as root")
	f.BoolVar(&fl.json, "json", false, "write JSON")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "yes")
	return cmd
}

// pruned is something dead, and what is or was done with it.
type pruned struct {
	*topicdir.Candidate
	leave string // why it is left alone; empty where it goes
	gone  bool
	err   error
}

func (fl *pruneFlags) run(cmd *cobra.Command, env *Env) error {
	ctx := cmd.Context()
	_, tty := terminal(env.Stdin)
	if !fl.dryRun && !fl.yes && (!tty || fl.json) {
		return &usageError{errors.New("prune asks before it removes anything, and here it cannot"), "--yes removes without asking, --dry-run only shows"}
	}
	all, err := fl.find(ctx, env)
	if err != nil {
		return err
	}
	if !fl.json && (fl.dryRun || !fl.yes) {
		if err := showDead(env, all, time.Now()); err != nil {
			return err
		}
	}
	if !fl.dryRun && !fl.yes && count(all, (*pruned).goes) > 0 {
		if ok, err := askToPrune(ctx, env, all); err != nil {
			return err
		} else if !ok {
			env.noteln("nothing was removed")
			return nil
		}
	}
	if !fl.dryRun {
		err = fl.remove(ctx, env, all)
	}
	if fl.json {
		if e := pruneJSON(env, all, fl.dryRun); e != nil {
			return e
		}
	}
	return err
}

func (p *pruned) goes() bool { return p.leave == "" }

func count(all []*pruned, is func(*pruned) bool) (n int) {
	for _, p := range all {
		if is(p) {
			n++
		}
	}
	return n
}

// bytesOf adds up what those free for which it holds.
func bytesOf(all []*pruned, is func(*pruned) bool) (n int64) {
	for _, p := range all {
		if is(p) {
			n += p.Size
		}
	}
	return n
}

// find finds what is dead, and judges what may go; that stands first.
func (fl *pruneFlags) find(ctx context.Context, env *Env) ([]*pruned, error) {
	found, closed, err := topicdir.Dead(env.dir())
	if err != nil {
		return nil, err
	}
	if closed > 0 {
		env.noteln("%s of other users cannot be looked into", plural(closed, "topic"))
	}
	var u users
	var dying, stay []*pruned
	for i := range found {
		p := &pruned{Candidate: &found[i]}
		switch {
		case int64(p.UID) != int64(os.Geteuid()) && !fl.allUsers:
			p.leave = "it belongs to " + procfs.Printable(u.name(p.UID))
		case p.InUse != "":
			p.leave = p.InUse
		case p.Kept && !fl.kept:
			p.leave = "--kept removes it too"
		}
		if p.goes() {
			dying = append(dying, p)
		} else {
			stay = append(stay, p)
		}
	}
	all, err := judgeHeld(ctx, env, dying, stay)
	return wholeTopics(all), err
}

// wholeTopics leaves out the subscribers of topics that go with all they have.
func wholeTopics(all []*pruned) []*pruned {
	goes := make(map[string]bool)
	for _, p := range all {
		if p.Kind == topicdir.DeadTopic && p.goes() {
			goes[p.Topic] = true
		}
	}
	return slices.DeleteFunc(all, func(p *pruned) bool { return p.Kind == topicdir.DeadSubscriber && goes[p.Topic] })
}

// judgeHeld leaves topics alone that a process has open: observers take no
// lock.
func judgeHeld(ctx context.Context, env *Env, dying, stay []*pruned) ([]*pruned, error) {
	if count(dying, func(p *pruned) bool { return p.Kind == topicdir.DeadTopic }) == 0 {
		return append(dying, stay...), nil
	}
	snap, err := inspect.Scan(ctx, &inspect.Options{Dir: env.dir(), Kinds: []inspect.Kind{inspect.KindTopic}})
	if err != nil {
		return nil, cause(ctx, err)
	}
	held := make(map[string]string)
	for i := range snap.Objects {
		if o := &snap.Objects[i]; o.Kind == inspect.KindTopic && !o.Removed && len(o.Holders) > 0 {
			held[o.Name] = uses(o)
		}
	}
	var rest []*pruned
	for _, p := range dying {
		if use := held[p.Topic]; p.Kind == topicdir.DeadTopic && use != "" {
			p.leave = use
			stay = append(stay, p)
		} else {
			rest = append(rest, p)
		}
	}
	return append(rest, stay...), nil
}

// what names something dead.
func (p *pruned) what() string {
	switch p.Kind {
	case topicdir.DeadTopic:
		return topicdir.Address(p.Topic)
	case topicdir.DeadSubscriber:
		return topicdir.Address(p.Topic) + "/" + p.Path[strings.LastIndexByte(p.Path, '/')+1:]
	}
	return procfs.Printable(p.Path)
}

// reason says why it is dead, and since when at the earliest.
func (p *pruned) reason(now time.Time) string {
	s := p.Why
	if p.Heard.IsZero() {
		return s
	}
	age := shortAge(p.Heard, now) + " ago"
	switch {
	case p.Kind == topicdir.DeadTopic:
		return s + "; last heard of " + age
	case p.Kind == topicdir.DeadSubscriber:
		return s + "; it joined " + age
	}
	return s + ", " + age
}

// showDead writes what is dead, two lines each, and what comes of it.
func showDead(env *Env, all []*pruned, now time.Time) error {
	if len(all) == 0 {
		env.noteln("nothing is dead")
		return nil
	}
	var u users
	t := &table{columns: []column{{name: "ACTION"}, {name: "KIND"}, {name: "WHAT"}, {name: "FREES", right: true}, {name: "OWNER"}}}
	for _, p := range all {
		action := "remove"
		if !p.goes() {
			action = "leave"
		}
		t.rows = append(t.rows, []string{action, p.Kind, p.what(), humanSize(p.Size), procfs.Printable(u.name(p.UID))})
	}
	var rows strings.Builder
	if err := t.write(&rows, 0); err != nil {
		return err
	}
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(rows.String(), "\n"), "\n") {
		fmt.Fprintf(&b, "%s\n    %s\n", line, procfs.Printable(all[i].reason(now)))
		if !all[i].goes() {
			fmt.Fprintf(&b, "    left alone: %s\n", procfs.Printable(all[i].leave))
		}
	}
	n := count(all, (*pruned).goes)
	fmt.Fprintf(&b, "%d to remove, which frees %s; %d left alone\n", n, bothSizes(bytesOf(all, (*pruned).goes)), len(all)-n)
	_, err := io.WriteString(env.Stdout, b.String())
	return err
}

// askToPrune asks on the terminal. Only yes means yes.
func askToPrune(ctx context.Context, env *Env, all []*pruned) (bool, error) {
	fmt.Fprintf(env.Stderr, "Remove %s? [y/N] ", map[bool]string{true: "it", false: "them"}[count(all, (*pruned).goes) == 1])
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(env.Stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(env.Stderr)
		return false, cause(ctx, ctx.Err())
	case line := <-answer:
		if !strings.HasSuffix(line, "\n") {
			fmt.Fprintln(env.Stderr)
		}
		s := strings.ToLower(strings.TrimSpace(line))
		return s == "y" || s == "yes", nil
	}
}

// remove removes what is to go, and reports it unless that is done as JSON.
func (fl *pruneFlags) remove(ctx context.Context, env *Env, all []*pruned) error {
	var errs []error
	for _, p := range all {
		if !p.goes() {
			continue
		}
		if ctx.Err() != nil {
			errs = append(errs, cause(ctx, ctx.Err()))
			break
		}
		switch p.err = p.Remove(); {
		case p.err == nil:
			p.gone = true
		case errors.Is(p.err, shm.ErrBusy):
			p.leave, p.err = causeText(p.err), nil
			if !fl.json {
				env.noteln("%s: %s", p.what(), p.leave)
			}
		case errors.Is(p.err, fs.ErrNotExist):
			p.leave, p.err = "somebody else has removed it", nil
		default:
			errs = append(errs, p.err)
		}
		if p.gone && !fl.json {
			if _, err := fmt.Fprintf(env.Stdout, "removed %s, %s\n", p.what(), bothSizes(p.Size)); err != nil {
				return err
			}
		}
	}
	if n := count(all, func(p *pruned) bool { return !p.goes() }); n > 0 && fl.yes && !fl.json {
		env.noteln("%s left alone; shm prune --dry-run says why", map[bool]string{true: "1 thing is", false: fmt.Sprint(n, " things are")}[n == 1])
	}
	return failed(errs...)
}

// jsonPrune is what --json shows; as with objects, the form only grows.
type jsonPrune struct {
	Time   time.Time  `json:"time"`
	DryRun bool       `json:"dry_run"`
	Bytes  int64      `json:"bytes"` // freed, or to be freed
	Dead   []jsonDead `json:"dead"`
}

type jsonDead struct {
	Kind    string     `json:"kind"`              // topic, subscriber, creation, removal
	Address string     `json:"address,omitempty"` // of the topic
	Path    string     `json:"path"`
	UID     uint32     `json:"uid"`
	Owner   string     `json:"owner"`
	Bytes   int64      `json:"bytes"`
	PID     int        `json:"pid,omitempty"`
	Heard   *time.Time `json:"heard,omitempty"`
	Why     string     `json:"why"`
	Kept    bool       `json:"kept,omitempty"`
	Action  string     `json:"action"`           // remove, leave, removed, failed
	Reason  string     `json:"reason,omitempty"` // why it is left alone
	Error   string     `json:"error,omitempty"`
	Code    int        `json:"code,omitempty"`
}

func pruneJSON(env *Env, all []*pruned, dryRun bool) error {
	var u users
	done := (*pruned).goes
	if !dryRun {
		done = func(p *pruned) bool { return p.gone }
	}
	doc := jsonPrune{Time: time.Now(), DryRun: dryRun, Bytes: bytesOf(all, done), Dead: []jsonDead{}}
	for _, p := range all {
		j := jsonDead{
			Kind: p.Kind, Path: jsonText(p.Path), UID: p.UID, Owner: u.name(p.UID), Bytes: p.Size, Heard: jsonTime(p.Heard),
			Why: jsonText(p.Why), Kept: p.Kept, Action: "remove", Reason: jsonText(p.leave), Code: exitCode(p.err),
		}
		if p.Topic != "" {
			j.Address = topicScheme + p.Topic
		}
		if p.Maker != nil {
			j.PID = p.Maker.PID
		}
		switch {
		case p.err != nil:
			j.Action, j.Error = "failed", causeText(p.err)
		case p.leave != "":
			j.Action = "leave"
		case p.gone:
			j.Action = "removed"
		}
		doc.Dead = append(doc.Dead, j)
	}
	return writeJSON(env.Stdout, doc, true)
}
