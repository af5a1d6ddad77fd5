// Package mapping is mmap(2) and its family from pure Go: the four kinds of
// mapping (private and shared, anonymous and file), and munmap, mprotect,
// msync, madvise, mlock, mincore and mremap on them.
//
//	                shared                              private
//	anonymous       memory that only this process        ordinary memory, outside
//	                and /proc can reach                  Go's heap
//	file            the file itself: what one process    copy-on-write: stores stay
//	                stores all others see                here, the file never changes
//
// Shared file mappings of an object in /dev/shm or of a memfd are what
// processes share memory by; the others are here because the manual page has
// them.
//
// # Guarantees
//
//   - What is mapped is not Go memory: the collector neither moves nor frees
//     it, and no finalizer unmaps it.
//   - A Mapping never touches address space that is no longer its own: parts
//     that were unmapped are remembered.
//   - Every error is a *shm.Error that unwraps to the errno.
//
// # Limits
//
// Bytes are raw memory. Touching them after Unmap, storing where PROT_WRITE
// is missing, or touching a page behind the end of a file (also one that
// somebody cut short meanwhile) is a fault that kills the program, unless
// debug.SetPanicOnFault was set. Package shm puts a safe type on top.
package mapping

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// Protections, to be or-ed.
const (
	PROT_NONE  = sys.PROT_NONE  // may not be touched at all
	PROT_READ  = sys.PROT_READ  // may be read
	PROT_WRITE = sys.PROT_WRITE // may be written
	PROT_EXEC  = sys.PROT_EXEC  // may be executed
)

// Flags of Mmap: exactly one of the first three, and any of the rest.
const (
	MAP_SHARED          = sys.MAP_SHARED          // stores go to the object
	MAP_PRIVATE         = sys.MAP_PRIVATE         // stores go to copies of this process
	MAP_SHARED_VALIDATE = sys.MAP_SHARED_VALIDATE // MAP_SHARED that refuses unknown flags

	MAP_ANONYMOUS       = sys.MAP_ANONYMOUS       // no file: zeroed memory
	MAP_FIXED           = sys.MAP_FIXED           // exactly at the address, replacing what is there
	MAP_FIXED_NOREPLACE = sys.MAP_FIXED_NOREPLACE // exactly there, or EEXIST
	MAP_POPULATE        = sys.MAP_POPULATE        // bring the pages in at once
	MAP_NONBLOCK        = sys.MAP_NONBLOCK        // with MAP_POPULATE: only what is in memory
	MAP_LOCKED          = sys.MAP_LOCKED          // lock the pages into memory
	MAP_NORESERVE       = sys.MAP_NORESERVE       // account no memory for it beforehand
	MAP_HUGETLB         = sys.MAP_HUGETLB         // huge pages
	MAP_HUGE_2MB        = 21 << sys.HUGE_SHIFT    // of 2 MiB
	MAP_HUGE_1GB        = 30 << sys.HUGE_SHIFT    // of 1 GiB
	MAP_GROWSDOWN       = sys.MAP_GROWSDOWN       // for stacks
	MAP_STACK           = sys.MAP_STACK           // for stacks; means nothing on Linux
	MAP_SYNC            = sys.MAP_SYNC            // with MAP_SHARED_VALIDATE on persistent memory
)

// Mmap is mmap(2) as the manual page has it. fd is ignored with
// MAP_ANONYMOUS, and may be closed afterwards. MAP_SHARED|MAP_PRIVATE is not
// both but, by accident of numbers, MAP_SHARED_VALIDATE; the functions for
// the four kinds leave no room for that mistake. MAP_FIXED at address 0 is
// refused with EPERM, for root too: Go takes that address for nil.
func Mmap(addr uintptr, length int, prot, flags, fd int, offset int64) (*Mapping, error) {
	if addr == 0 && flags&(MAP_FIXED|MAP_FIXED_NOREPLACE) != 0 {
		return nil, mmapError(addr, length, prot, flags, fd, offset, errNull)
	}
	p, err := sys.Mmap(addr, uintptr(length), prot, flags, fd, offset)
	if err != nil {
		return nil, mmapError(addr, length, prot, flags, fd, offset, err)
	}
	granule := os.Getpagesize()
	if p%smallestHuge == 0 {
		// Huge pages are aligned to their size: elsewhere the file system
		// need not be asked.
		granule = hugeGranule(flags, fd, granule)
	}
	return newMapping(p, length, granule), nil
}

// smallestHuge is the size of the smallest huge page on any machine that this
// module supports: arm64 and riscv64 have it.
const smallestHuge = 64 << 10

