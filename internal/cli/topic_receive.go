package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/topic"
)

// receiving is how samples are taken, by sub and record.
type receiving struct {
	from    string
	noWait  bool
	observe bool
	count   uint64
	timeout time.Duration

	cmd *cobra.Command
}

var startNames = []string{"oldest", "newest", "next"}

func (v *receiving) flags(cmd *cobra.Command) {
	v.cmd = cmd
	f := cmd.Flags()
	f.StringVar(&v.from, "from", "oldest", "begin with the oldest sample that is there, the newest, or the next that is published")
	f.BoolVar(&v.noWait, "no-wait", false, "fail with exit code 3 when there is no such topic, instead of waiting for it")
	f.BoolVar(&v.observe, "observe", false, "do not subscribe: the publisher neither knows nor waits, and what is overwritten first is lost")
	f.Uint64Var(&v.count, "count", 0, "end after so many samples; 0 means with the topic")
	f.DurationVar(&v.timeout, "timeout", 0, "end with exit code 5 when no sample, or no topic, comes for so long; 0 means never")
	completeFlag(cmd, "from", startNames...)
}

// start checks the flags.
func (v *receiving) start() (topic.Start, error) {
	i := slices.Index(startNames, v.from)
	if i < 0 {
		return 0, usage(v.cmd, fmt.Errorf("--from %q: %s", v.from, strings.Join(startNames, ", ")))
	}
	if v.timeout < 0 {
		return 0, usage(v.cmd, fmt.Errorf("--timeout %v is negative", v.timeout))
	}
	return []topic.Start{topic.Oldest, topic.Newest, topic.Next}[i], nil
}

// receiver takes samples, and says what there is to be said meanwhile.
type receiver struct {
	*topic.Subscriber
	env  *Env
	name string
	v    *receiving
	peer *topicdir.Peer // to see whether anybody publishes

	taken  uint64
	loss   loss
	began  time.Time
	silent time.Time // since when nothing came
	dead   bool      // it was said that the publisher is
	told   bool      // it was said that this subscriber is not admitted
}

// lookEvery is how often one who waits looks whether anybody publishes.
const lookEvery = 500 * time.Millisecond

// open subscribes or observes, and waits for the topic where that is wanted.
func (v *receiving) open(ctx context.Context, env *Env, name string) (*receiver, error) {
	from, err := v.start()
	if err != nil {
		return nil, err
	}
	if err := topicMount(env); err != nil {
		return nil, err // one could wait for ever
	}
	limit := ctx
	if v.timeout > 0 {
		var stop func()
		limit, stop = context.WithTimeout(ctx, v.timeout)
		defer stop()
	}
	opts := &topic.SubscribeOptions{From: from, Dir: env.dir()}
	r := &receiver{env: env, name: name, v: v, loss: loss{env: env, name: name}}
	err = patiently(limit, func() (bool, error) {
		err := r.join(limit, opts)
		// Between its making and its removal there are moments in which a
		// topic is there and is not.
		if !v.noWait && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, topic.ErrRemoved)) {
			return false, nil
		}
		return true, err
	})
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, timedOut("there was no such topic", v.timeout)
	case errors.Is(err, fs.ErrPermission) && !v.observe:
		err = tryObserving(env, name, err)
	}
	if err != nil {
		return nil, err
	}
	r.began = time.Now()
	r.silent = r.began
	return r, nil
}

func (r *receiver) join(ctx context.Context, opts *topic.SubscribeOptions) (err error) {
	if r.v.observe {
		r.Subscriber, err = topic.Observe(ctx, r.name, opts)
	} else {
		r.Subscriber, err = topic.Subscribe(ctx, r.name, opts)
	}
	if err != nil {
		return err
	}
	if r.peer, err = topicdir.Open(r.name, &topicdir.OpenOptions{Dir: opts.Dir}); err != nil {
		r.Subscriber.Close()
	}
	return err
}

// tryObserving adds to an error that subscribing is not permitted whether
// observing would be.
func tryObserving(env *Env, name string, err error) error {
	p, e := topicdir.Open(name, &topicdir.OpenOptions{Dir: env.dir()})
	if e != nil {
		return err
	}
	p.Close()
	return &hinted{err, "--observe reads it without subscribing"}
}

