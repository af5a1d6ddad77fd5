package mapping

import (
	"fmt"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Options are wishes for a new mapping. A nil *Options means none.
type Options struct {
	// Addr is the address wished for. By itself it is a hint. With Fixed
	// the mapping is exactly there and replaces what is mapped there, Go's
	// own memory included; with NoReplace it is exactly there or fails with
	// EEXIST. A Mapping that was replaced does not know it: whoever uses
	// Fixed inside of another Mapping unmaps one of the two, not both.
	Addr      uintptr
	Fixed     bool
	NoReplace bool

	Populate  bool // bring all pages in at once
	Locked    bool // lock the pages into memory (RLIMIT_MEMLOCK)
	NoReserve bool // account no memory for it beforehand

	// Huge is the size of the huge pages to use for anonymous memory, in
	// bytes: 0 for none, 1 for the default size, else a power of two.
	Huge int
}

func (o *Options) flags() (addr uintptr, flags int, err error) {
	if o == nil {
		return 0, 0, nil
	}
	fail := func(reason string) (uintptr, int, error) {
		return 0, 0, &sys.Error{Op: "mmap", Kind: "mapping", Err: fmt.Errorf("%s: %w", reason, syscall.EINVAL)}
	}
	switch {
	case o.Fixed && o.NoReplace:
		return fail("Fixed replaces and NoReplace does not: only one can be meant")
	case (o.Fixed || o.NoReplace) && o.Addr == 0:
		return fail("Fixed and NoReplace need an address")
	case o.Huge < 0 || o.Huge&(o.Huge-1) != 0:
		return fail(fmt.Sprintf("%d is no page size: it must be a power of two", o.Huge))
	}
	for _, f := range []struct {
		on   bool
		flag int
	}{
		{o.Fixed, MAP_FIXED}, {o.NoReplace, MAP_FIXED_NOREPLACE},
		{o.Populate, MAP_POPULATE}, {o.Locked, MAP_LOCKED}, {o.NoReserve, MAP_NORESERVE},
		{o.Huge != 0, MAP_HUGETLB},
	} {
		if f.on {
			flags |= f.flag
		}
	}
	if o.Huge > 1 {
		flags |= log2(o.Huge) << sys.HUGE_SHIFT
	}
	return o.Addr, flags, nil
}

func log2(n int) (log int) {
	for n > 1 {
		n >>= 1
		log++
	}
	return log
}

// PrivateAnonymous maps length bytes of zeroed memory that is this process'
// alone.
func PrivateAnonymous(length, prot int, opts *Options) (*Mapping, error) {
	return kind(length, prot, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0, opts)
}

// SharedAnonymous maps length bytes of zeroed memory that a child made by
// fork would share. Go programs have no fork: other processes reach it only
// through /proc/PID/map_files. To share memory without a name use package
// memfd.
func SharedAnonymous(length, prot int, opts *Options) (*Mapping, error) {
	return kind(length, prot, MAP_SHARED|MAP_ANONYMOUS, -1, 0, opts)
}

// PrivateFile maps length bytes of the file fd from offset on, a multiple of
// the page size, copy-on-write: the first store to a page copies it, and
// from then on neither sees the other's stores to that page. The file never
// changes, so a descriptor open for reading is enough for PROT_WRITE. Whether
// a page that was not copied yet follows the file POSIX leaves open; on
// Linux it does.
func PrivateFile(fd int, offset int64, length, prot int, opts *Options) (*Mapping, error) {
	return kind(length, prot, MAP_PRIVATE, fd, offset, opts)
}

// SharedFile maps length bytes of the file fd from offset on, a multiple of
// the page size: the file itself. PROT_WRITE needs a descriptor open for
// reading and writing. Mapping past the file's end succeeds; touching whole
// pages there is SIGBUS.
func SharedFile(fd int, offset int64, length, prot int, opts *Options) (*Mapping, error) {
	return kind(length, prot, MAP_SHARED, fd, offset, opts)
}

func kind(length, prot, flags, fd int, offset int64, opts *Options) (*Mapping, error) {
	addr, more, err := opts.flags()
	if err != nil {
		return nil, err
	}
	return Mmap(addr, length, prot, flags|more, fd, offset)
}
