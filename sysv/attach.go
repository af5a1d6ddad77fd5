package sysv

import (
	"errors"
	"fmt"
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
	detached atomic.Bool
}

// Attach is shmat(2). addr 0 lets the kernel choose the place; another addr
// must be a multiple of the page size, unless SHM_RND in flags rounds it
// down, and nothing may be mapped there, unless SHM_REMAP replaces it.
//
// Finding out the segment's size needs no permission beyond shmat's: where
// IPC_STAT is refused (as sandboxes do), the size is that of the mapping,
// which is rounded up to whole pages.
func Attach(id ID, addr uintptr, flags int) (*Attachment, error) {
	p, err := sys.Shmat(int(id), addr, flags)
	if err != nil {
		return nil, attachError(id, addr, flags, err)
	}
	// The size is asked for afterwards: an attached segment cannot go away,
	// even when it is removed meanwhile.
	n, err := attachedSize(id, p)
	if err != nil {
		sys.Shmdt(p)
		return nil, &sys.Error{Op: "shmat", Kind: "sysv", Name: id.String(), Err: fmt.Errorf("cannot find out the size: %w", err)}
	}
	return &Attachment{id: id, region: mem.At(p, n)}, nil
}

func attachedSize(id ID, addr uintptr) (int, error) {
	var ds sys.ShmidDs
	_, err := sys.ShmctlDs(int(id), sys.IPC_STAT, &ds)
	if err != nil {
		got, e := sys.ShmctlDs(id.Index(), sys.SHM_STAT_ANY, &ds)
		if e == nil && got != int(id) {
			e = syscall.EINVAL
		}
		err = e
	}
	if err == nil {
		return int(ds.Segsz), nil
	}
	for m, e := range procfs.Root("/proc").Maps(os.Getpid()) {
		if e != nil {
			return 0, errors.Join(err, e)
		}
		if m.Start == uint64(addr) {
			return int(m.End - m.Start), nil
		}
	}
	return 0, err
}

func attachError(id ID, addr uintptr, flags int, err error) error {
	e := &sys.Error{Op: "shmat", Kind: "sysv", Name: id.String(), Err: err}
	page := uintptr(os.Getpagesize())
	switch {
	case errors.Is(err, syscall.EINVAL):
		_, statErr := Stat(id)
		switch {
		case errors.Is(statErr, syscall.EINVAL) || errors.Is(statErr, sys.EIDRM):
			e.Err = fmt.Errorf("no segment has this identifier: %w", err)
			e.Hint = "it may have been removed; identifiers are those of this IPC namespace"
		case addr%page != 0 && flags&SHM_RND == 0:
			e.Err = fmt.Errorf("address %#x is not a multiple of the page size: %w", addr, err)
			e.Hint = "SHM_RND rounds it down"
		case addr == 0 && flags&SHM_REMAP != 0 || addr < page && flags&SHM_RND != 0:
			e.Err = fmt.Errorf("SHM_REMAP needs an address: %w", err)
		case addr != 0 && flags&SHM_REMAP == 0:
			e.Err = fmt.Errorf("something is mapped at address %#x: %w", addr, err)
			e.Hint = "SHM_REMAP replaces it; address 0 lets the kernel choose"
		}
	case errors.Is(err, syscall.EACCES):
		e.Hint = "the segment's mode must grant read, and without SHM_RDONLY write, to this user"
	}
	return e
}

// ID is the segment's identifier.
func (a *Attachment) ID() ID { return a.id }

// Addr is where the segment is attached.
func (a *Attachment) Addr() uintptr { return a.region.Addr() }

// Len is the segment's size in bytes, as it was created: not rounded.
func (a *Attachment) Len() int { return a.region.Len() }

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
		return &sys.Error{Op: "shmdt", Kind: "sysv", Name: a.id.String(), Err: err}
	}
	return nil
}

// Detach is shmdt(2): it detaches the segment that is attached at addr,
// which must be exactly where an attachment starts.
func Detach(addr uintptr) error {
	if err := sys.Shmdt(addr); err != nil {
		return &sys.Error{Op: "shmdt", Kind: "sysv", Name: fmt.Sprintf("address %#x", addr), Err: err}
	}
	return nil
}
