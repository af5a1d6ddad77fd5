package mapping

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Mapping is a range of this process' address space that Mmap or one of the
// four kinds made. Methods may be called concurrently; what touches Bytes
// must be done before Unmap, UnmapRange and Remap begin.
type Mapping struct {
	mu      sync.Mutex
	region  mem.Region // as long as asked for
	whole   int        // as long as the kernel mapped it: rounded up to granule
	granule int        // the page size in which it is mapped
	live    []span     // what is still mapped, in order; none after Unmap
}

// span is a range of offsets, from start up to end.
type span struct{ start, end int }

// Bytes is the mapped memory itself, not a copy, as long as asked for; nil
// when nothing of it is mapped any more. It stays valid until Unmap,
// UnmapRange or Remap takes it away.
func (m *Mapping) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.live) == 0 {
		return nil
	}
	return m.region.Bytes()
}

// Addr is the address of the first byte.
func (m *Mapping) Addr() uintptr {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.region.Addr()
}

// Len is the length in bytes, as asked for: not rounded up to whole pages.
func (m *Mapping) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.region.Len()
}

// Unmap is munmap(2) for all that is still mapped. Later calls do nothing.
// ENOMEM (vm.max_map_count) is possible where the kernel has joined the
// mapping with its neighbours; then Unmap can be called again.
func (m *Mapping) Unmap() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.live) > 0 {
		s := m.live[0]
		if err := sys.Munmap(m.region.Addr()+uintptr(s.start), uintptr(s.end-s.start)); err != nil {
			return m.fail("munmap", s.start, s.end-s.start, err)
		}
		m.live = m.live[1:]
	}
	return nil
}

// UnmapRange is munmap(2) for length bytes from offset on, which must be a
// multiple of the page size; every page that the range touches goes. What
// was unmapped before is left alone, whoever may have mapped it since.
func (m *Mapping) UnmapRange(offset, length int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.within("munmap", offset, length); err != nil {
		return err
	}
	if length == 0 || offset%m.granule != 0 {
		return m.fail("munmap", offset, length, fmt.Errorf("the range must start at a page and have a length: %w", syscall.EINVAL))
	}
	cut := span{offset, roundUp(offset+length, m.granule)}
	var left []span
	for i, s := range m.live {
		gone := span{max(s.start, cut.start), min(s.end, cut.end)}
		if gone.start >= gone.end {
			left = append(left, s)
			continue
		}
		if err := sys.Munmap(m.region.Addr()+uintptr(gone.start), uintptr(gone.end-gone.start)); err != nil {
			m.live = slices.Concat(left, m.live[i:])
			return m.fail("munmap", gone.start, gone.end-gone.start, err)
		}
		if s.start < gone.start {
			left = append(left, span{s.start, gone.start})
		}
		if gone.end < s.end {
			left = append(left, span{gone.end, s.end})
		}
	}
	m.live = left
	return nil
}

// within refuses a range outside the mapped pages, and everything after
// Unmap. m.mu is held.
func (m *Mapping) within(op string, offset, length int) error {
	if len(m.live) == 0 {
		return m.fail(op, offset, length, fs.ErrClosed)
	}
	if offset < 0 || length < 0 || offset > m.whole || length > m.whole-offset {
		return m.fail(op, offset, length, fmt.Errorf("not inside the %d bytes of the mapping: %w", m.whole, syscall.ENOMEM))
	}
	return nil
}

// owned refuses, besides, a range of which a part was unmapped: the address
// space there may be somebody else's by now. m.mu is held.
func (m *Mapping) owned(op string, offset, length int) error {
	if err := m.within(op, offset, length); err != nil {
		return err
	}
	start, end := offset-offset%m.granule, roundUp(offset+length, m.granule)
	if start == end {
		return nil
	}
	for _, s := range m.live {
		if s.start <= start && end <= s.end {
			return nil
		}
	}
	return m.fail(op, offset, length, fmt.Errorf("a part of it is not mapped any more: %w", syscall.ENOMEM))
}

func (m *Mapping) fail(op string, offset, length int, err error) error {
	return &sys.Error{Op: op, Kind: "mapping", Name: fmt.Sprintf("%d bytes from %d on of the mapping at %#x", length, offset, m.region.Addr()), Err: err}
}
