package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/procfs"
)

func newLs(env *Env) *cobra.Command {
	var fl filter
	var show struct {
		sort               string
		reverse, noHeader  bool
		exact, human, json bool
	}
	cmd := &cobra.Command{
		Use:     "ls [PATTERN...]",
		Aliases: []string{"list"},
		Short:   "List what is shared on this machine, and who uses it",
		Long: `List System V segments, POSIX objects and semaphores, memfds, topics, and the
memory of shmnet connections in one table, with the processes that have them
attached, mapped or open: of a connection both ends. Its name is the address of
its socket, and it has one memory more for each ring that has grown.

A PATTERN selects by name, key, identifier or address; *, ? and [a-z] are as in
the shell. USED is memory really taken, NATTCH counts attachments of System V
segments, which are not processes. LAST USED is the last attach, detach, mmap,
read or write; plain stores to shared memory leave no trace.

STATE is used, unused, removed (it goes with its last user), orphaned (nobody
uses it, and nobody seems to come for it), or unknown (nobody was seen to use
it, but not all processes could be seen); with it stand locked, huge, and
foreign for what belongs to another namespace, such as a container's.

Sizes are rounded on a terminal and exact elsewhere.`,
		Example: `  shm ls
  shm ls --unused --min-size 1M --sort size
  shm ls 'psm_*' --json`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeAddress(env, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			order, ok := orders[show.sort]
			if !ok {
				return usage(cmd, fmt.Errorf("there is no order called %q: %s", show.sort, strings.Join(orderNames, ", ")))
			}
			if err := fl.prepare(args); err != nil {
				return usage(cmd, err)
			}
			snap, err := inspect.Scan(cmd.Context(), fl.options(env))
			if err != nil {
				return cause(cmd.Context(), err)
			}
			var list []*inspect.Object
			for i := range snap.Objects {
				if fl.match(&snap.Objects[i]) {
					list = append(list, &snap.Objects[i])
				}
			}
			if order != nil {
				slices.SortStableFunc(list, order)
			}
			if show.reverse {
				slices.Reverse(list)
			}
			if show.json {
				if err := lsJSON(env, snap, list); err != nil {
					return err
				}
				return fl.missing()
			}
			width, tty := terminal(env.Stdout)
			t := lsTable(list, snap.Time, show.human || tty && !show.exact)
			t.header = !show.noHeader
			if len(list) == 0 {
				t.header = false
			}
			if err := t.write(env.Stdout, width); err != nil {
				return err
			}
			tellPartial(env, snap, list)
			return fl.missing()
		},
	}
	f := cmd.Flags()
	fl.flags(cmd)
	f.StringVar(&show.sort, "sort", "kind", "order by "+strings.Join(orderNames, ", "))
	f.BoolVarP(&show.reverse, "reverse", "r", false, "turn the order round")
	f.BoolVarP(&show.exact, "bytes", "b", false, "sizes in bytes")
	f.BoolVar(&show.human, "human", false, "sizes rounded, with units")
	f.BoolVar(&show.noHeader, "no-header", false, "leave out the header")
	f.BoolVar(&show.json, "json", false, "write JSON")
	cmd.MarkFlagsMutuallyExclusive("bytes", "human")
	completeFlag(cmd, "sort", orderNames...)
	return cmd
}

// orders are what --sort understands: what matters most comes first.
var orders = map[string]func(a, b *inspect.Object) int{
	"kind": nil, // as it comes
	"name": func(a, b *inspect.Object) int { return cmp.Compare(label(a), label(b)) },
	"size": func(a, b *inspect.Object) int { return cmp.Compare(b.Size, a.Size) },
	"used": func(a, b *inspect.Object) int { return cmp.Compare(b.Used, a.Used) },
	"age":  func(a, b *inspect.Object) int { return lastUse(a).Compare(lastUse(b)) },
}

var orderNames = []string{"kind", "name", "size", "used", "age"}

// lastUse is the last sign of life, the zero time when there never was one.
func lastUse(o *inspect.Object) time.Time {
	t := o.LastUsed
	for _, u := range []time.Time{o.Modified, o.Created} {
		if u.After(t) {
			t = u
		}
	}
	return t
}

