package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
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
	fl := writeFlags{mode: 0o600, size: sizeValue{least: 1}}
	cmd := &cobra.Command{
		Use:   "write ADDR [DATA]",
		Short: "Write bytes into memory, creating it when absent",
		Long: `Write DATA, or standard input, into memory, and create it when there is none:
of --size bytes, else of the data's length.

On a terminal it asks for one line, which keeps its newline. Memory that
exists keeps its size, and its bytes outside what is written; data that does
not fit, or a --size beyond what is there, is an error, and nothing is written
then. For sysv:private the address of the new segment is printed.`,
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
	f.Var(&fl.size, "size", "size of new memory, and the least of memory that exists; K, M, G count by 1024")
	f.Var(&fl.offset, "offset", "write from this byte on")
	f.Var(&fl.mode, "mode", "permissions of new memory")
	f.BoolVar(&fl.exclusive, "exclusive", false, "fail when the memory exists")
	f.BoolVarP(&fl.str, "string", "s", false, "append a NUL byte, as C strings end")
	return cmd
}

func runWrite(ctx context.Context, env *Env, fl *writeFlags, args []string) error {
	opts := env.options()
	opts.Mode = fs.FileMode(fl.mode)
	a, err := shm.ParseAddress(args[0])
	if err != nil {
		return err
	}
	w := &writing{address: a, fl: fl, opts: opts}
	defer w.close()
	// What is there is opened before the input is read, and its size bounds
	// how much is read: an endless input ends in an error, not in all of the
	// memory.
	if err := w.open(); err != nil {
		return err
	}
	if err := w.fits(0); err != nil {
		return err
	}
	room := w.room(env, len(args) > 1)
	check := func(n int64) error {
		if room.scarce(n) {
			return w.fail(fmt.Errorf("more than %d bytes come in, and there is no room for more: %w", room.spare, shm.ErrNoSpace), "shm info shows what is free; write it in parts, with --offset")
		}
		return w.fits(n)
	}
	if len(args) == 1 {
		// Of a file it is known before it is read.
		if err := check(max(0, remaining(env.Stdin))); err != nil {
			return err
		}
	}
	data, err := input(ctx, env, fl, args[1:], room)
	if err != nil {
		return err
	}
	if err := check(int64(len(data))); err != nil {
		return err
	}
	if w.s == nil {
		if err := w.create(int64(len(data))); err != nil {
			return err
		}
		if a.By == shm.ByPrivate {
			if _, err := fmt.Fprintln(env.Stdout, w.s.Address()); err != nil {
				return err
			}
		}
	}
	_, err = w.s.WriteAt(data, fl.offset.n)
	return err
}

// writing is one run of the verb.
type writing struct {
	address shm.Address
	fl      *writeFlags
	opts    *shm.Options
	s       *shm.Segment // nil while there is no memory
}

func (w *writing) close() {
	if w.s != nil {
		w.s.Close()
	}
}

// open opens the memory if there is some.
func (w *writing) open() error {
	if w.fl.exclusive {
		// Said now, not when the input has been read; creating says it again.
		if _, err := shm.Stat(w.address.String(), w.opts); err == nil && w.address.By != shm.ByPrivate {
			return w.fail(syscall.EEXIST, "shm info shows what is there; leave out --exclusive to write into it")
		}
		return nil
	}
	s, err := openExisting(w.address, w.opts)
	if s == nil || err != nil {
		return err
	}
	w.s = s
	if s.Size() < w.fl.size.n {
		return w.fail(fmt.Errorf("it has %d bytes, and --size asks for %d: %w", s.Size(), w.fl.size.n, syscall.EINVAL), hintSize)
	}
	return nil
}

// create makes the memory. Whoever was faster is as good as if it had been
// there before.
func (w *writing) create(n int64) error {
	size := w.fl.size.n
	if !w.fl.size.set {
		if size = w.fl.offset.n + n; size == 0 {
			return w.fail(fmt.Errorf("there is no data, and memory cannot be empty: %w", syscall.EINVAL), "give data, or a --size")
		}
	}
	s, err := create(w.address.String(), size, w.opts)
	if errors.Is(err, fs.ErrExist) && !w.fl.exclusive {
		if err := w.open(); err != nil {
			return err
		}
		if w.s != nil {
			return w.fits(n)
		}
	}
	w.s = s
	return err
}

