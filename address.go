package shm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// Kind is the sort of memory that an address names.
type Kind string

// The kinds of memory.
const (
	SysV  Kind = "sysv"
	POSIX Kind = "posix"
	Memfd Kind = "memfd"
)

// Address says where memory is found. It is made by ParseAddress; which
// fields count depends on Kind and By.
type Address struct {
	Kind Kind
	By   By

	Name string   // by name: of a POSIX object with one leading slash, of a memfd to be made
	Key  sysv.Key // by key
	ID   sysv.ID  // by id
	Path string   // by ftok: the file
	Proj int      // by ftok: the project id
	PID  int      // by descriptor
	FD   int      // by descriptor
}

// By is how an address names its object.
type By string

// The ways to name an object.
const (
	ByName       By = "name"
	ByKey        By = "key"
	ByID         By = "id"
	ByFtok       By = "ftok"
	ByPrivate    By = "private"
	ByDescriptor By = "descriptor"
)

// ParseAddress parses an address; the package's documentation has the
// syntax. It looks at the text alone, not at what exists. Keys are written as
// numbers are in Go: hex with 0x, octal with 0, else decimal, of 32 bits with
// or without a sign. The project id of ftok is such a number, or a single
// character that is no digit and stands for its code: 65 and A are the same.
func ParseAddress(s string) (Address, error) {
	fail := func(format string, args ...any) (Address, error) {
		return Address{}, &Error{Op: "address", Name: strconv.Quote(s), Err: fmt.Errorf(format+": %w", append(args, syscall.EINVAL)...), Hint: addressHint}
	}
	scheme, rest, found := strings.Cut(s, ":")
	if !found || strings.HasPrefix(s, "/") {
		scheme, rest = "posix", s
	}
	switch scheme {
	case "posix":
		clean, err := posix.CleanName(rest)
		if err != nil {
			e := named(err, "address", "", strconv.Quote(s)).(*Error)
			e.Hint = fmt.Sprintf("a POSIX name has 1 to %d bytes and no slash but at its start", posix.NameMax)
			return Address{}, e
		}
		return Address{Kind: POSIX, By: ByName, Name: "/" + clean}, nil
	case "sysv":
		a := Address{Kind: SysV}
		if rest == "private" {
			a.By = ByPrivate
			return a, nil
		}
		if id, ok := strings.CutPrefix(rest, "id="); ok {
			n, err := strconv.ParseUint(id, 10, 31)
			if err != nil {
				return fail("%q is no identifier", id)
			}
			a.By, a.ID = ByID, sysv.ID(n)
			return a, nil
		}
		if file, ok := strings.CutPrefix(rest, "ftok="); ok {
			i := strings.LastIndexByte(file, ',')
			if i <= 0 {
				return fail("ftok needs a path, a comma and a project id")
			}
			proj, err := parseProj(file[i+1:])
			if err != nil {
				return fail("%q is no project id", file[i+1:])
			}
			if strings.Contains(file[:i], "\x00") {
				return fail("the path has a NUL byte")
			}
			a.By, a.Path, a.Proj = ByFtok, file[:i], proj
			return a, nil
		}
		key, err := parseKey(rest)
		if err != nil {
			return fail("%q is no key", rest)
		}
		if key == sysv.IPC_PRIVATE {
			return fail("key 0 is IPC_PRIVATE, which names no segment: write sysv:private to create one, sysv:id=N to open one")
		}
		a.By, a.Key = ByKey, key
		return a, nil
	case "memfd":
		if pid, fd, ok := strings.Cut(rest, "/"); ok {
			p, err1 := strconv.ParseUint(pid, 10, 31)
			f, err2 := strconv.ParseUint(fd, 10, 31)
			if err1 != nil || err2 != nil || p == 0 {
				return fail("a memfd is named by PID/FD, two numbers")
			}
			return Address{Kind: Memfd, By: ByDescriptor, PID: int(p), FD: int(f)}, nil
		}
		if strings.Contains(rest, "\x00") {
			return fail("the name has a NUL byte")
		}
		return Address{Kind: Memfd, By: ByName, Name: rest}, nil
	case "topic":
		return fail("a topic is no segment")
	}
	return fail("there is no kind of memory called %q; a POSIX object with a colon in its name is written posix:/%s", scheme, s)
}

const addressHint = "addresses: posix:/name, sysv:0x1234, sysv:id=7, sysv:ftok=PATH,PROJ, sysv:private, memfd:PID/FD"

func parseKey(s string) (sysv.Key, error) {
	if n, err := strconv.ParseUint(s, 0, 32); err == nil {
		return sysv.Key(int32(uint32(n))), nil
	}
	n, err := strconv.ParseInt(s, 0, 32)
	return sysv.Key(n), err
}

func parseProj(s string) (int, error) {
	if n, err := strconv.ParseInt(s, 0, 32); err == nil {
		return int(n), nil
	}
	if len(s) == 1 {
		return int(s[0]), nil
	}
	return 0, strconv.ErrSyntax
}

// String gives the address in the form that ParseAddress takes; of the zero
// Address nothing.
func (a Address) String() string {
	switch {
	case a.Kind == "":
		return ""
	case a.Kind == POSIX:
		return "posix:" + a.Name
	case a.Kind == Memfd && a.By == ByDescriptor:
		return fmt.Sprintf("memfd:%d/%d", a.PID, a.FD)
	case a.Kind == Memfd:
		return "memfd:" + a.Name
	}
	switch a.By {
	case ByKey:
		return a.Key.String()
	case ByID:
		return a.ID.String()
	case ByFtok:
		return fmt.Sprintf("sysv:ftok=%s,%d", a.Path, a.Proj)
	}
	return "sysv:private"
}

// key gives the System V key of an address by key or by ftok.
func (a Address) key() (sysv.Key, error) {
	if a.By != ByFtok {
		return a.Key, nil
	}
	k, err := sysv.Ftok(a.Path, a.Proj)
	if err != nil {
		e := named(err, "ftok", SysV, a.Path).(*Error)
		if errors.Is(err, syscall.ENOENT) {
			e.Hint = "create the file first; C programs that do not check ftok's result use the key -1 then: sysv:0xffffffff"
		}
		e.Err = fmt.Errorf("ftok of the file %s: %w", printable(a.Path), e.Err)
		return 0, e
	}
	if k == sysv.IPC_PRIVATE {
		return 0, &Error{
			Err:  fmt.Errorf("ftok of the file %s gives the key 0, which is IPC_PRIVATE: %w", printable(a.Path), syscall.EINVAL),
			Hint: "use another project id or another file",
		}
	}
	return k, nil
}
