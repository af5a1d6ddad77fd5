package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
)

type writeFlags struct {
	size      sizeValue
	offset    sizeValue
	mode      modeValue
	exclusive bool
	str       bool
}

func newWrite(env *Env) *cobra.Command {
	fl := writeFlags{mode: 0o600}
	cmd := &cobra.Command{
		Use:   "write ADDR [DATA]",
		Short: "Write bytes into memory, creating it when absent",
		Long: `Write DATA, or standard input, into memory, and create it when there is none:
of --size bytes, else of the data's length.

On a terminal it asks for one line, which keeps its newline. Memory that
exists keeps its size, and its bytes outside what is written; data that does
not fit is an error, and nothing is written then. For sysv:private the address
of the new segment is printed.`,
		Example: `  shm write /greeting 'hello'
  shm write sysv:ftok=./shmfile,65 --size 1024 --mode 666
  tar c . | shm write /archive
  shm write -s /tho_mmap 'a C string' --size 100`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeAddress(env, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWrite(cmd.Context(), env, &fl, args)
		},
	}
	f := cmd.Flags()
	f.Var(&fl.size, "size", "size of new memory; K, M, G count by 1024")
	f.Var(&fl.offset, "offset", "write from this byte on")
	f.Var(&fl.mode, "mode", "permissions of new memory")
	f.BoolVar(&fl.exclusive, "exclusive", false, "fail when the memory exists")
	f.BoolVarP(&fl.str, "string", "s", false, "append a NUL byte, as C strings end")
	return cmd
}

func runWrite(ctx context.Context, env *Env, fl *writeFlags, args []string) error {
	opts := env.options()
	opts.Mode = fs.FileMode(fl.mode)
	var s *shm.Segment
	if !fl.exclusive {
		var err error
		s, err = openExisting(args[0], opts)
		if err != nil {
			return err
		}
	}
	// What is there is opened before the input is read, and its size bounds
	// how much is read: an endless input ends in an error, not in all of the
	// memory.
	limit := int64(-1)
	switch {
	case s != nil:
		defer s.Close()
		limit = s.Size() - fl.offset.n
	case fl.size.set:
		limit = fl.size.n - fl.offset.n
	}
	if limit < 0 && (s != nil || fl.size.set) {
		return tooLarge(args[0], fl.offset.n, 0, limit+fl.offset.n)
	}
	data, err := input(ctx, env, fl, args[1:], limit)
	if err != nil {
		return err
	}
	if limit >= 0 && int64(len(data)) > limit {
		return tooLarge(args[0], fl.offset.n, int64(len(data)), limit+fl.offset.n)
	}
	if s == nil {
		size := fl.size.n
		if !fl.size.set {
			if size = fl.offset.n + int64(len(data)); size == 0 {
				return &shm.Error{Op: "write", Name: args[0], Err: fmt.Errorf("there is no data, and memory cannot be empty: %w", syscall.EINVAL), Hint: "give data, or a --size"}
			}
		}
		if s, err = create(args[0], size, opts); err != nil {
			return err
		}
		defer s.Close()
		if s.Address() != args[0] {
			if a, err := shm.ParseAddress(args[0]); err == nil && a.By == shm.ByPrivate {
				fmt.Fprintln(env.Stdout, s.Address())
			}
		}
	}
	_, err = s.WriteAt(data, fl.offset.n)
	return err
}

// openExisting opens memory for writing; nil when there is none.
func openExisting(address string, opts *shm.Options) (*shm.Segment, error) {
	a, err := shm.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if a.By == shm.ByPrivate {
		return nil, nil
	}
	s, err := shm.Open(address, opts)
	if errors.Is(err, fs.ErrNotExist) && a.By != shm.ByID && a.Kind != shm.Memfd && !isFtok(err) {
		return nil, nil
	}
	return s, err
}

// isFtok tells a missing file of ftok from a missing segment.
func isFtok(err error) bool {
	var e *shm.Error
	return errors.As(err, &e) && e.Op == "ftok"
}

func tooLarge(address string, offset, n, size int64) error {
	return &shm.Error{Op: "write", Name: address,
		Err:  fmt.Errorf("%d bytes or more at offset %d do not fit into %d bytes: %w", n, offset, size, syscall.EINVAL),
		Hint: "nothing was written; memory cannot be resized: remove it and create it with a larger --size"}
}

// input gives the bytes to write, at most one more than limit when that is
// not negative.
func input(ctx context.Context, env *Env, fl *writeFlags, args []string, limit int64) ([]byte, error) {
	var data []byte
	if len(args) > 0 {
		data = []byte(args[0])
	} else {
		if _, tty := terminal(env.Stdin); tty {
			fmt.Fprint(env.Stderr, "Message to shared memory: ")
		}
		var err error
		if data, err = readAll(ctx, env.Stdin, limit); err != nil {
			return nil, err
		}
	}
	if fl.str {
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return nil, &shm.Error{Op: "write", Err: fmt.Errorf("the data has a NUL byte at %d, where a C string would end: %w", i, syscall.EINVAL), Hint: "leave out -s to write bytes"}
		}
		data = append(data, 0)
	}
	return data, nil
}

// readAll reads a line from a terminal, else everything, up to one byte more
// than limit. An interrupt ends the wait.
func readAll(ctx context.Context, r io.Reader, limit int64) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	ch := make(chan result, 1)
	go func() {
		var res result
		if _, tty := terminal(r); tty {
			res.data, res.err = bufio.NewReader(r).ReadBytes('\n')
			if res.err == io.EOF {
				res.err = nil
			}
		} else {
			if limit >= 0 {
				r = io.LimitReader(r, limit+1)
			}
			var b bytes.Buffer
			if f, ok := r.(*os.File); ok {
				if st, err := f.Stat(); err == nil && st.Mode().IsRegular() {
					b.Grow(int(st.Size()) + bytes.MinRead)
				}
			}
			_, res.err = b.ReadFrom(r)
			res.data = b.Bytes()
		}
		ch <- res
	}()
	select {
	case res := <-ch:
		if res.err != nil {
			return nil, fmt.Errorf("standard input: %w", res.err)
		}
		return res.data, nil
	case <-ctx.Done():
		return nil, cause(ctx, ctx.Err())
	}
}
