package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
)

func newCreate(env *Env) *cobra.Command {
	mode := modeValue(0o600)
	size, huge := sizeValue{least: 1}, sizeValue{least: 1}
	var sparse, asJSON bool
	cmd := &cobra.Command{
		Use:   "create ADDR --size BYTES",
		Short: "Create memory, filled with zeros and reserved",
		Long: `Create memory of a given size, all zeros, and print its address.

A POSIX object is complete and its memory reserved before it gets its name, so
that nobody ever sees it half-made and no later store can fail for want of
memory. What exists is never touched: that is an error. sysv:private makes a
System V segment without a key, whose address is its identifier.`,
		Example: `  shm create /frames --size 64M --mode 660
  shm create sysv:0x1234 --size 4096
  shm create sysv:private --size 2M --huge 2M`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !size.set {
				return usage(cmd, fmt.Errorf("--size is needed"))
			}
			opts := env.options()
			opts.Mode, opts.Sparse, opts.Huge = fs.FileMode(mode), sparse, huge.n
			s, err := create(args[0], size.n, opts)
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			if asJSON {
				o, err := find(cmd.Context(), env, s.Address())
				if err != nil {
					return err
				}
				return writeJSON(env.Stdout, toJSON(o, &users{}), true)
			}
			_, err = fmt.Fprintln(env.Stdout, s.Address())
			return err
		},
	}
	f := cmd.Flags()
	f.Var(&size, "size", "size in bytes; K, M, G count by 1024")
	f.Var(&mode, "mode", "permissions; the umask takes from those of POSIX objects")
	f.Var(&huge, "huge", "use huge pages of this size (System V); 1 for the default size")
	f.BoolVar(&sparse, "sparse", false, "do not reserve the memory")
	f.BoolVar(&asJSON, "json", false, "write what was made as JSON, as info does")
	return cmd
}

// create is shm.Create for things that outlive the command.
func create(address string, size int64, opts *shm.Options) (*shm.Segment, error) {
	a, err := shm.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if a.Kind == shm.Memfd {
		return nil, &shm.Error{Op: "create", Kind: string(a.Kind), Name: a.String(), Err: syscall.EINVAL,
			Hint: "a memfd lives only as long as a process that holds it, and this command ends: create a posix: or sysv: object"}
	}
	s, err := shm.Create(address, size, opts)
	return s, rephrase(err)
}

// rephrase gives an error's hint in terms of the command, where the library's
// speaks of flags of its calls.
func rephrase(err error) error {
	e, ok := err.(*shm.Error)
	if !ok {
		return err
	}
	c := *e
	if errors.Is(err, fs.ErrExist) {
		c.Hint = "shm info shows what is there; shm write writes into it, and shm rm removes it"
	}
	c.Hint = strings.Replace(c.Hint, "leave SHM_HUGETLB out", "leave --huge out", 1)
	return &c
}
