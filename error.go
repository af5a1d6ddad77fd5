package shm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// named gives an error the operation, the kind and the name by which the
// caller knows them, in place of those of the packages below; nil for nil.
func named(err error, op string, kind Kind, name string) error {
	if err == nil {
		return nil
	}
	out := &Error{Op: op, Kind: string(kind), Name: printable(name), Err: err}
	switch e := err.(type) {
	case *Error:
		out.Err, out.Hint = e.Err, e.Hint
	case *mem.BoundsError, *mem.CountError:
		out.Hint = "memory never grows: keep to its size, or create it larger"
	case *mem.AlignError:
		out.Hint = "use an offset that is a multiple of it"
	}
	switch {
	case out.Hint != "":
	case out.Err == ErrClosed:
		out.Hint = "open it again, and close it when everything is done"
	case errors.Is(out.Err, syscall.ENOSYS):
		out.Hint = "this kernel or sandbox has not got the system call; memory of another kind may do"
	case errors.Is(out.Err, syscall.EPERM):
		out.Hint = "a sandbox refuses the system call, or a privilege is missing; memory of another kind may do"
	}
	// What lacks memory has one name here, whichever call it was.
	if errors.Is(out.Err, syscall.ENOMEM) && !errors.Is(out.Err, ErrNoSpace) {
		out.Err = fmt.Errorf("%w: %w", ErrNoSpace, out.Err)
	}
	return out
}

// printable quotes a name that a terminal would not show as it is.
func printable(name string) string {
	strange := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.ValidString(name) && !strings.ContainsFunc(name, strange) {
		return name
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}
