package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/topic"
)

// What topics of the command line are made like. Lines come in bursts, so
// there is more room than a topic of the library has.
const (
	defaultTopicSlots  = 64
	defaultTopicSize   = 64 << 10
	defaultTopicSample = 1 << 10 // of generated samples
	pollEvery          = 100 * time.Millisecond
)

// making is how a topic is to be made, by pub and replay.
type making struct {
	policy         string
	slots          int
	size           sizeValue
	maxSubscribers int
	patience       time.Duration
	share          string
	keep           bool
	subscribers    int
	timeout        time.Duration

	cmd *cobra.Command
}

var policyNames = []string{"block", "drop"}

func (m *making) flags(cmd *cobra.Command) {
	m.cmd = cmd
	m.size = sizeValue{n: defaultTopicSize, least: 1}
	f := cmd.Flags()
	f.StringVar(&m.policy, "policy", "block", "block: wait for subscribers that are too slow; drop: overwrite the oldest samples, never wait")
	f.IntVar(&m.slots, "slots", defaultTopicSlots, "samples that the memory holds; made a power of two, and enough for the subscribers")
	f.Var(&m.size, "size", "largest sample in bytes (64K); K, M, G count by 1024")
	f.IntVar(&m.maxSubscribers, "max-subscribers", topic.DefaultSubscribers, "how many may subscribe at once")
	f.DurationVar(&m.patience, "patience", topic.DefaultPatience, "with --policy block, how long one subscriber that takes nothing is waited for; 0 means for ever")
	f.StringVar(&m.share, "share", "private", "who may subscribe: private (you), group=GROUP, all, or observe (nobody else, but all may observe)")
	f.BoolVar(&m.keep, "keep", false, "leave the topic when it has ended, to be read until it is removed")
	f.IntVar(&m.subscribers, "subscribers", 0, "wait until so many subscribers are admitted before publishing")
	f.DurationVar(&m.timeout, "timeout", 0, "how long to wait for --subscribers before giving up with exit code 5; 0 means for ever")
	completeFlag(cmd, "policy", policyNames...)
	completeFlag(cmd, "share", "private", "group=", "all", "observe")
}

// options checks the flags. like is how the topic is to be made where they
// say nothing; nil means their defaults.
func (m *making) options(env *Env, like *topic.Options) (*topic.Options, error) {
	o := topic.Options{Dir: env.dir(), Logger: slog.New(&notes{env})}
	asked := m.cmd.Flags().Changed
	if like != nil {
		like.Dir, like.Logger = o.Dir, o.Logger
		o = *like
	}
	if like == nil || asked("policy") {
		switch m.policy {
		case "block":
			o.Policy = topic.Block
		case "drop":
			o.Policy = topic.DropOldest
		default:
			return nil, usage(m.cmd, fmt.Errorf("there is no policy %q: %s", m.policy, strings.Join(policyNames, ", ")))
		}
	}
	if like == nil || asked("size") {
		o.Size = int(m.size.n)
	}
	if like == nil || asked("max-subscribers") {
		if m.maxSubscribers < 1 || m.maxSubscribers > topicdir.MaxSubscribers {
			return nil, usage(m.cmd, fmt.Errorf("--max-subscribers %d: a topic has 1 to %d", m.maxSubscribers, topicdir.MaxSubscribers))
		}
		o.Subscribers = m.maxSubscribers
	}
	if m.timeout < 0 {
		return nil, usage(m.cmd, fmt.Errorf("--timeout %v is negative", m.timeout))
	}
	if m.patience < 0 {
		return nil, usage(m.cmd, fmt.Errorf("--patience %v: a time is 0 or more, and 0 means for ever", m.patience))
	}
	if like == nil || asked("patience") {
		if o.Patience = m.patience; m.patience <= 0 {
			o.Patience = -1
		}
	}
	if o.Held == 0 {
		o.Held = topic.DefaultHeld
	}
	if like == nil || asked("slots") {
		if m.slots < 1 || m.slots > topicdir.MaxSlots {
			return nil, usage(m.cmd, fmt.Errorf("--slots %d: a topic has 2 to %d", m.slots, topicdir.MaxSlots))
		}
		o.Slots = 1 << bits.Len(uint(m.slots-1))
	}
	o.Slots = max(o.Slots, int(topicdir.LeastSlots(o.Subscribers, o.Held)))
	if m.subscribers < 0 || m.subscribers > o.Subscribers {
		return nil, usage(m.cmd, fmt.Errorf("--subscribers %d: at most %d can subscribe, see --max-subscribers", m.subscribers, o.Subscribers))
	}
	var err error
	if o.Sharing, o.GID, err = parseShare(m.share); err != nil {
		return nil, usage(m.cmd, err)
	}
	return &o, nil
}

