package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/record"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/topic"
)

type recordFlags struct {
	receiving
	force bool
}

func newTopicRecord(env *Env) *cobra.Command {
	var fl recordFlags
	cmd := &cobra.Command{
		Use:   "record NAME FILE",
		Short: "Write the samples of a topic into a file, to be replayed",
		Long: `Write the samples of a topic, with all that comes with them, into a file, - for
standard output, until the topic ends. It subscribes as shm topic sub does, so
under the policy block nothing is lost; what is lost otherwise is told and
counted. The format is described in spec/record.md.

What was taken is in the file within half a second, whatever becomes of this
process: a recording that is cut off is good as far as it goes.`,
		Example: `  shm topic record camera camera.rec
  shm topic record ticks - --count 1000 | gzip > ticks.rec.gz`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeTopic(env, 1, true),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := topicName(args[0])
		if err != nil {
			return err
		}
		return topicErr(cmd.Context(), "record", name, fl.run(cmd.Context(), env, name, args[1]))
	}
	fl.flags(cmd)
	cmd.Flags().BoolVarP(&fl.force, "force", "f", false, "overwrite a file that exists")
	return cmd
}

func (fl *recordFlags) run(ctx context.Context, env *Env, name, path string) (err error) {
	if path == "-" {
		if err := refuseTerminal(fl.cmd, env, "a recording is binary"); err != nil {
			return err
		}
	} else if _, err := os.Lstat(path); err == nil && !fl.force {
		return fileExists(path)
	}
	r, err := fl.open(ctx, env, name)
	if err != nil {
		return err
	}
	defer r.Close()
	out, done, err := fl.create(env, path)
	if err != nil {
		return err
	}
	defer func() {
		if e := done(); err == nil {
			err = e
		}
	}()
	w, err := record.NewWriter(out, headerOf(r))
	if err != nil {
		return err
	}
	return fl.copy(ctx, r, w)
}

// copy records until the topic ends, or something else.
func (fl *recordFlags) copy(ctx context.Context, r *receiver, w *record.Writer) error {
	flushed := time.Now()
	flush := func() error {
		flushed = time.Now()
		return w.Flush()
	}
	if err := flush(); err != nil {
		return err
	}
	why, problem := record.Stopped, error(nil)
	for fl.count == 0 || r.taken < fl.count {
		m, err := r.next(ctx, flush)
		if errors.Is(err, io.EOF) {
			why = record.Ended
			break
		}
		if err != nil {
			problem = err // what was recorded gets its end all the same
			break
		}
		err = w.Write(&record.Sample{Number: m.Number, Seq: m.Seq, Time: m.Time(), User: m.User, Flags: m.Flags, Data: m.Data})
		m.Release()
		if err == nil && time.Since(flushed) > lookEvery {
			err = flush()
		}
		if err != nil {
			return err
		}
	}
	if err := w.End(why, r.loss.total); err != nil {
		return err
	}
	return problem
}

// create opens the file; done closes it.
func (fl *recordFlags) create(env *Env, path string) (w io.Writer, done func() error, err error) {
	if path == "-" {
		return env.Stdout, func() error { return nil }, nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if fl.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o666)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil, nil, fileExists(path)
	case err != nil:
		return nil, nil, fileErr("record", path, err, "a recording needs a directory that you may write in")
	}
	return f, f.Close, nil
}

func fileExists(path string) error {
	return fileErr("record", path, os.ErrExist, "--force overwrites it")
}

// fileErr is an error of a file, not of a topic.
func fileErr(verb, path string, err error, hint string) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return &shm.Error{Op: "topic " + verb, Name: procfs.Printable(path), Err: err, Hint: hint}
}

// headerOf says in a recording how the topic was made.
func headerOf(r *receiver) *record.Header {
	o := r.Options()
	return &record.Header{
		Topic: r.name, Began: time.Now(),
		Slots: uint64(o.Slots), Capacity: uint64(o.Size), Align: uint64(o.Align), Patience: o.Patience,
		Policy: uint32(o.Policy), Subscribers: uint32(o.Subscribers), Held: uint32(o.Held),
		Type: o.Type, TypeHash: o.TypeHash,
	}
}

// optionsOf gives from a recording how its topic was made, checked.
func optionsOf(h *record.Header) (*topic.Options, error) {
	const most = 1 << 48
	if h.Slots > topicdir.MaxSlots || h.Capacity > most || h.Align > topicdir.MaxAlign || h.Subscribers > topicdir.MaxSubscribers || h.Held > topicdir.MaxHeld {
		return nil, fmt.Errorf("it says that its topic had %d slots of %d bytes, aligned to %d, for %d subscribers with %d each: %w", h.Slots, h.Capacity, h.Align, h.Subscribers, h.Held, topic.ErrCorrupt)
	}
	return &topic.Options{
		Size: int(h.Capacity), Slots: int(h.Slots), Subscribers: int(h.Subscribers), Held: int(h.Held), Align: int(h.Align),
		Policy: topic.Policy(h.Policy), Patience: h.Patience, Type: h.Type, TypeHash: h.TypeHash,
	}, nil
}
