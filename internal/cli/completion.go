package cli

import (
	"github.com/spf13/cobra"
)

func newCompletion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Write a shell's completion script",
		Long: `Write the script by which a shell completes verbs, flags, and the names and keys
of what exists.

  bash   source <(shm completion bash)
         or put it into /etc/bash_completion.d/shm
  zsh    shm completion zsh > "${fpath[1]}/_shm"
  fish   shm completion fish > ~/.config/fish/completions/shm.fish`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "zsh":
				return cmd.Root().GenZshCompletion(env.Stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(env.Stdout, true)
			}
			return cmd.Root().GenBashCompletionV2(env.Stdout, true)
		},
	}
}
