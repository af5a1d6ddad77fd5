package inspect

// Kind is the sort of an object.
type Kind string

// The kinds of objects.
const (
	KindSysV      Kind = "sysv"      // a System V segment
	KindPOSIX     Kind = "posix"     // a regular file in the shared memory mount, or one that was unlinked there and is held
	KindSemaphore Kind = "semaphore" // a POSIX semaphore, as glibc keeps it
	KindMemfd     Kind = "memfd"     // memory of memfd_create(2)
	KindTopic     Kind = "topic"     // a topic of package topic: a directory of files, which count as one object
	KindShmnet    Kind = "shmnet"    // memory of a connection of package shmnet: a memfd that two processes have mapped
	KindOther     Kind = "other"     // what else stands in the shared memory mount: directories, symbolic links, FIFOs
	KindAnonymous Kind = "anonymous" // MAP_SHARED|MAP_ANONYMOUS memory, shared by fork(2); found only when asked for
)

var kindOrder = map[Kind]int{KindSysV: 0, KindPOSIX: 1, KindSemaphore: 2, KindMemfd: 3, KindShmnet: 4, KindTopic: 5, KindAnonymous: 6, KindOther: 7}
