package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/posix"
)

type readFlags struct {
	offset  sizeValue
	length  sizeValue
	str     bool
	hex     bool
	remove  bool
	private bool
}

func newRead(env *Env) *cobra.Command {
	var fl readFlags
	cmd := &cobra.Command{
		Use:   "read ADDR",
		Short: "Write the bytes of memory to standard output",
		Long: `Write the exact bytes of memory to standard output: all of them, or --length
from --offset on.

On a terminal, bytes that are not text are shown as a hex dump. --rm removes
the memory after it was read, as the reader of many a tutorial does, and says
on standard error who still has it; those keep it until they let go.

Reading takes no memory, except of a System V segment and with --private: there
pages that nobody has written come into being when they are looked at.`,
		Example: `  shm read /greeting
  shm read -s sysv:ftok=./shmfile,65 --rm
  shm read /frames --offset 4096 --length 64 -x`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeAddress(env, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRead(cmd.Context(), env, &fl, args[0])
		},
	}
	f := cmd.Flags()
	f.Var(&fl.offset, "offset", "read from this byte on")
	f.Var(&fl.length, "length", "read so many bytes at most")
	f.BoolVarP(&fl.str, "string", "s", false, "read up to the first NUL byte, and end with a newline")
	f.BoolVarP(&fl.hex, "hex", "x", false, "show a hex dump")
	f.BoolVar(&fl.remove, "rm", false, "remove the memory after reading")
	f.BoolVar(&fl.private, "private", false, "map it privately (copy-on-write)")
	cmd.MarkFlagsMutuallyExclusive("string", "hex")
	return cmd
}

func runRead(ctx context.Context, env *Env, fl *readFlags, address string) error {
	if err := existing(address); err != nil {
		return err
	}
	if a, ok := asAddress(address); ok && a.Kind == shm.Memfd && fl.remove {
		return shm.Remove(address, env.options()) // says why not
	}
	opts := env.options()
	opts.ReadOnly, opts.Private = true, fl.private
	s, err := shm.Open(address, opts)
	if err != nil {
		if e, ok := err.(*shm.Error); ok && fl.private && errors.Is(err, errors.ErrUnsupported) {
			c := *e
			c.Hint = "leave --private out"
			err = &c
		}
		return err
	}
	defer s.Close()
	if fl.offset.n > s.Size() {
		return &shm.Error{Op: "read", Name: s.Address(), Err: fmt.Errorf("offset %d is behind the end at %d: %w", fl.offset.n, s.Size(), syscall.EINVAL), Hint: "shm info shows the size"}
	}
	length := s.Size() - fl.offset.n
	if fl.length.set {
		length = min(length, fl.length.n)
	}
	bytes, done := contents(env, fl, s)
	err = show(ctx, env, fl, io.NewSectionReader(bytes, fl.offset.n, length))
	done()
	if err != nil {
		return err
	}
	if !fl.remove {
		return nil
	}
	return removeRead(ctx, env, s)
}

// contents is where the bytes are read, and what to call when that is done.
// What is a file is read as one: a load from a page that nobody has stored to
// takes memory for it, and an object that was only given a size may be larger
// than all memory there is.
func contents(env *Env, fl *readFlags, s *shm.Segment) (io.ReaderAt, func()) {
	mapped := func() {}
	if fl.private {
		return s, mapped
	}
	if f := s.Memfd(); f != nil {
		return &fileContents{f, s}, mapped
	}
	a, ok := asAddress(s.Address())
	if !ok || a.Kind != shm.POSIX {
		return s, mapped
	}
	obj, err := posix.Open(a.Name, posix.O_RDONLY, 0, &posix.Options{Dir: env.dir()})
	if err != nil {
		return s, mapped // it has lost its name
	}
	st, err := obj.Stat()
	info, err2 := s.Info()
	if err != nil || err2 != nil || st.Dev != info.Dev || st.Inode != info.Inode {
		obj.Close()
		return s, mapped // the name is another's
	}
	return &fileContents{obj, s}, func() { obj.Close() }
}

// fileContents are the bytes of a Segment, read from its file.
type fileContents struct {
	file io.ReaderAt
	s    *shm.Segment
}

func (c *fileContents) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.file.ReadAt(p, off)
	if at := off + int64(n); err == io.EOF && n < len(p) && at < c.s.Size() {
		err = &shm.Error{Op: "read", Name: c.s.Address(), Err: fmt.Errorf("%w: it ends at %d now", shm.ErrTruncated, at)}
	}
	return n, err
}

