package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmnet"
	"github.com/seed-298b2b26/shm/topic"
)

// Exit codes. They are part of the command's interface.
const (
	exitOK         = 0
	exitFailure    = 1
	exitUsage      = 2
	exitNotFound   = 3
	exitPermission = 4
	exitTimeout    = 5
	exitCorrupt    = 6
	exitInUse      = 7
)

// exitCode says which failure an error is.
func exitCode(err error) int {
	var use *usageError
	var sig *interrupted
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &sig):
		if n, ok := sig.signal.(syscall.Signal); ok {
			return 128 + int(n)
		}
		return 130
	case errors.As(err, &use), isAddressError(err):
		return exitUsage
	case errors.Is(err, shm.ErrBusy), errors.Is(err, syscall.EADDRINUSE):
		return exitInUse
	case errors.Is(err, topic.ErrCorrupt), errors.Is(err, topic.ErrVersion), errors.Is(err, shmnet.ErrNotProtocol):
		return exitCorrupt
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return exitNotFound
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	}
	return exitFailure
}

func isAddressError(err error) bool {
	var e *shm.Error
	return errors.As(err, &e) && e.Op == "address"
}

// failures are what went wrong with several things, each by itself.
type failures []error

// failed gives failures of those errors that are not nil, or nil.
func failed(errs ...error) error {
	var all failures
	for _, err := range errs {
		if err != nil {
			all = append(all, err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

func (f failures) Unwrap() []error { return f }

// report prints an error, each of several by itself, and gives the exit code,
// which is that of the first. A reader that closed our
// output has what it wanted: that is success, and silent.
func report(env *Env, err error) int {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return exitOK
	}
	if many, ok := err.(failures); ok {
		code := exitOK
		for _, e := range many {
			if c := report(env, e); code == exitOK {
				code = c
			}
		}
		return code
	}
	var sig *interrupted
	if errors.As(err, &sig) && sig.signal == os.Interrupt {
		return exitCode(err)
	}
	text := err.Error()
	if !strings.HasPrefix(text, "shm: ") {
		text = "shm: " + text
	}
	fmt.Fprintln(env.Stderr, text)
	if h := hint(err); h != "" {
		fmt.Fprintln(env.Stderr, "hint:", h)
	}
	return exitCode(err)
}

// ofStream reports whether an error is one of standard input or output, and of
// nothing that the command works on.
func ofStream(err error) bool {
	var stream *fs.PathError
	return errors.As(err, &stream) && (stream.Path == os.Stdin.Name() || stream.Path == os.Stdout.Name())
}

// hint gives the next step: the error's own, else one for its cause.
func hint(err error) string {
	var use *usageError
	if errors.As(err, &use) {
		return use.hint
	}
	var e *shm.Error
	if errors.As(err, &e) && e.Hint != "" {
		return e.Hint
	}
	var sig *interrupted
	if errors.As(err, &sig) {
		return ""
	}
	var stream *fs.PathError
	if errors.As(err, &stream) {
		switch stream.Path {
		case os.Stdin.Name():
			return "standard input must be a file, a pipe or a terminal"
		case os.Stdout.Name():
			return "standard output takes no more; what was done stays done"
		}
		if e == nil && errors.Is(err, fs.ErrNotExist) {
			return "this is a file of the file system: it, or its directory, must exist"
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "shm ls shows what exists"
	case errors.Is(err, fs.ErrExist):
		return "shm info shows what is there; shm rm removes it"
	case errors.Is(err, shm.ErrBusy):
		return "shm info shows who uses it; --force does it all the same"
	case errors.Is(err, fs.ErrPermission):
		return "the object's mode and owner (shm info) decide who may use it"
	case errors.Is(err, shm.ErrNotReady):
		return "try again in a moment; if its creator is gone, shm rm removes it"
	case errors.Is(err, shm.ErrTruncated):
		return "somebody made the object shorter meanwhile; shm info shows who has it"
	case errors.Is(err, shm.ErrNoSpace):
		return "shm ls shows what takes the memory"
	case errors.Is(err, syscall.EFBIG):
		return "ulimit -f shows the limit, and raises it where that is allowed"
	case errors.Is(err, shm.ErrType), errors.Is(err, syscall.ELOOP):
		return "it is no memory of that kind; shm ls shows what is there"
	case errors.Is(err, syscall.EROFS):
		return "the directory is mounted read-only"
	case errors.Is(err, syscall.ENOTDIR):
		return "SHM_DIR must name a directory"
	case errors.Is(err, errors.ErrUnsupported):
		return "this system does not offer it"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "wait longer, or see whether the other side lives: shm info"
	}
	return "shm help lists the verbs; shm info shows an object"
}
