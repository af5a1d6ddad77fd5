package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/inspect"
)

func newWatch(env *Env) *cobra.Command {
	var fl filter
	var interval time.Duration
	var existing, asJSON bool
	cmd := &cobra.Command{
		Use:   "watch [PATTERN...]",
		Short: "Show what appears, changes and goes, live",
		Long: `Show, one line each, what shared memory appears, changes and goes, until it is
interrupted. A PATTERN selects as with shm ls.

The kernel tells nobody of System V segments, so this looks again and again;
what comes and goes between two looks is not seen.`,
		Example: `  shm watch
  shm watch 'psm_*' --interval 200ms
  shm watch --json | jq -r 'select(.event == "removed").address'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeAddress(env, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if interval < 10*time.Millisecond {
				return usage(cmd, fmt.Errorf("an interval of %v is too short: 10ms at least", interval))
			}
			if err := fl.prepare(args); err != nil {
				return usage(cmd, err)
			}
			opts := fl.options(env)
			opts.Existing = existing
			w := &watcher{env: env, fl: &fl, json: asJSON, shown: make(map[same]bool)}
			return w.run(cmd, interval, opts)
		},
	}
	f := cmd.Flags()
	fl.flags(cmd)
	f.DurationVar(&interval, "interval", inspect.WatchInterval, "time between two looks")
	f.BoolVar(&existing, "existing", false, "begin with everything that exists, as added")
	f.BoolVar(&asJSON, "json", false, "write JSON, one line an event")
	return cmd
}

// watcher writes events as they come; each is one write, so a reader of a
// pipe has it at once and whole.
type watcher struct {
	env   *Env
	fl    *filter
	json  bool
	users users
	blind bool // it was said that not everything can be seen

	// shown are the objects that were shown. What a pattern selected once is
	// followed to its end: a segment loses its key on the way.
	shown map[same]bool
}

// same tells objects apart.
type same struct {
	kind       inspect.Kind
	dev, inode uint64
}

func identityOf(o *inspect.Object) same {
	if o.Kind == inspect.KindSysV {
		return same{o.Kind, o.IPCNamespace, uint64(o.ID)}
	}
	return same{"", o.Dev, o.Inode}
}

// wants reports whether an event is to be shown.
func (w *watcher) wants(e *inspect.Event) bool {
	id := identityOf(&e.Object)
	if !w.fl.match(&e.Object) && (e.Before == nil || !w.fl.match(e.Before)) && !w.shown[id] {
		return false
	}
	w.shown[id] = true
	if e.Type == inspect.Removed {
		delete(w.shown, id)
	}
	return true
}

func (w *watcher) run(cmd *cobra.Command, interval time.Duration, opts *inspect.Options) error {
	ctx := cmd.Context()
	var last string
	for e, err := range inspect.Watch(ctx, interval, opts) {
		if err != nil {
			// Once for each kind of trouble; it goes on.
			if text := err.Error(); text != last {
				w.env.noteln("%s", strings.TrimPrefix(text, "shm: "))
				last = text
			}
			continue
		}
		if !w.wants(&e) {
			continue
		}
		if e.Object.Partial() && !w.blind && !w.json {
			w.blind = true
			for _, r := range e.Object.Reasons {
				tellReason(w.env, r)
			}
		}
		if err := w.write(&e); err != nil {
			return err
		}
	}
	return cause(ctx, ctx.Err())
}

func (w *watcher) write(e *inspect.Event) error {
	if w.json {
		// The object's own form with more in front.
		return writeJSON(w.env.Stdout, struct {
			Event   inspect.EventType `json:"event"`
			Time    time.Time         `json:"time"`
			Changed []string          `json:"changed,omitempty"` // names of fields, as they are here
			*jsonObject
		}{e.Type, e.Time.Local(), jsonFields(e.Fields), toJSON(&e.Object, &w.users)}, false)
	}
	text := w.summary(&e.Object)
	if e.Type == inspect.Changed && e.Before != nil {
		text = w.changes(e)
	}
	_, err := fmt.Fprintf(w.env.Stdout, "%s %-7s %s  %s\n", e.Time.Local().Format("15:04:05"), e.Type, address(&e.Object), text)
	return err
}

// address names the object: by its address, or where it has none by kind and
// name.
func address(o *inspect.Object) string {
	if o.Address != "" {
		return o.Address
	}
	if o.Kind == inspect.KindSysV {
		return fmt.Sprintf("sysv:id=%d", o.ID)
	}
	return string(o.Kind) + ":" + label(o)
}

func (w *watcher) summary(o *inspect.Object) string {
	parts := []string{humanSize(o.Size)}
	if !o.AtLeast {
		parts = append(parts, octal(o), w.users.name(o.UID))
	}
	parts = append(parts, stateWords(o))
	if len(o.Holders) > 0 {
		parts = append(parts, "by "+holderList(o.Holders))
	}
	return strings.Join(parts, "  ")
}

// changes tells what is different now.
func (w *watcher) changes(e *inspect.Event) string {
	o, b := &e.Object, e.Before
	var parts []string
	arrow := func(name, was, is string) {
		if was != is {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", name, was, is))
		}
	}
	size := func(n int64) string {
		if n < 0 {
			return "?"
		}
		return humanSize(n)
	}
	arrow("size", size(b.Size), size(o.Size))
	arrow("used", size(b.Used), size(o.Used))
	arrow("mode", octal(b), octal(o))
	arrow("owner", w.users.name(b.UID), w.users.name(o.UID))
	arrow("group", w.users.group(b.GID), w.users.group(o.GID))
	if o.Kind == inspect.KindSysV {
		arrow("nattch", fmt.Sprint(b.NAttach), fmt.Sprint(o.NAttach))
	}
	arrow("seals", b.Seals.String(), o.Seals.String())
	arrow("state", stateWords(b), stateWords(o))
	if list := holderDiff(o.Holders, b.Holders); list != "" {
		parts = append(parts, "new "+list)
	}
	if list := holderDiff(b.Holders, o.Holders); list != "" {
		parts = append(parts, "gone "+list)
	}
	if len(parts) == 0 {
		parts = jsonFields(e.Fields)
	}
	return strings.Join(parts, "  ")
}

// holderDiff lists the processes that a has and b has not.
func holderDiff(a, b []inspect.Holder) string {
	var only []inspect.Holder
	for _, h := range a {
		if !slices.ContainsFunc(b, func(x inspect.Holder) bool { return x.PID == h.PID && x.Start == h.Start }) {
			only = append(only, h)
		}
	}
	return holderList(only)
}

// jsonFields gives the fields of an event the names that they have in JSON.
func jsonFields(fields []string) []string {
	var names []string
	for _, f := range fields {
		switch f {
		case "GID", "UID":
			f = strings.ToLower(f)
		case "NAttach":
			f = "nattch"
		case "Semaphore":
			f = "value"
		default:
			f = strings.ToLower(f[:1]) + f[1:]
		}
		names = append(names, f)
	}
	return names
}
