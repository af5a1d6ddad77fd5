package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

func newRm(env *Env) *cobra.Command {
	var fl struct{ force, verbose, json bool }
	cmd := &cobra.Command{
		Use:     "rm ADDR...",
		Aliases: []string{"remove"},
		Short:   "Remove memory that nobody uses",
		Long: `Remove memory: its name or key is free at once, and the memory itself goes when
nobody has it any more.

What a process has attached, mapped or open is refused with exit code 7, and who
has it is said; --force removes it all the same, and those processes keep it
until they let go. What nobody uses is removed without a question. With several
addresses all that can be removed is, each is reported, and the exit code is
that of the first failure.

Whether others use it can be seen only as far as their processes can be looked
into; when that is not far enough, it is said. For System V segments the kernel
counts attachments, and that count is always right.`,
		Example: `  shm rm /greeting
  shm rm sysv:ftok=./shmfile,65
  shm rm sysv:id=3 sysv:id=4 /frames --force`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeAddress(env, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &removal{env: env, force: fl.force}
			err := r.all(cmd.Context(), args)
			switch {
			case fl.json:
				if err := r.json(); err != nil {
					return err
				}
			case fl.verbose || len(args) > 1:
				for _, d := range r.done {
					if d.err == nil {
						if _, err := fmt.Fprintln(env.Stdout, "removed", d.address); err != nil {
							return err
						}
					}
				}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&fl.force, "force", "f", false, "remove also what is in use")
	f.BoolVarP(&fl.verbose, "verbose", "v", false, "report what was removed, also a single one")
	f.BoolVar(&fl.json, "json", false, "report as JSON, one line an address")
	return cmd
}

// removal is the removal of several objects.
type removal struct {
	env   *Env
	force bool
	done  []removed
}

// removed is how it went with one.
type removed struct {
	address string
	object  *inspect.Object // nil when it was not found
	err     error
}

// all removes what it can, and gives all errors.
func (r *removal) all(ctx context.Context, addresses []string) error {
	snap, err := inspect.Scan(ctx, &inspect.Options{
		Dir:   r.env.dir(),
		Kinds: removalKinds(addresses),
	})
	if err != nil {
		return cause(ctx, err)
	}
	var errs []error
	blind := false
	for _, a := range addresses {
		d := removed{address: a}
		if strings.HasPrefix(a, inspect.ShmnetPrefix) {
			d.err = &usageError{fmt.Errorf("rm %s: the memory of a connection has no name to remove", a), "it goes with its processes: shm info shows them"}
		} else if d.err = existing(a); d.err == nil {
			d.object, d.err = snap.Find(a)
		}
		if d.err == nil {
			d.err = r.one(d.object, a)
			used, certain := d.object.InUse()
			blind = blind || d.err == nil && !used && !certain
		} else if known, ok := asAddress(a); ok && known.Kind == shm.Memfd {
			d.err = shm.Remove(a, r.env.options()) // says why not
		} else {
			d.err = reword(d.err, "rm")
		}
		r.done = append(r.done, d)
		errs = append(errs, d.err)
	}
	if blind {
		tellUnseen(r.env, snap.Reasons)
	}
	return failed(errs...)
}

// removalKinds are the kinds of objects among which the addresses are.
func removalKinds(addresses []string) []inspect.Kind {
	kinds := []inspect.Kind{}
	for _, s := range addresses {
		a, ok := asAddress(s)
		switch {
		case !ok:
		case a.Kind == shm.SysV:
			kinds = append(kinds, inspect.KindSysV)
		case a.Kind == shm.POSIX:
			kinds = append(kinds, inspect.KindPOSIX, inspect.KindSemaphore, inspect.KindTopic, inspect.KindOther)
		}
	}
	return kinds
}

func asAddress(s string) (shm.Address, bool) {
	a, err := shm.ParseAddress(s)
	return a, err == nil
}

// one removes an object that was found by an address.
func (r *removal) one(o *inspect.Object, address string) error {
	a, _ := asAddress(address) // found by it, so it is one
	address = a.String()
	fail := func(err error, hint string) error {
		return &shm.Error{Op: "rm", Kind: string(o.Kind), Name: address, Err: err, Hint: hint}
	}
	if o.Removed {
		return fail(fmt.Errorf("it was removed before, and goes when %s let go: %w", who(o), fs.ErrNotExist), "nothing is left to be done: it has no key any more")
	}
	if o.Kind == inspect.KindTopic {
		return fail(fmt.Errorf("it is a topic: %w", syscall.EISDIR), "shm topic rm removes it")
	}
	if used, _ := o.InUse(); used && !r.force {
		return fail(fmt.Errorf("%w: %s", shm.ErrBusy, uses(o)), "--force removes it"+kept)
	}
	var err error
	if o.Kind == inspect.KindSysV {
		// By identifier: the key may have another segment by now.
		err = sysv.Remove(o.ID)
		if errors.Is(err, syscall.EINVAL) {
			err = syscall.EIDRM
		}
	} else {
		err = posix.Unlink(a.Name, &posix.Options{Dir: r.env.dir()})
	}
	if err == nil {
		if used, _ := o.InUse(); used {
			r.env.noteln("%s: %s", address, uses(o)+kept)
		}
		return nil
	}
	hint := ""
	var e *shm.Error
	if errors.As(err, &e) {
		err, hint = e.Err, e.Hint
	}
	switch {
	case hint != "":
	case errors.Is(err, fs.ErrPermission):
		hint = "its owner (shm info shows who that is) or root may remove it"
	case errors.Is(err, syscall.EISDIR):
		hint = "it is no shared memory; rmdir removes directories"
	}
	return fail(err, hint)
}

// existing refuses addresses that never lead to what exists.
func existing(address string) error {
	if a, ok := asAddress(address); ok && a.By == shm.ByPrivate {
		return &usageError{fmt.Errorf("sysv:private makes a new segment and finds none"), "name it by its identifier, sysv:id=N: shm ls shows it"}
	}
	return nil
}

// reword gives an error of the module the name of the verb.
func reword(err error, op string) error {
	e, ok := err.(*shm.Error)
	if !ok || e.Op == "address" || e.Op == "ftok" {
		return err
	}
	c := *e
	c.Op = op
	c.Hint = strings.Replace(c.Hint, "list what exists", "shm ls shows what exists", 1)
	return &c
}

// who names the processes that have an object.
func who(o *inspect.Object) string {
	s := holderList(o.Holders)
	if o.Unseen > 0 || s == "" && o.NAttach > 0 {
		if s != "" {
			s += " and "
		}
		s += "processes that cannot be seen"
	}
	if s == "" {
		return "processes that cannot be seen"
	}
	return s
}

// uses says how an object is used, and by whom.
func uses(o *inspect.Object) string {
	if o.Kind == inspect.KindSysV {
		return fmt.Sprintf("attached %s by %s", times(o.NAttach), who(o))
	}
	mapped := slices.ContainsFunc(o.Holders, func(h inspect.Holder) bool { return h.Maps > 0 })
	if mapped {
		return "mapped by " + who(o)
	}
	return "open in " + who(o)
}

// kept ends a note on who uses what was removed.
const kept = "; the memory goes when nobody has it any more"

func times(n uint64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

func (r *removal) json() error {
	var u users
	for _, d := range r.done {
		line := struct {
			Address string      `json:"address"`
			Removed bool        `json:"removed"`
			Error   string      `json:"error,omitempty"`
			Code    int         `json:"code,omitempty"` // the exit code that it would have alone
			Object  *jsonObject `json:"object,omitempty"`
		}{Address: d.address, Removed: d.err == nil, Code: exitCode(d.err)}
		if d.err != nil {
			line.Error = strings.TrimPrefix(d.err.Error(), "shm: ")
		}
		if d.object != nil {
			line.Object = toJSON(d.object, &u)
		}
		if err := writeJSON(r.env.Stdout, line, false); err != nil {
			return err
		}
	}
	return nil
}
