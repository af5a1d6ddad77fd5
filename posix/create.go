package posix

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// CreateSized creates an object that is complete when it gets its name: of
// size bytes, all zero, with the memory for them reserved (unless
// opts.Sparse). Nobody ever sees it empty or half-made, and a creator that
// is killed on the way leaves nothing behind. A taken name is EEXIST; too
// little room is ENOSPC, and then there is no object. mode counts under the
// process' umask, as in Open. The object is open for reading and writing.
//
// In a directory on a file system without unnamed files (O_TMPFILE), which
// tmpfs has, a creator that is killed leaves a file named ".new-...".
func CreateSized(name string, size int64, mode fs.FileMode, opts *Options) (*Object, error) {
	const op = "create"
	path, err := locate(op, name, opts)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Object, error) {
		hint, cause := createCause(path, size, err, opts)
		return nil, &sys.Error{Op: op, Kind: "posix", Name: Address(name), Err: cause, Hint: hint}
	}
	if size < 0 {
		return fail(fmt.Errorf("%d is no size: %w", size, syscall.EINVAL))
	}
	// A name that is taken costs a large reservation otherwise; the link at
	// the end is what decides.
	if _, err := sys.LstatPath(path); err == nil {
		return fail(syscall.EEXIST)
	}
	o := &Object{name: oneSlash(name), path: path}
	err = o.createUnnamed(size, mode, opts)
	if errors.Is(err, errNoUnnamed) {
		err = o.createByRename(size, mode, opts)
	}
	if err != nil {
		return fail(err)
	}
	return o, nil
}

// CreateTemp is CreateSized with a name that nobody has yet: pattern with its
// last "*", or else its end, replaced by 26 random letters and digits. The
// name is Object.Name.
func CreateTemp(pattern string, size int64, mode fs.FileMode, opts *Options) (*Object, error) {
	prefix, suffix := pattern, ""
	if i := strings.LastIndexByte(pattern, '*'); i >= 0 {
		prefix, suffix = pattern[:i], pattern[i+1:]
	}
	for {
		// 130 random bits are never taken but by a file system that says so
		// of everything.
		o, err := CreateSized(prefix+rand.Text()+suffix, size, mode, opts)
		if !errors.Is(err, syscall.EEXIST) {
			return o, err
		}
	}
}

func createCause(path string, size int64, err error, opts *Options) (hint string, cause error) {
	hint, cause = openCause(path, O_CREAT|O_EXCL, err, opts)
	switch {
	case errors.Is(err, syscall.EEXIST):
		hint = "remove the object first, or open it"
	case errors.Is(err, syscall.EFBIG):
		cause = fmt.Errorf("%d bytes are more than RLIMIT_FSIZE (ulimit -f) or the file system allows: %w", size, err)
	}
	return hint, cause
}

// errNoUnnamed: the file system cannot do it this way.
var errNoUnnamed = errors.New("no unnamed files here")

// createUnnamed makes the object without a name and then links it into place.
func (o *Object) createUnnamed(size int64, mode fs.FileMode, opts *Options) error {
	fd, err := sys.Open(opts.dir(), sys.O_TMPFILE|sys.O_RDWR|sys.O_CLOEXEC, uint32(mode.Perm()))
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.EISDIR):
		return errNoUnnamed
	case err != nil:
		return err
	}
	o.fd = sys.NewFD(fd)
	err = fitUmask(o.fd, mode)
	if err == nil {
		err = o.setSize(size, opts)
	}
	if err == nil {
		err = sys.LinkFD(fd, o.path)
		switch {
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EPERM):
			// Without /proc only the privileged can link by descriptor.
			err = errNoUnnamed
		}
	}
	if err != nil {
		o.fd.Close()
	}
	return err
}

func (o *Object) setSize(size int64, opts *Options) error {
	if size == 0 {
		return nil
	}
	if opts != nil && opts.Sparse {
		return o.fd.Truncate(size)
	}
	err := o.reserve(0, size)
	if errors.Is(err, syscall.EOPNOTSUPP) {
		// A directory on a file system without fallocate: only the size can
		// be promised there.
		return o.fd.Truncate(size)
	}
	return err
}

// createByRename is for file systems without O_TMPFILE. The object has a
// temporary name for a moment, which a killed creator leaves behind; its
// final name is still complete from the start.
func (o *Object) createByRename(size int64, mode fs.FileMode, opts *Options) error {
	temp := opts.dir() + "/.new-" + rand.Text()
	fd, err := sys.Open(temp, sys.O_CREAT|sys.O_EXCL|sys.O_RDWR|sys.O_NOFOLLOW|sys.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		return err
	}
	o.fd = sys.NewFD(fd)
	renamed := false
	err = o.setSize(size, opts)
	if err == nil {
		err = sys.RenameNoReplace(temp, o.path)
		renamed = err == nil
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
			// A file system that cannot rename without replacing: a link
			// does not replace either.
			err = sys.LinkFD(fd, o.path)
		}
	}
	if !renamed {
		sys.Unlink(temp)
	}
	if err != nil {
		o.fd.Close()
	}
	return err
}
