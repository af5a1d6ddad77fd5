package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/topic"
)

func newTopicHz(env *Env) *cobra.Command {
	var fl struct {
		interval time.Duration
		count    int
		json     bool
	}
	cmd := &cobra.Command{
		Use:   "hz NAME",
		Short: "Measure the rate of a topic, its gaps and its jitter",
		Long: `Measure a topic, one line an interval, until it ends: the rate, the bytes, the
period, which is the median time between two samples, and the jitter, which is how
far from the period those times were: half of them less than p50, and so on.

All times are those of publishing. It observes: the publisher neither knows nor
waits. What it missed counts in the rate, but its times are not known; a ring of
few slots that is written fast is missed often.`,
		Example: `  shm topic hz camera
  shm topic hz camera --interval 5s --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeTopic(env, 1, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := topicName(args[0])
			if err != nil {
				return err
			}
			if fl.interval < 10*time.Millisecond {
				return usage(cmd, fmt.Errorf("an interval of %v is too short: 10ms at least", fl.interval))
			}
			h := &meter{env: env, json: fl.json, windows: fl.count}
			return topicErr(cmd.Context(), "hz", name, h.run(cmd.Context(), name, fl.interval))
		},
	}
	f := cmd.Flags()
	f.DurationVar(&fl.interval, "interval", time.Second, "time that one line is about")
	f.IntVar(&fl.count, "count", 0, "end after so many lines; 0 means with the topic")
	f.BoolVar(&fl.json, "json", false, "write JSON, one line an interval")
	return cmd
}

// intervalsMost bounds how many times between samples are kept for one line;
// of more, a random choice.
const intervalsMost = 1 << 16

// meter measures a topic.
type meter struct {
	env     *Env
	json    bool
	windows int // lines to write, 0 for no bound

	known     bool // there was a sample before
	lastSeq   uint64
	lastTime  time.Time
	intervals []time.Duration
	seen      int // intervals, kept or not
	w         window
}

// window is what was measured in one interval.
type window struct {
	Time    time.Time `json:"time"`
	Rate    float64   `json:"rate"`
	Bytes   float64   `json:"bytes_per_s"`
	Samples uint64    `json:"samples"` // published
	Gaps    uint64    `json:"gaps"`    // times that some were missed
	Missed  uint64    `json:"missed"`  // samples that were

	Period    *time.Duration `json:"period_ns,omitempty"`
	JitterP50 *time.Duration `json:"jitter_p50_ns,omitempty"`
	JitterP90 *time.Duration `json:"jitter_p90_ns,omitempty"`
	JitterP99 *time.Duration `json:"jitter_p99_ns,omitempty"`
	JitterMax *time.Duration `json:"jitter_max_ns,omitempty"`

	from  time.Time // of the last sample before, or the first one
	bytes uint64    // of those that were seen
	taken uint64
	first bool // the first sample ever is among them: it has no interval
}

func (h *meter) run(ctx context.Context, name string, interval time.Duration) error {
	s, err := topic.Observe(ctx, name, &topic.SubscribeOptions{From: topic.Next, Dir: h.env.dir()})
	if err != nil {
		return err
	}
	defer s.Close()
	peer, err := topicdir.Open(name, &topicdir.OpenOptions{Dir: h.env.dir()})
	if err != nil {
		return err
	}
	defer peer.Close()
	h.w.from = time.Now()
	pause := time.Millisecond
	for end, n := time.Now().Add(interval), 0; ; {
		ended, got, err := h.drain(ctx, s)
		if err != nil {
			return err
		}
		if now := time.Now(); ended || !now.Before(end) {
			if !ended || h.w.Samples > 0 {
				if err := h.write(now); err != nil {
					return err
				}
				n++
			}
			if ended || n == h.windows && n > 0 {
				return nil
			}
			if err := peer.Named(); errors.Is(err, topic.ErrRemoved) {
				return err
			}
			end = end.Add(interval)
			if end.Before(now) {
				end = now.Add(interval)
			}
		}
		// It sleeps by the clock, for to be woken is to be waited for.
		if pause *= 2; got {
			pause = time.Millisecond
		}
		if err := sleepFor(ctx, min(pause, 16*time.Millisecond, time.Until(end))); err != nil {
			return err
		}
	}
}

// drain takes what is there, for a moment at most.
func (h *meter) drain(ctx context.Context, s *topic.Subscriber) (ended, got bool, err error) {
	for range 1 << 12 {
		m, err := s.TryNext()
		switch {
		case errors.Is(err, topic.ErrEmpty):
			return false, got, nil
		case errors.Is(err, io.EOF):
			return true, got, nil
		case err != nil:
			return false, got, err
		}
		got = true
		h.note(&m)
		m.Release()
	}
	return false, got, ctx.Err()
}

func (h *meter) note(m *topic.Sample) {
	w := &h.w
	w.taken++
	w.bytes += uint64(len(m.Data))
	if !h.known {
		h.known, w.first, w.from = true, true, m.Time()
		w.Samples++
	} else {
		step := max(m.Seq-h.lastSeq, 1)
		w.Samples += step
		if step > 1 {
			w.Gaps++
			w.Missed += step - 1
		} else {
			h.interval(m.Time().Sub(h.lastTime))
		}
	}
	h.lastSeq, h.lastTime = m.Seq, m.Time()
}

func (h *meter) interval(d time.Duration) {
	h.seen++
	if len(h.intervals) < intervalsMost {
		h.intervals = append(h.intervals, d)
	} else if i := rand.IntN(h.seen); i < intervalsMost {
		h.intervals[i] = d
	}
}

// write ends the window.
func (h *meter) write(now time.Time) error {
	w := &h.w
	w.Time = now
	n := w.Samples
	if w.first {
		n-- // intervals are one less
	}
	if over := h.lastTime.Sub(w.from); n > 0 && over > 0 {
		w.Rate = float64(n) / over.Seconds()
		w.Bytes = w.Rate * float64(w.bytes) / float64(w.taken)
	}
	if len(h.intervals) > 0 {
		h.jitter()
	}
	err := h.print()
	h.w = window{from: h.lastTime}
	if !h.known {
		h.w.from = now
	}
	h.intervals, h.seen = h.intervals[:0], 0
	return err
}

// jitter computes the period, and how far from it the intervals are.
func (h *meter) jitter() {
	at := func(q float64) *time.Duration {
		d := h.intervals[min(int(q*float64(len(h.intervals))), len(h.intervals)-1)]
		return &d
	}
	slices.Sort(h.intervals)
	period := at(0.5)
	for i, d := range h.intervals {
		h.intervals[i] = (d - *period).Abs()
	}
	slices.Sort(h.intervals)
	w := &h.w
	w.Period, w.JitterP50, w.JitterP90, w.JitterP99, w.JitterMax = period, at(0.5), at(0.9), at(0.99), at(1)
}

func (h *meter) print() error {
	w := &h.w
	if h.json {
		return writeJSON(h.env.Stdout, w, false)
	}
	text := fmt.Sprintf("%s  %-9s %-10s %s", w.Time.Format("15:04:05"), rateText(w.Rate), flowText(w.Bytes), plural(w.Samples, "sample"))
	if w.Period != nil {
		text += fmt.Sprintf("  period %v  jitter p50 %v p90 %v p99 %v max %v", round(*w.Period), round(*w.JitterP50), round(*w.JitterP90), round(*w.JitterP99), round(*w.JitterMax))
	}
	if w.Missed > 0 {
		text += fmt.Sprintf("  missed %d in %s", w.Missed, plural(w.Gaps, "gap"))
	}
	_, err := fmt.Fprintln(h.env.Stdout, text)
	return err
}

// round leaves three digits or so.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
