package posix

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// NameMax is the longest name in bytes, without its leading slashes.
const NameMax = 255

// CleanName strips the leading slashes of an object's name and refuses, with
// EINVAL, what can name no object: nothing, ".", "..", a slash elsewhere or
// a NUL byte; and with ENAMETOOLONG more than NameMax bytes.
//
// glibc opens "." and ".." as directories; musl refuses them, and so does
// this package.
func CleanName(name string) (string, error) { return cleanName("shm_open", name) }

func cleanName(op, name string) (string, error) {
	clean := strings.TrimLeft(name, "/")
	bad := func(reason string, err error) (string, error) {
		return "", &sys.Error{Op: op, Kind: "posix", Name: Address(name), Err: fmt.Errorf("%s: %w", reason, err)}
	}
	switch {
	case clean == "":
		return bad("the name is empty", syscall.EINVAL)
	case clean == "." || clean == "..":
		return bad("the name stands for a directory", syscall.EINVAL)
	case strings.Contains(clean, "/"):
		return bad("the name has a slash behind its start", syscall.EINVAL)
	case strings.Contains(clean, "\x00"):
		return bad("the name has a NUL byte", syscall.EINVAL)
	case len(clean) > NameMax:
		return bad(fmt.Sprintf("the name has %d bytes, %d are allowed", len(clean), NameMax), syscall.ENAMETOOLONG)
	}
	return clean, nil
}

// Address gives the address of the object with the name: "posix:/x". Names
// with control characters or that are not UTF-8 are quoted as Go strings
// are, without the quotes.
func Address(name string) string {
	quoted := fmt.Sprintf("%q", oneSlash(name))
	return "posix:" + quoted[1:len(quoted)-1]
}

// Path gives the file that holds the object.
func Path(name string, opts *Options) (string, error) { return locate("shm_open", name, opts) }

// locate is Path for the errors of another operation.
func locate(op, name string, opts *Options) (string, error) {
	clean, err := cleanName(op, name)
	if err != nil {
		return "", err
	}
	return opts.dir() + "/" + clean, nil
}

// oneSlash gives the name with one leading slash.
func oneSlash(name string) string {
	clean := strings.TrimLeft(name, "/")
	if len(clean) < len(name) {
		return name[len(name)-len(clean)-1:]
	}
	return "/" + clean
}
