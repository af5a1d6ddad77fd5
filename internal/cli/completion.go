package cli

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"
)

func newCompletion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Write a shell's completion script",
		Long: `Write the script by which a shell completes verbs, flags, and the names and keys
of what exists.

  bash   source <(shm completion bash)
         or put it into /etc/bash_completion.d/shm;
         needs the package bash-completion
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
			return bashCompletion(cmd.Root(), env.Stdout)
		},
	}
}

// bashCompletion writes the script for bash. For bash a word ends at ":" and at
// "=", and what it has of an address already must be cut from the proposals: up
// to the last of them. cobra cuts at ":" first, after which "sysv:id=" is not
// found any more, and the address would become sysv:id=id=7.
func bashCompletion(root *cobra.Command, w io.Writer) error {
	var b bytes.Buffer
	if err := root.GenBashCompletionV2(&b, true); err != nil {
		return err
	}
	const colon, equals = `__shm_handle_special_char "$cur" :`, `__shm_handle_special_char "$cur" =`
	script := bytes.Replace(b.Bytes(), []byte(colon), []byte("\x00"), 1)
	script = bytes.Replace(script, []byte(equals), []byte(colon), 1)
	script = bytes.Replace(script, []byte("\x00"), []byte(equals), 1)
	_, err := w.Write(script)
	return err
}
