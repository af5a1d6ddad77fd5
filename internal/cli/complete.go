package cli

import (
	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// completeAddress completes the first n arguments with the addresses of what
// exists.
func completeAddress(env *Env, n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []cobra.Completion
		for st, err := range posix.List(&posix.Options{Dir: env.dir()}) {
			if err == nil && st.Regular() {
				all = append(all, st.Name, posix.Address(st.Name))
			}
		}
		if segments, err := sysv.List(); err == nil {
			for _, s := range segments {
				if s.Key != sysv.IPC_PRIVATE {
					all = append(all, s.Key.String())
				}
				all = append(all, s.ID.String())
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}
