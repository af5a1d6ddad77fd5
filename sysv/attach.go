package sysv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Attachment is a segment in this process' address space. The kernel counts
// attachments, not processes: two of one segment in one process are two.
type Attachment struct {
	id       ID
	region   mem.Region
	rounded  bool
	detached atomic.Bool
}

// Attach is shmat(2). addr 0 lets the kernel choose the place; another addr
// must be a multiple of the page size, unless SHM_RND in flags rounds it
// down, and nothing may be mapped there, unless SHM_REMAP replaces it. (An
// Attachment that was replaced must not be detached any more: that would
// detach what took its place.) An address that rounds down to 0 is refused
// even where the kernel would allow it: Go can have no memory there.
//
// Finding out the segment's size needs no permission beyond shmat's: where
// IPC_STAT is refused (as sandboxes do), the size is that of the mapping,
// which is rounded up to whole pages.
func Attach(id ID, addr uintptr, flags int) (*Attachment, error) {
	if addr != 0 && roundDown(addr) == 0 && flags&(SHM_RND|SHM_REMAP) == SHM_RND {
		return nil, attachError(id, addr, flags, syscall.EINVAL)
	}
	p, err := sys.Shmat(int(id), addr, flags)
	if err != nil {
		return nil, attachError(id, addr, flags, err)
	}
	// The size is asked for afterwards: an attached segment cannot go away,
	// even when it is removed meanwhile.
	var ds sys.ShmidDs
	n, rounded := 0, false
	if err = stat(id, &ds); err == nil {
		n = int(ds.Segsz)
	} else if n, err = mappedSize(p); err == nil {
		rounded = true
	} else {
		sys.Shmdt(p)
		return nil, &sys.Error{Op: "shmat", Kind: "sysv", Name: id.String(), Err: fmt.Errorf("cannot find out the size: %w", err)}
	}
	return &Attachment{id: id, region: mem.At(p, n), rounded: rounded}, nil
}

// roundDown is what SHM_RND does: SHMLBA is the page size on the machines
// that this module supports.
func roundDown(addr uintptr) uintptr { return addr &^ (uintptr(os.Getpagesize()) - 1) }

// mappedSize gives the length of the mapping that starts at addr. It is not
// merged with another: every attachment is a file of its own to the kernel.
func mappedSize(addr uintptr) (int, error) {
	for m, err := range procfs.Root("/proc").Maps(procfs.Self) {
		if err != nil {
			return 0, err
		}
		if m.Start == uint64(addr) {
			return int(m.Size()), nil
		}
	}
	return 0, fmt.Errorf("/proc/self/maps does not show the mapping at %#x: %w", addr, fs.ErrNotExist)
}

// occupied reports whether anything is mapped where the segment would be.
func occupied(id ID, addr uintptr) bool {
	var ds sys.ShmidDs
	if stat(id, &ds) != nil {
		return false
	}
	for m, err := range procfs.Root("/proc").Maps(procfs.Self) {
		if err != nil {
			return false
		}
		if m.Start < uint64(addr)+ds.Segsz && m.End > uint64(addr) {
			return true
		}
	}
	return false
}

// attachError says in words which of an errno's causes it was, where that can
// be found out.
func attachError(id ID, addr uintptr, flags int, err error) error {
	e := &sys.Error{Op: "shmat", Kind: "sysv", Name: id.String(), Err: err}
	switch {
	case errors.Is(err, syscall.EINVAL) || errors.Is(err, sys.EIDRM):
		switch {
		case missing(id):
			e.Err, e.Hint = noSegment{"identifier", err}, missingHint
		case addr != roundDown(addr) && flags&SHM_RND == 0:
			e.Err = fmt.Errorf("address %#x is not a multiple of the page size: %w", addr, err)
			e.Hint = "SHM_RND rounds it down"
		case flags&SHM_REMAP != 0 && roundDown(addr) == 0:
			e.Err = fmt.Errorf("SHM_REMAP needs an address: %w", err)
		case addr != 0 && roundDown(addr) == 0:
			e.Err = fmt.Errorf("address %#x rounds down to 0, where no memory can be: %w", addr, err)
		case addr != 0 && flags&SHM_REMAP == 0 && occupied(id, roundDown(addr)):
			e.Err = fmt.Errorf("something is mapped in the range at address %#x: %w", addr, err)
			e.Hint = "SHM_REMAP replaces it; address 0 lets the kernel choose"
		case addr != 0:
			e.Err = fmt.Errorf("address %#x does not suit the segment: %w", addr, err)
			e.Hint = "a segment of huge pages needs a multiple of their size; address 0 lets the kernel choose"
		}
	case errors.Is(err, syscall.EACCES):
		e.Hint = "the segment's mode must grant this user read, without SHM_RDONLY write, and with SHM_EXEC execute"
	case errors.Is(err, syscall.EPERM) && addr != 0:
		e.Hint = "low addresses need CAP_SYS_RAWIO (sysctl vm.mmap_min_addr); address 0 lets the kernel choose"
	case errors.Is(err, syscall.ENOMEM) && addr != 0:
		e.Err = fmt.Errorf("the address space has no room for it at address %#x: %w", addr, err)
		e.Hint = "address 0 lets the kernel choose"
	case errors.Is(err, syscall.ENOMEM):
		e.Err = fmt.Errorf("the address space has no room for it: %w", err)
		e.Hint = "RLIMIT_AS (ulimit -v) and the sysctl vm.max_map_count bound it"
	}
	return e
}

// ID is the segment's identifier.
func (a *Attachment) ID() ID { return a.id }

// Addr is where the segment is attached.
func (a *Attachment) Addr() uintptr { return a.region.Addr() }

// Len is the segment's size in bytes, as it was created: not rounded.
func (a *Attachment) Len() int { return a.region.Len() }

// Rounded reports whether Len is rounded up to whole pages after all, because
// IPC_STAT was refused.
func (a *Attachment) Rounded() bool { return a.rounded }

// Bytes is the segment itself, not a copy; others write to it at any time.
// It must not be touched after Detach: that is a fault which no recover
// catches. A store to bytes attached with SHM_RDONLY is such a fault too.
func (a *Attachment) Bytes() []byte { return a.region.Bytes() }

// Detach is shmdt(2) for this attachment. Later calls do nothing.
func (a *Attachment) Detach() error {
	if a.detached.Swap(true) {
		return nil
	}
	if err := sys.Shmdt(a.region.Addr()); err != nil {
		return detachError(fmt.Sprintf("%v at address %#x", a.id, a.region.Addr()), err)
	}
	return nil
}

// Detach is shmdt(2): it detaches the segment that is attached at addr,
// which must be exactly where an attachment starts. Parts of the attachment
// that were unmapped or protected separately go with it.
func Detach(addr uintptr) error {
	if err := sys.Shmdt(addr); err != nil {
		return detachError(fmt.Sprintf("address %#x", addr), err)
	}
	return nil
}

func detachError(name string, err error) error {
	e := &sys.Error{Op: "shmdt", Kind: "sysv", Name: name, Err: err}
	if errors.Is(err, syscall.EINVAL) {
		e.Err = fmt.Errorf("no attachment starts there: %w", err)
	}
	return e
}
