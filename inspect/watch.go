package inspect

import (
	"context"
	"iter"
	"time"
)

// WatchInterval is how often Watch looks where no interval is given.
const WatchInterval = time.Second

// EventType says what happened.
type EventType string

// The types of events.
const (
	Added   EventType = "added"
	Changed EventType = "changed"
	Removed EventType = "removed"
)

// Event is what happened to an object between two looks.
type Event struct {
	Type   EventType
	Time   time.Time // of the look that found it
	Object Object    // as it is; for Removed as it was
	Before *Object   // as it was, for Changed
	// Fields are the fields of Object that changed, by name, for Changed:
	// "Size", "Holders" and so on. Times are not among them.
	Fields []string
	// Partial says that the look did not see everything: what is told to be
	// removed may only have gone out of sight.
	Partial bool
}

// Watch looks again and again, every interval (WatchInterval when 0), and
// gives what appears, changes and goes, until ctx ends or the loop is left.
// System V tells nobody of changes, so there is no way but to look: what
// comes and goes between two looks is not seen. The objects that exist at
// the start come as Added if Options.Existing asks for them.
//
// An error comes with a zero Event, and the watch goes on; the end of ctx is
// no error.
func Watch(ctx context.Context, interval time.Duration, opts *Options) iter.Seq2[Event, error] {
	if interval <= 0 {
		interval = WatchInterval
	}
	return func(yield func(Event, error) bool) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		var last *Snapshot
		if o := opts.orDefault(); o.Existing {
			last = &Snapshot{}
		}
		for {
			snap, err := Scan(ctx, opts)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !yield(Event{}, err) {
					return
				}
			default:
				if last != nil {
					for _, e := range Diff(last, snap) {
						if !yield(e, nil) {
							return
						}
					}
				}
				last = snap
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}