// show writes the bytes in the form that was asked for.
func show(ctx context.Context, env *Env, fl *readFlags, r *io.SectionReader) error {
	out := &cancelable{ctx, env.Stdout}
	_, tty := terminal(env.Stdout)
	switch {
	case fl.str:
		text, err := untilNUL(r)
		if err != nil {
			return err
		}
		if tty && !isText(text, false) {
			return hexDump(out, bytes.NewReader(text), fl.offset.n)
		}
		_, err = out.Write(append(text, '\n'))
		return err
	case fl.hex:
		return hexDump(out, r, fl.offset.n)
	case tty:
		text, ok, err := soleText(r)
		if err != nil {
			return err
		}
		if ok {
			_, err := out.Write(text)
			return err
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return hexDump(out, r, fl.offset.n)
	}
	p := newProgress(env, "read", r.Size())
	defer p.end()
	_, err := io.CopyBuffer(progressWriter{out, p}, struct{ io.Reader }{r}, make([]byte, 1<<20))
	return err
}

// soleText gives the bytes before the first NUL byte, and whether they are
// text and all behind them are zeros: a terminal shows nothing for those, and
// some show blanks.
func soleText(r *io.SectionReader) (text []byte, ok bool, err error) {
	// Most of what is no text shows it at once.
	head := make([]byte, 4096)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, false, err
	}
	if !isText(bytes.TrimRight(head[:n], "\x00"), true) {
		return nil, false, nil
	}
	if text, err = untilNUL(r); err != nil || !isText(text, false) {
		return nil, false, err
	}
	rest := io.NewSectionReader(r, int64(len(text)), r.Size()-int64(len(text)))
	return text, onlyZeros(rest), nil
}

// untilNUL gives the bytes before the first NUL byte, or all.
func untilNUL(r io.Reader) ([]byte, error) {
	var text []byte
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Read(buf)
		if i := bytes.IndexByte(buf[:n], 0); i >= 0 {
			return append(text, buf[:i]...), nil
		}
		text = append(text, buf[:n]...)
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func onlyZeros(r io.Reader) bool {
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) != 0 {
			return false
		}
		if err != nil {
			return err == io.EOF
		}
	}
}

// isText reports whether a terminal can show the bytes as they are. A piece of
// a text may end inside a character.
func isText(b []byte, piece bool) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			return piece && !utf8.FullRune(b)
		}
		if r != '\n' && r != '\t' && r != '\r' && unicode.IsControl(r) {
			return false
		}
		b = b[n:]
	}
	return true
}

// cancelable ends writing when the context ends.
type cancelable struct {
	ctx context.Context
	w   io.Writer
}

func (c *cancelable) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, cause(c.ctx, err)
	}
	return c.w.Write(p)
}

// removeRead removes memory that was read, whoever uses it, and says who that
// is: they keep it.
func removeRead(ctx context.Context, env *Env, s *shm.Segment) error {
	// Ourselves we still have it; so what is found is what was read.
	address := s.Address()
	if info, err := s.Info(); err == nil && info.SysV != nil {
		address = info.SysV.ID.String() // whatever its key or file means by now
	}
	others, blind := stillUsing(ctx, env, address)
	err := s.Remove()
	switch {
	case errors.Is(err, shm.ErrRemoved):
		env.noteln("%s: somebody else has removed or replaced it meanwhile", s.Address())
		return nil
	case err != nil:
		return reword(err, "rm")
	}
	if others != "" {
		env.noteln("%s: removed, and %s", s.Address(), others+kept)
	}
	tellUnseen(env, blind)
	return nil
}

// stillUsing says who but this process uses an object, and why somebody may
// be missing there.
func stillUsing(ctx context.Context, env *Env, address string) (string, []inspect.Reason) {
	o, err := inspect.Find(ctx, address, &inspect.Options{Dir: env.dir()})
	if err != nil {
		return "", nil
	}
	o.Holders = slices.DeleteFunc(o.Holders, func(h inspect.Holder) bool {
		if h.PID != os.Getpid() {
			return false
		}
		o.NAttach -= min(o.NAttach, uint64(h.Maps))
		return true
	})
	if used, _ := o.InUse(); used {
		return uses(o), nil
	}
	return "", o.Reasons
}