// hinted is an error with a next step that the error itself does not know.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func (r *receiver) Close() error {
	r.loss.finish()
	return errors.Join(r.Subscriber.Close(), r.peer.Close())
}

// next gives the next sample. flush is called before a wait. io.EOF: the
// topic has ended.
func (r *receiver) next(ctx context.Context, flush func() error) (topic.Sample, error) {
	if err := ctx.Err(); err != nil {
		return topic.Sample{}, err
	}
	m, err := r.TryNext()
	if errors.Is(err, topic.ErrEmpty) {
		if err := flush(); err != nil {
			return topic.Sample{}, err
		}
		r.silent = time.Now()
		m, err = r.wait(ctx)
	}
	if err == nil {
		r.taken++
		r.loss.note(m.Missed, m.Number)
		r.admission()
	}
	return m, err
}

// wait is the part of next that takes time.
func (r *receiver) wait(ctx context.Context) (topic.Sample, error) {
	for {
		limit := lookEvery
		if r.v.timeout > 0 {
			limit = min(limit, r.v.timeout-time.Since(r.silent))
		}
		c, stop := context.WithTimeout(ctx, max(limit, 0))
		m, err := r.Next(c)
		stop()
		switch {
		case err == nil, !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
			return m, err
		case r.v.timeout > 0 && time.Since(r.silent) >= r.v.timeout:
			return m, timedOut("no sample came", r.v.timeout)
		}
		r.loss.tell()
		r.admission()
		r.lookAround()
	}
}

// lookAround sees whether a sample can come at all. That the topic was removed
// Next sees by itself.
func (r *receiver) lookAround() {
	alive, err := r.peer.PublisherAlive()
	switch {
	case err != nil || r.peer.Named() != nil:
	case !alive && !r.dead:
		r.dead = true
		r.env.noteln("%s: its publisher is gone without having ended it; waiting for another", topicdir.Address(r.name))
	case alive && r.dead:
		r.dead = false
		r.env.noteln("%s: another publisher goes on with it", topicdir.Address(r.name))
	}
}

// admission says, once, when this subscriber is not admitted for long.
func (r *receiver) admission() {
	if r.told || r.v.observe || r.dead || time.Since(r.began) < 3*time.Second {
		return
	}
	r.told = true
	if _, ok := r.Admitted(); ok {
		return
	}
	if alive, err := r.peer.PublisherAlive(); err == nil && alive {
		r.env.noteln("%s: the publisher has not admitted this subscriber (%d at most), which may lose samples; they are counted", topicdir.Address(r.name), r.Options().Subscribers)
	}
}

// loss tells a person of samples that were lost: at once, and then at most
// once a second.
type loss struct {
	env    *Env
	name   string
	total  uint64
	untold uint64
	before uint64 // number of the sample after them
	last   time.Time
}

func (l *loss) note(missed, number uint64) {
	if missed == 0 {
		return
	}
	l.total += missed
	l.untold += missed
	l.before = number
	l.tell()
}

func (l *loss) tell() {
	if l.untold == 0 || time.Since(l.last) < time.Second {
		return
	}
	l.last = time.Now()
	l.env.noteln("%s: %s lost before number %d", topicdir.Address(l.name), wereSamples(l.untold), l.before)
	l.untold = 0
}

func (l *loss) finish() {
	l.last = time.Time{}
	several := l.untold != l.total
	l.tell()
	if l.total > 0 && several {
		l.env.noteln("%s: %s lost in all", topicdir.Address(l.name), wereSamples(l.total))
	}
}

func wereSamples(n uint64) string {
	if n == 1 {
		return "1 sample was"
	}
	return fmt.Sprintf("%d samples were", n)
}

// refuseTerminal refuses to write binary to a terminal.
func refuseTerminal(cmd *cobra.Command, env *Env, what string) error {
	if _, tty := terminal(env.Stdout); !tty {
		return nil
	}
	return &usageError{fmt.Errorf("%s, which a terminal cannot show: %w", what, syscall.EINVAL), "redirect standard output to a file or a program"}
}
