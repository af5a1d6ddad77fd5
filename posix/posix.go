// Package posix is POSIX shared memory as the manual pages have it:
// shm_open(3), ftruncate(2), shm_unlink(3), with glibc's name rules, from
// pure Go.
//
// An object is a file in the shared memory mount, /dev/shm: its name is a
// file name, its permissions are a file's, and its bytes are reached by
// mapping its descriptor (package mapping). It lives until Unlink, and what
// is open or mapped stays usable after that.
//
// # Guarantees
//
//   - "x", "/x" and "///x" are one object, the one that a C program opens as
//     "/x".
//   - Descriptors are close-on-exec, and symbolic links are never followed.
//   - Open never blocks and never hands out what is not a regular file.
//   - Opening never resizes, but by O_TRUNC.
//   - CreateSized gives an object its name only when it is complete.
//
// # Limits
//
// A file that others may write, others may truncate: touching mapped bytes
// past its end is SIGBUS. Package shm turns that into an error. Named files
// of a tmpfs cannot be sealed against it; package memfd has memory that can.
//
// All functions may be called concurrently.
package posix

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// DefaultDir is the shared memory mount that glibc and musl use. Like glibc
// since 2.34 this package takes it as it is and looks for no other mount.
const DefaultDir = "/dev/shm"

// Flags of Open. O_CLOEXEC and O_NOFOLLOW are always added.
const (
	O_RDONLY = sys.O_RDONLY // read; map for reading
	O_WRONLY = sys.O_WRONLY // accepted by Linux, but such an object cannot be mapped
	O_RDWR   = sys.O_RDWR   // read and write
	O_CREAT  = sys.O_CREAT  // create the object when the name has none
	O_EXCL   = sys.O_EXCL   // with O_CREAT: fail with EEXIST when the name has one
	O_TRUNC  = sys.O_TRUNC  // cut an existing object to size 0; Linux does it even with O_RDONLY
)

const openFlags = sys.O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC

// Options change where objects live. A nil *Options means the defaults.
type Options struct {
	// Dir is used in place of DefaultDir. It need not be a tmpfs.
	Dir string

	// Sparse makes CreateSized set the size without reserving memory. A
	// store for which no memory is left is a SIGBUS then.
	Sparse bool
}

func (o *Options) dir() string {
	if o == nil || o.Dir == "" {
		return DefaultDir
	}
	return o.Dir
}

// Open is shm_open(3). flags is one of O_RDONLY and O_RDWR with any of
// O_CREAT, O_EXCL and O_TRUNC; mode, under the process' umask, is what a new
// object gets, whose size is 0.
//
// Beyond glibc's call, what stands under the name must be a regular file:
// a FIFO would block for ever there, and is EINVAL here as directories are.
func Open(name string, flags int, mode fs.FileMode, opts *Options) (*Object, error) {
	path, err := locate("shm_open", name, opts)
	if err != nil {
		return nil, err
	}
	fail := func(hint string, err error) (*Object, error) {
		return nil, &sys.Error{Op: "shm_open", Kind: "posix", Name: Address(name), Err: err, Hint: hint}
	}
	if flags&^openFlags != 0 || flags&sys.O_ACCMODE == sys.O_ACCMODE {
		return fail("", fmt.Errorf("flags %#x: only the access mode, O_CREAT, O_EXCL and O_TRUNC mean something: %w", flags, syscall.EINVAL))
	}
	// O_NONBLOCK means nothing to a regular file; with it a FIFO that
	// somebody left under the name cannot hold us.
	fd, err := sys.Open(path, flags|sys.O_NOFOLLOW|sys.O_CLOEXEC|sys.O_NONBLOCK, uint32(mode.Perm()))
	if err != nil {
		return fail(openCause(path, flags, err, opts))
	}
	o := &Object{name: oneSlash(name), path: path, fd: sys.NewFD(fd)}
	st, err := o.fd.Stat()
	hint := ""
	if err == nil && !st.Regular() {
		hint, err = hintOther, fmt.Errorf("it is a %s, not a shared memory object: %w", st.TypeName(), syscall.EINVAL)
	}
	if err != nil {
		o.fd.Close()
		return fail(hint, err)
	}
	return o, nil
}

// hintOther is the next step where the name is that of something else.
const hintOther = "something else has this name: choose another one, or remove that"

// openCause turns the errno of open(2) into what glibc answers, with the
// cause and the next step in words.
func openCause(path string, flags int, err error, opts *Options) (hint string, cause error) {
	switch {
	case errors.Is(err, syscall.EISDIR):
		return hintOther, fmt.Errorf("it is a directory, not a shared memory object: %w", syscall.EINVAL)
	case errors.Is(err, syscall.ENXIO):
		// A FIFO opened for writing that nobody reads, or a socket.
		return hintOther, fmt.Errorf("it is not a regular file, so no shared memory object: %w", syscall.EINVAL)
	case errors.Is(err, syscall.ELOOP):
		return hintOther, fmt.Errorf("it is a symbolic link, which shm_open never follows: %w", err)
	case errors.Is(err, syscall.EEXIST):
		return "leave O_EXCL out to use the existing object", err
	case errors.Is(err, syscall.ENOENT):
		if _, e := sys.StatPath(opts.dir()); errors.Is(e, syscall.ENOENT) {
			return "mount a tmpfs there: shared memory objects are files in it", fmt.Errorf("there is no %s: %w", opts.dir(), err)
		}
		return "", err
	case errors.Is(err, syscall.EACCES):
		st, e := sys.LstatPath(path)
		switch {
		case errors.Is(e, syscall.ENOENT):
			return fmt.Sprintf("this user may not create files in %s", opts.dir()), err
		case e == nil && flags&O_CREAT != 0 && st.Mode&0o006 == 0o006:
			return "another user's object in a sticky directory cannot be opened with O_CREAT (sysctl fs.protected_regular): open it without", err
		}
		return "the object's mode does not grant this user the access asked for", err
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Sprintf("%s is full; see df %s", opts.dir(), opts.dir()), err
	case errors.Is(err, syscall.EROFS):
		return fmt.Sprintf("%s is mounted read-only", opts.dir()), err
	case errors.Is(err, syscall.EMFILE):
		return "too many open descriptors in this process (ulimit -n)", err
	}
	return "", err
}

// Unlink is shm_unlink(3): the name goes at once, the memory with the last
// descriptor and mapping. A symbolic link is removed itself.
//
// As in glibc, a name that no object can have (see CleanName) is ENOENT, "."
// and ".." are EISDIR as every directory is, and EPERM is turned into EACCES.
// A name of more than NameMax bytes is ENAMETOOLONG, as POSIX has it; glibc
// answers that or ENOENT, depending on its version.
func Unlink(name string, opts *Options) error {
	fail := func(err error) error {
		return &sys.Error{Op: "shm_unlink", Kind: "posix", Name: Address(name), Err: err}
	}
	path, err := locate("shm_unlink", name, opts)
	switch clean := strings.TrimLeft(name, "/"); {
	case err == nil:
		err = sys.Unlink(path)
	case clean == "." || clean == "..":
		return fail(fmt.Errorf("the name stands for a directory: %w", syscall.EISDIR))
	case errors.Is(err, syscall.EINVAL):
		return fail(fmt.Errorf("no object can have this name: %w", syscall.ENOENT))
	default:
		return err
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES):
		return &sys.Error{Op: "shm_unlink", Kind: "posix", Name: Address(name), Err: syscall.EACCES,
			Hint: "in a sticky directory only the object's owner may remove it"}
	}
	return fail(err)
}
