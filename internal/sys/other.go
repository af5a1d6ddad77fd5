//go:build !(linux && (amd64 || arm64 || loong64 || riscv64))

package sys

import "syscall"

// The stubs of every other platform: importers compile, calls answer
// ErrPlatform.

const (
	EIDRM = syscall.Errno(0x7fff)

	O_CLOEXEC   = 0o2000000
	O_NOFOLLOW  = 0o400000
	O_NONBLOCK  = 0o4000
	O_DIRECTORY = 0o200000
	O_TMPFILE   = 0o20200000
	O_PATH      = 0o10000000

	AT_FDCWD = -100

	MSG_CMSG_CLOEXEC = 0
	MSG_CTRUNC       = 0
	MSG_TRUNC        = 0
)

func Shmget(int32, uintptr, int) (int, error)                   { return -1, ErrPlatform }
func Shmat(int, uintptr, int) (uintptr, error)                  { return 0, ErrPlatform }
func Shmdt(uintptr) error                                       { return ErrPlatform }
func Shmctl(int, int, uintptr) (int, error)                     { return -1, ErrPlatform }
func ShmctlDs(int, int, *ShmidDs) (int, error)                  { return -1, ErrPlatform }
func ShmctlLimits() (Shminfo, int, error)                       { return Shminfo{}, -1, ErrPlatform }
func ShmctlUsage() (ShmUsage, int, error)                       { return ShmUsage{}, -1, ErrPlatform }
func Mmap(_, _ uintptr, _, _, _ int, _ int64) (uintptr, error)  { return 0, ErrPlatform }
func Munmap(_, _ uintptr) error                                 { return ErrPlatform }
func Mprotect(_, _ uintptr, _ int) error                        { return ErrPlatform }
func Msync(_, _ uintptr, _ int) error                           { return ErrPlatform }
func Madvise(_, _ uintptr, _ int) error                         { return ErrPlatform }
func Mlock(_, _ uintptr) error                                  { return ErrPlatform }
func Munlock(_, _ uintptr) error                                { return ErrPlatform }
func Mremap(_, _, _ uintptr, _ int, _ uintptr) (uintptr, error) { return 0, ErrPlatform }
func Mincore(_, _ uintptr, _ []byte) error                      { return ErrPlatform }
func Open(string, int, uint32) (int, error)                     { return -1, ErrPlatform }
func Close(int) error                                           { return ErrPlatform }
func Dup(int) (int, error)                                      { return -1, ErrPlatform }
func Fcntl(_, _, _ int) (int, error)                            { return -1, ErrPlatform }
func Ftruncate(int, int64) error                                { return ErrPlatform }
func Fallocate(int, uint32, int64, int64) error                 { return ErrPlatform }
func Fchmod(int, uint32) error                                  { return ErrPlatform }
func Fchown(_, _, _ int) error                                  { return ErrPlatform }
func Unlink(string) error                                       { return ErrPlatform }
func LinkFD(int, string) error                                  { return ErrPlatform }
func RenameNoReplace(_, _ string) error                         { return ErrPlatform }
func Fstat(int) (Stat, error)                                   { return Stat{}, ErrPlatform }
func StatPath(string) (Stat, error)                             { return Stat{}, ErrPlatform }
func LstatPath(string) (Stat, error)                            { return Stat{}, ErrPlatform }
func StatfsPath(string) (Statfs, error)                         { return Statfs{}, ErrPlatform }
func Fstatfs(int) (Statfs, error)                               { return Statfs{}, ErrPlatform }
func Pread(int, []byte, int64) (int, error)                     { return -1, ErrPlatform }
func Pwrite(int, []byte, int64) (int, error)                    { return -1, ErrPlatform }
func MemfdCreate(string, int) (int, error)                      { return -1, ErrPlatform }
func Minor(uint64) uint32                                       { return 0 }
func Major(uint64) uint32                                       { return 0 }
func Rights(...int) []byte                                      { return nil }
func RightsSpace(int) int                                       { return 0 }
func ParseRights([]byte) ([]int, error)                         { return nil, ErrPlatform }
func Openat(int, string, int, uint32) (int, error)              { return -1, ErrPlatform }
func Mkdirat(int, string, uint32) error                         { return ErrPlatform }
func Chmodat(int, string, uint32) error                         { return ErrPlatform }
func Unlinkat(int, string) error                                { return ErrPlatform }
func Rmdirat(int, string) error                                 { return ErrPlatform }
func RenameatNoReplace(int, string, string) error               { return ErrPlatform }
func LstatAt(int, string) (Stat, error)                         { return Stat{}, ErrPlatform }
func LinkFDAt(int, int, string) error                           { return ErrPlatform }
func Getdents(int, []byte) (int, error)                         { return 0, ErrPlatform }
func Rewind(int) error                                          { return ErrPlatform }
func LockByte(int) error                                        { return ErrPlatform }
func ByteLocked(int) (bool, error)                              { return false, ErrPlatform }
func ProcessExists(int) bool                                    { return false }
