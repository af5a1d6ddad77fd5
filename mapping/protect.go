package mapping

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Flags of Sync.
const (
	MS_ASYNC      = sys.MS_ASYNC      // begin to write
	MS_SYNC       = sys.MS_SYNC       // write and wait
	MS_INVALIDATE = sys.MS_INVALIDATE // other mappings see it
)

// Advice for Advise (madvise(2)).
const (
	MADV_NORMAL         = sys.MADV_NORMAL
	MADV_RANDOM         = sys.MADV_RANDOM
	MADV_SEQUENTIAL     = sys.MADV_SEQUENTIAL
	MADV_WILLNEED       = sys.MADV_WILLNEED
	MADV_DONTNEED       = sys.MADV_DONTNEED
	MADV_FREE           = sys.MADV_FREE
	MADV_REMOVE         = sys.MADV_REMOVE
	MADV_DONTFORK       = sys.MADV_DONTFORK
	MADV_DOFORK         = sys.MADV_DOFORK
	MADV_MERGEABLE      = sys.MADV_MERGEABLE
	MADV_UNMERGEABLE    = sys.MADV_UNMERGEABLE
	MADV_HUGEPAGE       = sys.MADV_HUGEPAGE
	MADV_NOHUGEPAGE     = sys.MADV_NOHUGEPAGE
	MADV_DONTDUMP       = sys.MADV_DONTDUMP
	MADV_DODUMP         = sys.MADV_DODUMP
	MADV_WIPEONFORK     = sys.MADV_WIPEONFORK
	MADV_KEEPONFORK     = sys.MADV_KEEPONFORK
	MADV_COLD           = sys.MADV_COLD
	MADV_PAGEOUT        = sys.MADV_PAGEOUT
	MADV_POPULATE_READ  = sys.MADV_POPULATE_READ
	MADV_POPULATE_WRITE = sys.MADV_POPULATE_WRITE
)

// Flags of Remap.
const (
	MREMAP_MAYMOVE   = sys.MREMAP_MAYMOVE   // move where it cannot grow in place
	MREMAP_FIXED     = sys.MREMAP_FIXED     // move exactly to newAddr, replacing what is there
	MREMAP_DONTUNMAP = sys.MREMAP_DONTUNMAP // leave the old range mapped, and empty
)

// Protect is mprotect(2) for length bytes from offset on, which must be a
// multiple of the page size.
func (m *Mapping) Protect(offset, length, prot int) error {
	return m.call("mprotect", offset, length, func(addr, n uintptr) error {
		err := sys.Mprotect(addr, n, prot)
		if errors.Is(err, syscall.EACCES) {
			err = fmt.Errorf("the descriptor it was mapped by does not allow this protection: %w", err)
		}
		return err
	})
}

// Sync is msync(2). On a tmpfs there is nothing to be written.
func (m *Mapping) Sync(offset, length, flags int) error {
	return m.call("msync", offset, length, func(addr, n uintptr) error { return sys.Msync(addr, n, flags) })
}

// Advise is madvise(2).
func (m *Mapping) Advise(offset, length, advice int) error {
	return m.call("madvise", offset, length, func(addr, n uintptr) error { return sys.Madvise(addr, n, advice) })
}

// Lock is mlock(2): the pages are brought into memory and stay there.
// RLIMIT_MEMLOCK bounds it (ENOMEM, EPERM).
func (m *Mapping) Lock(offset, length int) error {
	return m.call("mlock", offset, length, sys.Mlock)
}

// Unlock is munlock(2).
func (m *Mapping) Unlock(offset, length int) error {
	return m.call("munlock", offset, length, sys.Munlock)
}

// Resident is mincore(2): for every page of the range whether it is in
// memory.
func (m *Mapping) Resident(offset, length int) ([]bool, error) {
	var pages []bool
	err := m.call("mincore", offset, length, func(addr, n uintptr) error {
		page := uintptr(os.Getpagesize())
		vec := make([]byte, (n+page-1)/page)
		if len(vec) == 0 {
			return nil
		}
		if err := sys.Mincore(addr, n, vec); err != nil {
			return err
		}
		pages = make([]bool, len(vec))
		for i, v := range vec {
			pages[i] = v&1 != 0
		}
		return nil
	})
	return pages, err
}

func (m *Mapping) call(op string, offset, length int, f func(addr, n uintptr) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.owned(op, offset, length); err != nil {
		return err
	}
	if err := f(m.region.Addr()+uintptr(offset), uintptr(length)); err != nil {
		return m.fail(op, offset, length, err)
	}
	return nil
}

// Remap is mremap(2): it gives the whole mapping another length, with
// MREMAP_MAYMOVE at another address where need be, with MREMAP_FIXED at
// newAddr. Slices that Bytes gave before must not be used any more. When a
// move to a shorter length fails, the mapping may be the shorter one, where
// it was. A mapping with parts of different protection neither grows nor,
// before Linux 6.17, moves (EFAULT), and one of huge pages does not grow
// (EINVAL). Shared memory does not grow with its mapping: what lies behind its
// end, as all that is added to shared anonymous memory, is SIGBUS.
func (m *Mapping) Remap(newLength, flags int, newAddr uintptr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.owned("mremap", 0, m.whole); err != nil {
		return err
	}
	switch {
	case newLength <= 0:
		return m.fail("mremap", 0, m.whole, fmt.Errorf("the new length must be at least 1: %w", syscall.EINVAL))
	case flags&MREMAP_DONTUNMAP != 0:
		return m.fail("mremap", 0, m.whole, fmt.Errorf("MREMAP_DONTUNMAP would leave a range that nobody owns: use Duplicate: %w", syscall.EINVAL))
	case flags&MREMAP_FIXED != 0 && newAddr == 0:
		return m.fail("mremap", 0, m.whole, errNull)
	}
	whole := roundUp(newLength, m.granule)
	if flags&MREMAP_FIXED != 0 && whole < m.whole {
		// The kernel would unmap the surplus first and could still fail then,
		// without telling how far it got. In two steps it is always known
		// what is ours.
		if err := m.remap(newLength, 0, 0); err != nil {
			return err
		}
	}
	return m.remap(newLength, flags, newAddr)
}

func (m *Mapping) remap(newLength, flags int, newAddr uintptr) error {
	p, err := sys.Mremap(m.region.Addr(), uintptr(m.whole), uintptr(newLength), flags, newAddr)
	if err != nil {
		return m.fail("mremap", 0, m.whole, err)
	}
	m.region = mem.At(p, newLength)
	m.whole = roundUp(newLength, m.granule)
	m.live = []span{{0, m.whole}}
	return nil
}

// Duplicate is mremap(2) with an old size of 0: a second mapping of the same
// shared memory, of the same length, protected as its first page is. A
// private mapping cannot be duplicated, nor can one of huge pages (EINVAL).
func (m *Mapping) Duplicate() (*Mapping, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.owned("mremap", 0, m.whole); err != nil {
		return nil, err
	}
	p, err := sys.Mremap(m.region.Addr(), 0, uintptr(m.whole), MREMAP_MAYMOVE, 0)
	if err != nil {
		return nil, m.fail("mremap", 0, 0, err)
	}
	return newMapping(p, m.region.Len(), m.granule), nil
}
