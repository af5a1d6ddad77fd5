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
func CreateSized(name string, size int64, mode fs.FileMode, opts *Options) (*Object, error) {
	path, err := Path(name, opts)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Object, error) {
		if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EISDIR) {
			err = syscall.ENOENT
		}
		cause, hint := openCause(path, O_CREAT|O_EXCL, err, opts)
		if errors.Is(err, syscall.EEXIST) {
			hint = "remove the object first, or open it"
		}
		return nil, &sys.Error{Op: "create", Kind: "posix", Name: Address(name), Err: cause, Hint: hint}
	}
	if size < 0 {
		return fail(fmt.Errorf("%d is no size: %w", size, syscall.EINVAL))
	}
	// A name that is taken costs a large reservation otherwise; the link at
	// the end is what decides.
	if _, err := sys.LstatPath(path); err == nil {
		return fail(syscall.EEXIST)
	}
	fd, err := sys.Open(opts.dir(), sys.O_TMPFILE|sys.O_RDWR|sys.O_CLOEXEC, uint32(mode.Perm()))
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EISDIR) {
		return createByRename(name, path, size, mode, opts, fail)
	}
	if err != nil {
		return fail(err)
	}
	o := &Object{name: "/" + strings.TrimLeft(name, "/"), path: path, fd: sys.NewFD(fd)}
	if err := o.setSize(size, opts); err != nil {
		o.fd.Close()
		return fail(err)
	}
	if err := sys.LinkFD(fd, path); err != nil {
		o.fd.Close()
		return fail(err)
	}
	return o, nil
}

func (o *Object) setSize(size int64, opts *Options) error {
	if size == 0 {
		return nil
	}
	if opts != nil && opts.Sparse {
		return o.fd.Truncate(size)
	}
	err := o.fd.Reserve(0, size)
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
func createByRename(name, path string, size int64, mode fs.FileMode, opts *Options, fail func(error) (*Object, error)) (*Object, error) {
	temp := opts.dir() + "/.new-" + rand.Text()
	fd, err := sys.Open(temp, sys.O_CREAT|sys.O_EXCL|sys.O_RDWR|sys.O_NOFOLLOW|sys.O_CLOEXEC, uint32(mode.Perm()))
	if err != nil {
		return fail(err)
	}
	o := &Object{name: "/" + strings.TrimLeft(name, "/"), path: path, fd: sys.NewFD(fd)}
	err = o.setSize(size, opts)
	if err == nil {
		err = sys.RenameNoReplace(temp, path)
	}
	if err != nil {
		sys.Unlink(temp)
		o.fd.Close()
		return fail(err)
	}
	return o, nil
}