// errNull answers who wants memory at address 0.
var errNull = fmt.Errorf("a Go program cannot have memory at address 0: %w", syscall.EPERM)

// hugeGranule gives the size in which the kernel maps and unmaps here: that
// of the file system's huge pages or of the size in flags, else page.
func hugeGranule(flags, fd, page int) int {
	if flags&MAP_ANONYMOUS != 0 {
		if flags&MAP_HUGETLB == 0 {
			return page
		}
		if log := flags >> sys.HUGE_SHIFT & 0x3f; log != 0 {
			return 1 << log
		}
		return defaultHugePage(page)
	}
	if st, err := sys.Fstatfs(fd); err == nil && uint64(uint32(st.Type)) == sys.HUGETLBFS_MAGIC {
		return int(st.BlockSize)
	}
	return page
}

// defaultHugePage reads it from /proc/meminfo; where that is missing there
// are no huge pages to be unmapped either.
func defaultHugePage(page int) int {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return page
	}
	var kib int
	if _, rest, ok := strings.Cut(string(b), "Hugepagesize:"); ok {
		fmt.Sscan(rest, &kib)
	}
	return max(kib<<10, page)
}

func mmapError(addr uintptr, length, prot, flags, fd int, offset int64, err error) error {
	what := fmt.Sprintf("%d bytes", length)
	if flags&MAP_ANONYMOUS == 0 {
		what += fmt.Sprintf(" of descriptor %d from %d on", fd, offset)
	}
	e := &sys.Error{Op: "mmap", Kind: "mapping", Name: what, Err: err}
	say := func(reason string) { e.Err = fmt.Errorf("%s: %w", reason, err) }
	page := uintptr(os.Getpagesize())
	granule := hugeGranule(flags, fd, int(page))
	switch {
	case length <= 0 && (errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOMEM)):
		// The kernel takes a negative length for one that is much too large.
		say("the length must be at least 1")
	case errors.Is(err, syscall.EINVAL):
		switch {
		case flags&0x0f == 0:
			say("one of MAP_SHARED and MAP_PRIVATE is needed")
		case uint64(offset)%uint64(page) != 0:
			say("the offset is not a multiple of the page size")
			e.Hint = fmt.Sprintf("map from a multiple of %d on and skip the rest", page)
		case flags&(MAP_FIXED|MAP_FIXED_NOREPLACE) != 0 && addr%page != 0:
			say("the address is not a multiple of the page size")
		case flags&MAP_ANONYMOUS == 0 && offset%int64(granule) != 0:
			say(fmt.Sprintf("the offset is not a multiple of the file's huge page size, %d", granule))
		case flags&MAP_HUGETLB != 0:
			say("no huge pages of this size here")
		}
	case errors.Is(err, syscall.EACCES):
		say("the descriptor's access mode does not allow it")
		e.Hint = "every mapping needs a readable descriptor, a shared one with PROT_WRITE an O_RDWR one"
	case errors.Is(err, syscall.ENOMEM) && granule != int(page):
		say("not enough free huge pages")
		e.Hint = "reserve some with the sysctl vm.nr_hugepages"
	case errors.Is(err, syscall.ENOMEM):
		say("not enough address space, memory or mappings left")
		e.Hint = "see ulimit -v, ulimit -d and the sysctl vm.max_map_count"
	case errors.Is(err, syscall.EAGAIN):
		say("more locked memory than RLIMIT_MEMLOCK (ulimit -l) allows")
	case errors.Is(err, syscall.EEXIST):
		say(fmt.Sprintf("something is mapped at %#x", addr))
	case errors.Is(err, syscall.ENODEV):
		say("what the descriptor stands for cannot be mapped")
	case errors.Is(err, syscall.EBADF):
		say("the descriptor is not open, or was opened with O_PATH")
	case errors.Is(err, syscall.EOVERFLOW):
		say("no file reaches so far")
	case err == errNull:
	case errors.Is(err, syscall.EPERM):
		say("a seal, a noexec mount or the lowest allowed address forbids it")
	case errors.Is(err, syscall.EOPNOTSUPP):
		say("a flag that this kernel or file system does not know")
	}
	return e
}

// newMapping describes what the kernel mapped for a length.
func newMapping(addr uintptr, length, granule int) *Mapping {
	whole := roundUp(length, granule)
	return &Mapping{
		region:  mem.At(addr, length),
		granule: granule,
		live:    []span{{0, whole}},
		whole:   whole,
	}
}

func roundUp(n, granule int) int {
	if bits.OnesCount(uint(granule)) != 1 {
		return n
	}
	return (n + granule - 1) &^ (granule - 1)
}
