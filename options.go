package shm

import (
	"io/fs"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
)

// Options are wishes for Create, Open and OpenOrCreate. A nil *Options means
// the zero value.
type Options struct {
	// ReadOnly opens the memory for reading: nothing in this process can
	// write to it through the Segment. It means nothing to Create.
	ReadOnly bool

	// Private maps the memory copy-on-write: others' stores are seen until a
	// page is first written here, stores made here nobody else ever sees.
	// ReadOnly access to the object is enough for it. System V has no such
	// mapping.
	Private bool

	// Mode is the permissions of a new object, 0600 when 0. The process'
	// umask takes its bits from POSIX objects; it means nothing to System V
	// segments, nor the mode to memfds.
	Mode fs.FileMode

	// Sparse creates the object without reserving memory for it: creation is
	// quick and succeeds whatever the size; accessors answer ErrNoSpace
	// where the memory runs out later. For System V it is SHM_NORESERVE.
	Sparse bool

	// Huge is the size of the huge pages for a new System V segment or
	// memfd: 0 for none, 1 for the system's default, else in bytes. The size
	// of a memfd must be a multiple of it; of a segment the rest of the last
	// page is not used.
	Huge int64

	// Seals are added to a new memfd, beside F_SEAL_SHRINK and F_SEAL_GROW,
	// which every memfd made here has.
	Seals memfd.Seals

	// Dir is the directory of POSIX objects; posix.DefaultDir when empty.
	Dir string
}

func (o *Options) orDefault() *Options {
	if o == nil {
		return &Options{}
	}
	return o
}

func (o *Options) mode() fs.FileMode {
	if o.Mode == 0 {
		return 0o600
	}
	return o.Mode.Perm()
}

func (o *Options) posix() *posix.Options {
	return &posix.Options{Dir: o.Dir, Sparse: o.Sparse}
}