func parseShare(s string) (topic.Sharing, int, error) {
	group, isGroup := strings.CutPrefix(s, "group=")
	switch {
	case isGroup:
		if gid, err := strconv.ParseUint(group, 10, 31); err == nil {
			return topic.Group, int(gid), nil
		}
		g, err := user.LookupGroup(group)
		if err != nil {
			return 0, 0, fmt.Errorf("there is no group %q", group)
		}
		gid, err := strconv.Atoi(g.Gid)
		return topic.Group, gid, err
	case s == "private":
		return topic.Private, 0, nil
	case s == "all":
		return topic.All, 0, nil
	case s == "observe":
		return topic.ObserveOnly, 0, nil
	}
	return 0, 0, fmt.Errorf("--share %q: private, group=GROUP, all or observe", s)
}

// publishing is a topic whose publisher this process is.
type publishing struct {
	*topic.Publisher
	m *making
}

// publish makes the topic, waits for the subscribers, lets run publish what
// it has, and ends the topic, however that went.
func (m *making) publish(ctx context.Context, env *Env, opts *topic.Options, name string, run func(p *publishing) error) (err error) {
	if err := topicMount(env); err != nil {
		return err
	}
	pub, err := topic.Create(name, opts)
	if err != nil {
		return err
	}
	p := &publishing{pub, m}
	defer func() {
		end := p.Remove
		if m.keep || errors.Is(err, topic.ErrRemoved) || errors.Is(err, topic.ErrFenced) {
			end = p.Close
		}
		if e := end(); err == nil && !errors.Is(e, topic.ErrRemoved) {
			err = e
		}
	}()
	if err := p.gather(ctx); err != nil {
		return err
	}
	return run(p)
}

// gather waits for --subscribers.
func (p *publishing) gather(ctx context.Context) error {
	if p.m.subscribers == 0 {
		return nil
	}
	limit := ctx
	if p.m.timeout > 0 {
		var stop func()
		limit, stop = context.WithTimeout(ctx, p.m.timeout)
		defer stop()
	}
	err := patiently(limit, func() (bool, error) {
		if err := p.Poll(); err != nil {
			return false, err
		}
		return p.Stats().Subscribers >= p.m.subscribers, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return timedOut(fmt.Sprintf("of %d subscribers %d came", p.m.subscribers, p.Stats().Subscribers), p.m.timeout)
	}
	return err
}

// pause sleeps until then. The topic is kept: who joins is admitted.
func (p *publishing) pause(ctx context.Context, until time.Time) error {
	for {
		left := time.Until(until)
		if left <= 0 {
			return ctx.Err()
		}
		if err := sleepFor(ctx, min(left, pollEvery)); err != nil {
			return err
		}
		if left > pollEvery {
			if err := p.Poll(); err != nil {
				return err
			}
		}
	}
}

// notes tells a person what a publisher has to say: that somebody lost the
// right to be waited for, or died. Who is merely lapped is told by itself.
type notes struct{ env *Env }

func (n *notes) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (n *notes) WithAttrs([]slog.Attr) slog.Handler           { return n }
func (n *notes) WithGroup(string) slog.Handler                { return n }

func (n *notes) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.String()
		return true
	})
	text := topicdir.Address(attrs["topic"]) + ": " + r.Message
	if pid := attrs["pid"]; pid != "" {
		text += ", process " + pid
	}
	for _, why := range []string{attrs["why"], attrs["error"]} {
		switch why {
		case "":
		case "lapped":
			return nil
		default:
			text += ": " + why
		}
	}
	n.env.noteln("%s", text)
	return nil
}
