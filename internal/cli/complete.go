package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/procfs"
)

// completeAddress completes the first n arguments, or all if n is negative,
// with the addresses of what exists, in the form that was begun: a name as
// /name, name or posix:/name, a segment by key or identifier.
func completeAddress(env *Env, n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// Memfds are found only by looking into every process, so they have
		// to be asked for.
		memfds := strings.HasPrefix(begun, "memfd:") || strings.HasPrefix(begun, inspect.ShmnetPrefix)
		opts := &inspect.Options{Dir: env.dir(), NoHolders: !memfds,
			Kinds: []inspect.Kind{inspect.KindSysV, inspect.KindPOSIX, inspect.KindSemaphore}}
		if memfds {
			opts.Kinds = []inspect.Kind{inspect.KindMemfd, inspect.KindShmnet}
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		snap, err := inspect.Scan(ctx, opts)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []cobra.Completion
		for i := range snap.Objects {
			o := &snap.Objects[i]
			for _, form := range forms(o, begun) {
				if strings.HasPrefix(form, begun) {
					all = append(all, cobra.CompletionWithDesc(form, completionNote(o)))
				}
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}

// forms gives the addresses of an object that fit what was begun.
func forms(o *inspect.Object, begun string) []string {
	switch {
	case o.Removed || o.Foreign || o.Address == "":
		return nil
	case o.Kind == inspect.KindSysV:
		if id := o.ID.String(); o.Key == 0 || strings.HasPrefix(begun, "sysv:i") {
			return []string{id}
		}
		return []string{o.Key.String()}
	case o.Kind == inspect.KindMemfd, o.Kind == inspect.KindShmnet:
		return []string{o.Address}
	}
	var all []string
	for _, name := range o.Names {
		if procfs.Printable(name) != name {
			continue // no shell can be given it so
		}
		bare := name[1:]
		switch {
		case begun == "" || strings.HasPrefix(begun, "/"):
			all = append(all, name)
		case strings.HasPrefix(begun, "posix:/"):
			all = append(all, "posix:"+name)
		case strings.HasPrefix(begun, "posix:"):
			all = append(all, "posix:"+bare)
		default:
			all = append(all, "posix:"+name)
			if !strings.Contains(bare, ":") {
				all = append(all, bare)
			}
		}
	}
	return all
}

// completionNote is what a shell shows beside a completion.
func completionNote(o *inspect.Object) string {
	s := string(o.Kind) + ", " + humanSize(o.Size)
	if o.Kind == inspect.KindSysV {
		s += ", " + plural(o.NAttach, "attachment")
	}
	if (o.Kind == inspect.KindMemfd || o.Kind == inspect.KindShmnet) && o.Name != "" {
		s += ", " + procfs.Printable(o.Name)
	}
	return s
}
