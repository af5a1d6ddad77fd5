package posix

import (
	"errors"
	"io/fs"
	"iter"
	"os"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Stat gives what the kernel knows about the object with the name, without
// opening it. Symbolic links are not followed.
func Stat(name string, opts *Options) (Status, error) {
	path, err := locate("stat", name, opts)
	if err != nil {
		return Status{}, err
	}
	st, err := sys.LstatPath(path)
	if err != nil {
		return Status{}, &sys.Error{Op: "stat", Kind: "posix", Name: Address(name), Err: err}
	}
	return status(oneSlash(name), &st), nil
}

// List gives everything that stands in the shared memory mount, sorted by
// name: objects, semaphores (Status.Semaphore), and whatever else somebody
// put there, which Status.Regular tells apart. An object with two names comes
// twice: Dev and Inode identify it, and Links counts the names. What vanishes
// while the list is read is left out. An error of one entry does not end the
// list.
func List(opts *Options) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		entries, err := os.ReadDir(opts.dir())
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			yield(Status{}, &sys.Error{Op: "list", Kind: "posix", Name: opts.dir(), Err: err})
			return
		}
		for _, e := range entries {
			st, err := sys.LstatPath(opts.dir() + "/" + e.Name())
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				if !yield(Status{Name: "/" + e.Name()}, &sys.Error{Op: "stat", Kind: "posix", Name: Address(e.Name()), Err: err}) {
					return
				}
				continue
			}
			if !yield(status("/"+e.Name(), &st), nil) {
				return
			}
		}
	}
}
