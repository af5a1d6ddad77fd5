package cli

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/procfs"
)

// filter selects objects; ls and watch have it.
type filter struct {
	kinds    []string
	user     string
	mine     bool
	unused   bool
	local    bool
	minSize  sizeValue
	patterns []string

	uid   uint32
	byUID bool   // uid counts
	found []bool // by pattern: something matched
}

var kindNames = []string{"sysv", "posix", "semaphore", "memfd", "shmnet", "topic", "anonymous", "other"}

func (fl *filter) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&fl.kinds, "kind", nil, "only these kinds: "+strings.Join(kindNames, ", ")+"; anonymous alone is not listed unasked")
	f.StringVar(&fl.user, "user", "", "only what this user owns, by name or number")
	f.BoolVar(&fl.mine, "mine", false, "only what is yours")
	f.BoolVar(&fl.unused, "unused", false, "only what nobody was seen to use")
	f.BoolVar(&fl.local, "local", false, "leave out what belongs to other namespaces (containers)")
	f.Var(&fl.minSize, "min-size", "only what has this many bytes or more")
	cmd.MarkFlagsMutuallyExclusive("user", "mine")
	completeFlag(cmd, "kind", kindNames...)
}

// prepare checks what was asked for.
func (fl *filter) prepare(patterns []string) error {
	for _, k := range fl.kinds {
		if !slices.Contains(kindNames, k) {
			return fmt.Errorf("there is no kind %q: %s", k, strings.Join(kindNames, ", "))
		}
	}
	for _, p := range patterns {
		if _, err := path.Match(flat(p), ""); err != nil {
			return fmt.Errorf("%q is no pattern: %w", p, err)
		}
		fl.patterns = append(fl.patterns, flat(p))
	}
	fl.found = make([]bool, len(patterns))
	switch {
	case fl.mine:
		fl.uid, fl.byUID = uint32(os.Geteuid()), true
	case fl.user != "":
		var err error
		if fl.uid, err = userID(fl.user); err != nil {
			return err
		}
		fl.byUID = true
	}
	return nil
}

// options says what the scan has to find.
func (fl *filter) options(env *Env) *inspect.Options {
	opts := &inspect.Options{Dir: env.dir()}
	for _, k := range fl.kinds {
		opts.Kinds = append(opts.Kinds, inspect.Kind(k))
	}
	return opts
}

func (fl *filter) match(o *inspect.Object) bool {
	named := fl.named(o) // first: it notes what was found
	switch {
	case !named,
		fl.byUID && (o.AtLeast || o.UID != fl.uid),
		o.Size < fl.minSize.n,
		fl.local && o.Foreign:
		return false
	case fl.unused:
		used, _ := o.InUse()
		return !used && !o.Removed
	}
	return true
}

// named reports whether a pattern fits, or there is none.
func (fl *filter) named(o *inspect.Object) bool {
	if len(fl.patterns) == 0 {
		return true
	}
	subjects := []string{o.Address}
	for _, n := range append([]string{o.Name}, o.Names...) {
		bare := strings.TrimPrefix(n, "/")
		subjects = append(subjects, n, bare)
		switch o.Kind {
		case inspect.KindMemfd:
		case inspect.KindShmnet:
			subjects = append(subjects, inspect.ShmnetPrefix+n)
		default:
			subjects = append(subjects, "posix:"+n, "posix:"+bare)
		}
	}
	if o.Kind == inspect.KindSysV {
		id := strconv.Itoa(int(o.ID))
		subjects = append(subjects, label(o), id, "sysv:id="+id, "sysv:"+label(o))
	}
	matched := false
	for i, p := range fl.patterns {
		for _, s := range subjects {
			if ok, _ := path.Match(p, flat(s)); ok && s != "" {
				fl.found[i], matched = true, true
			}
		}
	}
	return matched
}

// missing gives an error for each pattern that is no pattern but one thing's
// name, and found nothing.
func (fl *filter) missing() error {
	var all []error
	for i, p := range fl.patterns {
		if name := unflat(p); !fl.found[i] && !strings.ContainsAny(name, "*?[\\") {
			all = append(all, &shm.Error{Op: "ls", Name: procfs.Printable(name), Err: fmt.Errorf("nothing that was looked for is called so: %w", syscall.ENOENT)})
		}
	}
	return failed(all...)
}

// flat takes the slashes out of a pattern's sight: in names of shared memory
// they separate nothing.
func flat(s string) string { return strings.ReplaceAll(s, "/", "\x01") }

func unflat(s string) string { return strings.ReplaceAll(s, "\x01", "/") }

// completeFlag completes a flag's value from a fixed list.
func completeFlag(cmd *cobra.Command, name string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}
