// Package sysv is System V shared memory as the manual pages have it:
// ftok(3), shmget(2), shmat(2), shmdt(2) and shmctl(2), with every flag and
// every errno, from pure Go.
//
// A segment is found by a Key, which programs agree on, and used by an ID,
// which the kernel gives. It lives until Remove (or until the machine
// stops), whoever has it attached; what is attached stays usable until the
// last detach, even after Remove.
//
// # Guarantees
//
//   - ID 0 is an ordinary identifier, and no Key is special but IPC_PRIVATE.
//   - Attach demands no more permission than shmat(2) does.
//   - Sizes past 4 GiB work everywhere.
//   - Every error is a *shm.Error that names the segment and unwraps to the
//     errno; errors.Is(err, fs.ErrNotExist) holds for EIDRM too, and for the
//     EINVAL by which the kernel says that an ID is nobody's.
//
// # Limits
//
// The package is as raw as the calls are: bytes of an Attachment must not be
// touched after Detach, and System V knows no read-only open. Package shm
// puts a safe type on top. A store for which the system has no memory left
// is a SIGBUS: System V segments are not reserved when they are created.
//
// All functions may be called concurrently.
package sysv

import (
	"errors"
	"fmt"
	"math/bits"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Flags of Get, to be or-ed with the nine permission bits. The kernel takes
// the mode as it is: no umask is applied to System V segments.
const (
	IPC_CREAT     = sys.IPC_CREAT     // create the segment when the key has none
	IPC_EXCL      = sys.IPC_EXCL      // with IPC_CREAT: fail with EEXIST when the key has one
	SHM_HUGETLB   = sys.SHM_HUGETLB   // use huge pages, of the default size unless a size is given too
	SHM_NORESERVE = sys.SHM_NORESERVE // account no memory for it beforehand

	SHM_HUGE_2MB = 21 << sys.HUGE_SHIFT // with SHM_HUGETLB: pages of 2 MiB
	SHM_HUGE_1GB = 30 << sys.HUGE_SHIFT // with SHM_HUGETLB: pages of 1 GiB
)

// Flags of Attach.
const (
	SHM_RDONLY = sys.SHM_RDONLY // attach for reading only
	SHM_RND    = sys.SHM_RND    // round the address down to a multiple of SHMLBA, the page size
	SHM_REMAP  = sys.SHM_REMAP  // replace what is mapped at the address
	SHM_EXEC   = sys.SHM_EXEC   // the contents may be executed
)

// Bits of Segment.Mode beyond the permissions.
const (
	SHM_DEST   = sys.SHM_DEST   // removed; goes with the last detach
	SHM_LOCKED = sys.SHM_LOCKED // locked into memory by Lock
)

// ID identifies a segment inside one IPC namespace. The kernel builds it
// from a table index (Index) and a sequence number, so that the ID of a
// removed segment is not soon used again. 0 is a valid ID.
type ID int

// Index is the segment's index in the kernel's table, as StatIndex takes it.
// (Kernels booted with ipcmni_extend use more bits, and there an index is
// found only by trying.)
func (id ID) Index() int { return int(id) & 0x7fff }

// String gives the segment's address, "sysv:id=7".
func (id ID) String() string { return fmt.Sprintf("sysv:id=%d", int(id)) }

// Get is shmget(2): it gives the ID of the segment with the key, and with
// IPC_CREAT in flags creates one of size bytes where there is none.
// IPC_PRIVATE always creates. The low nine bits of flags are the mode of a
// new segment; for one that exists they are the permissions that the caller
// must have. The size of an existing segment is never changed: a smaller or
// zero size is fine, a larger one is EINVAL.
func Get(key Key, size int64, flags int) (ID, error) {
	id, err := sys.Shmget(int32(key), uintptr(size), flags)
	if err != nil {
		return -1, getError(key, size, flags, err)
	}
	return ID(id), nil
}

// getError says in words which of an errno's causes it was, where that can
// be found out.
func getError(key Key, size int64, flags int, err error) error {
	e := &sys.Error{Op: "shmget", Kind: "sysv", Name: key.String(), Err: err}
	switch {
	case errors.Is(err, syscall.EINVAL):
		if size < 0 {
			e.Err = fmt.Errorf("%d is no size: %w", size, err)
			return e
		}
		if has, ok := existingSize(key); ok && uint64(size) > has {
			e.Err = fmt.Errorf("the segment has %d bytes and %d were asked for: %w", has, size, err)
			e.Hint = "a segment cannot be resized: ask for its size or less, or remove it and create it anew"
			return e
		}
		lim, err2 := GetLimits()
		switch {
		case size == 0:
			e.Err = fmt.Errorf("a new segment needs a size of at least 1 byte: %w", err)
		case err2 == nil && uint64(size) > lim.Max:
			e.Err = fmt.Errorf("%d bytes are more than the limit of %d: %w", size, lim.Max, err)
			e.Hint = "raise the sysctl kernel.shmmax, or use POSIX shared memory"
		case flags&SHM_HUGETLB != 0:
			e.Err = fmt.Errorf("the kernel has no huge pages of this size: %w", err)
			e.Hint = "the directories of /sys/kernel/mm/hugepages show the sizes that there are"
		}
	case errors.Is(err, syscall.ENOSPC):
		if u, err2 := GetUsage(); err2 == nil {
			if lim, err2 := GetLimits(); err2 == nil && uint64(u.Segments) >= lim.Segments {
				e.Err = fmt.Errorf("all %d segment identifiers are in use: %w", lim.Segments, err)
				e.Hint = "remove segments that nobody uses (ipcs -m shows them), or raise the sysctl kernel.shmmni"
				return e
			}
		}
		e.Err = fmt.Errorf("the system-wide limit on System V memory would be passed: %w", err)
		e.Hint = "remove segments that nobody uses (ipcs -m shows them), or raise the sysctl kernel.shmall"
	case errors.Is(err, syscall.ENOMEM) && flags&SHM_HUGETLB != 0:
		e.Err = fmt.Errorf("not enough free huge pages: %w", err)
		e.Hint = "reserve some with the sysctl vm.nr_hugepages, or leave SHM_HUGETLB out"
	case errors.Is(err, syscall.ENOMEM):
		e.Hint = "the kernel will not promise that much memory (sysctl vm.overcommit_memory); with SHM_NORESERVE it need not"
	case errors.Is(err, syscall.EPERM) && flags&SHM_HUGETLB != 0:
		e.Hint = "huge pages need CAP_IPC_LOCK or membership in the group of the sysctl vm.hugetlb_shm_group"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "the segment's mode does not grant the permissions asked for"
	case errors.Is(err, syscall.EEXIST):
		e.Hint = "leave IPC_EXCL out to use the existing segment"
	case errors.Is(err, syscall.ENOENT):
		e.Hint = "no segment has this key in this IPC namespace"
	}
	return e
}

// existingSize gives the size of the segment that has the key, if one has.
func existingSize(key Key) (uint64, bool) {
	if key == IPC_PRIVATE {
		return 0, false
	}
	id, err := sys.Shmget(int32(key), 0, 0)
	if err != nil {
		return 0, false
	}
	var ds sys.ShmidDs
	err = stat(ID(id), &ds)
	return ds.Segsz, err == nil
}

// HugeSize gives the flags that ask Get for huge pages of size bytes, a
// power of two; 0 means the default size. Which sizes there are depends on
// the machine: Get answers EINVAL for others.
func HugeSize(size int64) (flags int, err error) {
	if size == 0 {
		return SHM_HUGETLB, nil
	}
	if size < 2 || size&(size-1) != 0 { // 1 would be encoded as the default
		return 0, &sys.Error{Op: "shmget", Kind: "sysv", Err: fmt.Errorf("%d is no page size: it must be a power of two: %w", size, syscall.EINVAL)}
	}
	return SHM_HUGETLB | bits.TrailingZeros64(uint64(size))<<sys.HUGE_SHIFT, nil
}
