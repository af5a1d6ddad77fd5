package sys

// Numbers of Linux's generic ABI, the same on every machine this module
// supports (sys/ipc.h, sys/shm.h, sys/mman.h, linux/memfd.h, linux/fcntl.h).
// They stand here, and not in a file for Linux alone, so that packages above
// compile everywhere. What differs between machines (O_NOFOLLOW and its like)
// comes from the tables of golang.org/x/sys/unix instead.
const (
	IPC_CREAT   = 0o1000
	IPC_EXCL    = 0o2000
	IPC_PRIVATE = 0

	IPC_RMID = 0
	IPC_SET  = 1
	IPC_STAT = 2
	IPC_INFO = 3

	SHM_LOCK     = 11
	SHM_UNLOCK   = 12
	SHM_STAT     = 13
	SHM_INFO     = 14
	SHM_STAT_ANY = 15

	SHM_HUGETLB   = 0o4000
	SHM_NORESERVE = 0o10000

	SHM_RDONLY = 0o10000
	SHM_RND    = 0o20000
	SHM_REMAP  = 0o40000
	SHM_EXEC   = 0o100000

	SHM_DEST   = 0o1000
	SHM_LOCKED = 0o2000

	// HUGE_SHIFT is where the base-2 logarithm of a huge page size stands
	// in the flags of shmget, mmap and memfd_create.
	HUGE_SHIFT = 26
)

// mmap(2), msync(2), mremap(2) and madvise(2).
const (
	PROT_NONE  = 0
	PROT_READ  = 1
	PROT_WRITE = 2
	PROT_EXEC  = 4

	MAP_SHARED          = 0x01
	MAP_PRIVATE         = 0x02
	MAP_SHARED_VALIDATE = 0x03
	MAP_FIXED           = 0x10
	MAP_ANONYMOUS       = 0x20
	MAP_GROWSDOWN       = 0x100
	MAP_LOCKED          = 0x2000
	MAP_NORESERVE       = 0x4000
	MAP_POPULATE        = 0x8000
	MAP_NONBLOCK        = 0x10000
	MAP_STACK           = 0x20000
	MAP_HUGETLB         = 0x40000
	MAP_SYNC            = 0x80000
	MAP_FIXED_NOREPLACE = 0x100000

	MS_ASYNC      = 1
	MS_INVALIDATE = 2
	MS_SYNC       = 4

	MREMAP_MAYMOVE   = 1
	MREMAP_FIXED     = 2
	MREMAP_DONTUNMAP = 4

	MADV_NORMAL         = 0
	MADV_RANDOM         = 1
	MADV_SEQUENTIAL     = 2
	MADV_WILLNEED       = 3
	MADV_DONTNEED       = 4
	MADV_FREE           = 8
	MADV_REMOVE         = 9
	MADV_DONTFORK       = 10
	MADV_DOFORK         = 11
	MADV_MERGEABLE      = 12
	MADV_UNMERGEABLE    = 13
	MADV_HUGEPAGE       = 14
	MADV_NOHUGEPAGE     = 15
	MADV_DONTDUMP       = 16
	MADV_DODUMP         = 17
	MADV_WIPEONFORK     = 18
	MADV_KEEPONFORK     = 19
	MADV_COLD           = 20
	MADV_PAGEOUT        = 21
	MADV_POPULATE_READ  = 22
	MADV_POPULATE_WRITE = 23
)

// memfd_create(2), fcntl(2), fallocate(2) and statfs(2).
const (
	MFD_CLOEXEC       = 0x1
	MFD_ALLOW_SEALING = 0x2
	MFD_HUGETLB       = 0x4
	MFD_NOEXEC_SEAL   = 0x8
	MFD_EXEC          = 0x10

	F_GETFL     = 3
	F_ADD_SEALS = 1033
	F_GET_SEALS = 1034

	F_SEAL_SEAL         = 0x1
	F_SEAL_SHRINK       = 0x2
	F_SEAL_GROW         = 0x4
	F_SEAL_WRITE        = 0x8
	F_SEAL_FUTURE_WRITE = 0x10
	F_SEAL_EXEC         = 0x20

	FALLOC_FL_KEEP_SIZE  = 0x1
	FALLOC_FL_PUNCH_HOLE = 0x2

	// Magic numbers of statfs(2).
	TMPFS_MAGIC     = 0x01021994
	HUGETLBFS_MAGIC = 0x958458f6
)

// Open flags that are the same on every machine that Linux's generic table
// covers and on amd64.
const (
	O_RDONLY  = 0o0
	O_WRONLY  = 0o1
	O_RDWR    = 0o2
	O_ACCMODE = 0o3
	O_CREAT   = 0o100
	O_EXCL    = 0o200
	O_TRUNC   = 0o1000
)