// room is how many bytes are read at most before it is clear that they will
// not do.
type room struct {
	size  int64 // how many can be written
	spare int64 // for how many there is memory
}

// limit is the lesser of both.
func (r room) limit() int64 { return min(r.size, r.spare) }

// scarce reports whether it was want of memory that ended n bytes.
func (r room) scarce(n int64) bool { return n > r.spare && r.spare < r.size }

// room looks how much there is; given says that the data came with the command.
func (w *writing) room(env *Env, given bool) room {
	r := room{size: math.MaxInt64 - 1, spare: math.MaxInt64 - 1}
	switch {
	case w.s != nil:
		r.size = max(w.s.Size()-w.fl.offset.n, 0)
	case w.fl.size.set:
		r.size = max(w.fl.size.n-w.fl.offset.n, 0)
	}
	if given {
		return r
	}
	// All that comes in stands in this process first, and then in the memory
	// too. Of a stream nobody knows the end: its buffer doubles, and while it
	// does stands there twice.
	r.spare = spareMemory() / 2
	if remaining(env.Stdin) < 0 {
		r.spare = spareMemory() / 3
	}
	if w.s == nil && w.address.Kind == shm.POSIX {
		if free := limits(w.opts.Dir).POSIX.Free; free != nil {
			r.spare = int64(min(uint64(r.spare), *free))
		}
	}
	return r
}

// fits refuses n bytes for which there is no room.
func (w *writing) fits(n int64) error {
	size := w.fl.size.n
	switch {
	case w.s != nil:
		size = w.s.Size()
	case !w.fl.size.set:
		return nil
	}
	if room := size - w.fl.offset.n; room >= n {
		return nil
	}
	text := "the data does not fit: there is room for " + plural(size, "byte")
	if at := w.fl.offset.n; at > 0 {
		text += fmt.Sprintf(", and it begins at %d", at)
	}
	return w.fail(fmt.Errorf("%s: %w", text, syscall.EINVAL), "nothing was written; "+hintSize)
}

func (w *writing) fail(err error, hint string) error {
	return &shm.Error{Op: "write", Kind: string(w.address.Kind), Name: w.address.String(), Err: err, Hint: hint}
}

const hintSize = "memory cannot be resized: remove it and create it with a larger --size"

// openExisting opens memory for writing; nil when there is none, and the
// address is one under which it can be made.
func openExisting(a shm.Address, opts *shm.Options) (*shm.Segment, error) {
	if a.By == shm.ByPrivate {
		return nil, nil
	}
	s, err := shm.Open(a.String(), opts)
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

// input gives the bytes to write, at most one more than there is room for.
func input(ctx context.Context, env *Env, fl *writeFlags, args []string, room room) ([]byte, error) {
	var data []byte
	if len(args) > 0 {
		data = []byte(args[0])
	} else {
		if _, tty := terminal(env.Stdin); tty {
			fmt.Fprint(env.Stderr, "Message to shared memory: ")
		}
		var err error
		if data, err = readAll(ctx, env, room); err != nil {
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
// than there is room for. An interrupt ends the wait.
func readAll(ctx context.Context, env *Env, room room) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	ch := make(chan result, 1)
	go func() {
		var res result
		if _, tty := terminal(env.Stdin); tty {
			res.data, res.err = bufio.NewReader(env.Stdin).ReadBytes('\n')
			if res.err == io.EOF {
				res.err = nil
			}
		} else {
			res.data, res.err = readToEnd(env, room)
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

// readToEnd reads what is no terminal.
func readToEnd(env *Env, room room) ([]byte, error) {
	var b bytes.Buffer
	total := remaining(env.Stdin)
	if total >= 0 {
		total = min(total, room.limit()+1)
		b.Grow(int(total) + bytes.MinRead)
	}
	r := io.LimitReader(env.Stdin, room.limit()+1)
	p := newProgress(env, "read", total)
	defer p.end()
	_, err := b.ReadFrom(progressReader{r, p})
	return b.Bytes(), err
}

// remaining is how many bytes a regular file still has, -1 of anything else.
func remaining(r io.Reader) int64 {
	f, ok := r.(*os.File)
	if !ok {
		return -1
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return -1
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return -1
	}
	return max(0, st.Size()-at)
}