func lsTable(list []*inspect.Object, now time.Time, human bool) *table {
	t := &table{columns: []column{
		{name: "KIND"},
		{name: "NAME", least: 24},
		{name: "ID", right: true},
		{name: "SIZE", right: true},
		{name: "USED", right: true, drop: 5},
		{name: "MODE", drop: 2},
		{name: "OWNER", drop: 3},
		{name: "NATTCH", right: true, drop: 1},
		{name: "LAST USED", right: true, drop: 4},
		{name: "STATE"},
		{name: "HOLDERS", least: 12, drop: 6},
	}}
	size := func(n int64, atLeast bool) string {
		s := strconv.FormatInt(n, 10)
		switch {
		case n < 0:
			return "-"
		case human:
			s = humanSize(n)
		}
		if atLeast {
			s = ">=" + s
		}
		return s
	}
	var u users
	for _, o := range list {
		mode, owner, nattch := "-", "-", "-"
		if !o.AtLeast {
			mode, owner = octal(o), u.name(o.UID)
		}
		if o.Kind == inspect.KindSysV && !o.Foreign {
			nattch = strconv.FormatUint(o.NAttach, 10)
		}
		t.rows = append(t.rows, []string{
			string(o.Kind), label(o), identifier(o), size(o.Size, o.AtLeast), size(o.Used, false),
			mode, procfs.Printable(owner), nattch, shortAge(lastUse(o), now), stateWords(o), holderCell(o),
		})
	}
	return t
}

// identifier is the number by which the kind names its objects: a segment's
// id, a memfd's PID/FD, an inode of the memory of a connection.
func identifier(o *inspect.Object) string {
	if o.Kind == inspect.KindSysV {
		return strconv.Itoa(int(o.ID))
	}
	if o.Kind == inspect.KindShmnet {
		return strconv.FormatUint(o.Inode, 10)
	}
	if at, ok := strings.CutPrefix(o.Address, "memfd:"); ok {
		return at
	}
	return "-"
}

// stateWords is the state and what else is special, without spaces.
func stateWords(o *inspect.Object) string {
	words := []string{string(o.State())}
	if o.Locked {
		words = append(words, "locked")
	}
	if o.Huge > 0 {
		words = append(words, "huge")
	}
	if o.Foreign {
		words = append(words, "foreign")
	}
	return strings.Join(words, ",")
}

func holderCell(o *inspect.Object) string {
	s := holderList(o.Holders)
	if o.Unseen > 0 {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf("%d unseen", o.Unseen)
	}
	if s == "" {
		return "-"
	}
	return s
}

// tellPartial says on standard error what could not be seen, where that may
// make a difference to what was listed.
func tellPartial(env *Env, snap *inspect.Snapshot, list []*inspect.Object) {
	matters := slices.ContainsFunc(list, func(o *inspect.Object) bool { return o.Partial() })
	for _, r := range snap.Reasons {
		listing := r.Code == inspect.ReasonSysV || r.Code == inspect.ReasonMount
		if matters || listing {
			tellReason(env, r)
		}
	}
}

// tellReason says what could not be seen, and what that means for what was
// asked: one is for a single process, many for several.
func tellReason(env *Env, r inspect.Reason) {
	sayReason(env, r, "it may use more than is shown", "they may use more than is shown")
}

func sayReason(env *Env, r inspect.Reason, one, many string) {
	text := r.String()
	denied := r.Code == inspect.ReasonProcesses
	if denied && r.Processes == 1 {
		text += ": " + one
	} else if denied {
		text += ": " + many
	}
	env.noteln("%s", text)
	if h := r.Hint(); h != "" {
		fmt.Fprintln(env.Stderr, "hint:", h)
	}
}

// tellUnseen says after a removal that some may have the memory unseen.
func tellUnseen(env *Env, reasons []inspect.Reason) {
	for _, r := range reasons {
		sayReason(env, r, "if it has what was removed, it keeps it", "those that have what was removed keep it")
	}
}

func lsJSON(env *Env, snap *inspect.Snapshot, list []*inspect.Object) error {
	var u users
	doc := struct {
		Time    time.Time     `json:"time"`
		Objects []*jsonObject `json:"objects"`
		Partial bool          `json:"partial,omitempty"`
		Reasons []string      `json:"reasons,omitempty"`
	}{snap.Time.Local(), []*jsonObject{}, snap.Partial, reasonTexts(snap.Reasons)}
	for _, o := range list {
		doc.Objects = append(doc.Objects, toJSON(o, &u))
	}
	return writeJSON(env.Stdout, doc, true)
}
