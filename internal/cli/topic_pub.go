package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"
)

type pubFlags struct {
	making
	frames bool
	rate   float64
	count  uint64
}

func newTopicPub(env *Env) *cobra.Command {
	var fl pubFlags
	cmd := &cobra.Command{
		Use:   "pub NAME",
		Short: "Publish standard input, or generated samples",
		Long: `Publish the lines of standard input, each as a sample without its newline. With
--frames it publishes records: the length in 4 bytes, little-endian, and so many
bytes. With --rate it reads nothing and publishes so many generated samples a
second, of --size bytes (1K), which begin with a counter in 8 bytes,
little-endian.

The topic ends with the input, and is removed, unless --keep leaves it to be
read. Who has subscribed still gets everything. Where the last publisher was
killed, or left the topic with --keep, this one goes on with it, if it is made
alike; subscribers notice nothing.`,
		Example: `  tail -f log | shm topic pub log
  seq 1000000 | shm topic pub numbers --subscribers 3
  shm topic pub ticks --rate 1000 --size 64 --policy drop`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeTopic(env, 1, false),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := topicName(args[0])
		if err != nil {
			return err
		}
		return fl.run(cmd.Context(), env, name)
	}
	fl.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&fl.frames, "frames", false, "read records with their lengths before them, not lines")
	f.Float64Var(&fl.rate, "rate", 0, "generate so many samples a second; 0 means as many as possible")
	f.Uint64Var(&fl.count, "count", 0, "end after so many samples; 0 means with the input, or never")
	cmd.MarkFlagsMutuallyExclusive("frames", "rate")
	return cmd
}

func (fl *pubFlags) run(ctx context.Context, env *Env, name string) error {
	generate := fl.cmd.Flags().Changed("rate")
	if fl.rate < 0 || math.IsNaN(fl.rate) || math.IsInf(fl.rate, 0) {
		return usage(fl.cmd, fmt.Errorf("--rate %v: a rate is 0 or more", fl.rate))
	}
	if generate && !fl.size.set {
		fl.size.n = defaultTopicSample
	}
	opts, err := fl.options(env, nil)
	if err != nil {
		return err
	}
	err = fl.publish(ctx, env, opts, name, func(p *publishing) error {
		if generate {
			return p.generate(ctx, opts.Size, fl.rate, fl.count)
		}
		var f form = &lines{most: opts.Size}
		if fl.frames {
			f = &frames{most: opts.Size}
		}
		return p.copyFrom(ctx, env.Stdin, f, fl.count)
	})
	return topicErr(ctx, "pub", name, err)
}

// copyFrom publishes what stands in the input, count samples at most unless
// that is 0.
func (p *publishing) copyFrom(ctx context.Context, in io.Reader, f form, count uint64) error {
	full, free := batches(ctx, in, f)
	idle := time.NewTicker(pollEvery)
	defer idle.Stop()
	var all [][]byte
	for done := uint64(0); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-idle.C:
			if err := p.Poll(); err != nil {
				return err
			}
		case b := <-full:
			all = b.samples(all)
			if count > 0 && uint64(len(all)) >= count-done {
				all = all[:count-done]
			}
			n, err := p.SendBatch(ctx, all)
			done += uint64(n)
			switch {
			case err != nil:
				return err
			case count > 0 && done == count, b.err == io.EOF:
				return nil
			case b.err != nil:
				return b.err
			}
			free <- b
		}
	}
}

// generate publishes rate samples a second, or as many as it can, without end
// unless count is not 0.
func (p *publishing) generate(ctx context.Context, size int, rate float64, count uint64) error {
	pattern := make([]byte, size)
	for i := range pattern {
		pattern[i] = byte('a' + i%26)
	}
	start, done := time.Now(), uint64(0) // done since start
	for i := uint64(0); count == 0 || i < count; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if rate > 0 {
			due := start.Add(time.Duration(min(float64(done)/rate*1e9, 1<<62)))
			if time.Until(due) < -time.Second {
				// Held up; what was not sent meanwhile is not made up for.
				start, done, due = time.Now(), 0, time.Now()
			}
			if err := p.pause(ctx, due); err != nil {
				return err
			}
			done++
		}
		l, err := p.Loan(ctx, size)
		if err != nil {
			return err
		}
		var counter [8]byte
		binary.LittleEndian.PutUint64(counter[:], i)
		copy(l.Bytes(), pattern)
		copy(l.Bytes(), counter[:])
		l.User = i
		if err := l.Publish(); err != nil {
			return err
		}
	}
	return nil
}
