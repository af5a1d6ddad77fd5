package sysv

import (
	"fmt"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Key is the name of a segment that several programs agree on: any number of
// 32 bits, negative ones included.
type Key int32

// IPC_PRIVATE is the key under which every Get creates a new segment that no
// key finds again. It reaches other processes by its ID.
const IPC_PRIVATE Key = sys.IPC_PRIVATE

// String gives the key as an address, in the form of ipcs: "sysv:0x00001234".
func (k Key) String() string {
	if k == IPC_PRIVATE {
		return "sysv:private"
	}
	return fmt.Sprintf("sysv:0x%08x", uint32(k))
}

// Ftok is ftok(3) as glibc has it: the key made of the low 16 bits of the
// inode number of the file at path, the low 8 bits of the minor number of
// its device, and the low 8 bits of proj. Symbolic links are followed; any
// error is stat(2)'s.
//
// Keys of different files may be equal, and a file that was deleted and made
// again may have another key. The key -1 is a possible result: only err
// tells of failure. (C programs that do not check for ftok's -1 go on with
// key 0xffffffff, which is an ordinary key.)
func Ftok(path string, proj int) (Key, error) {
	st, err := sys.StatPath(path)
	if err != nil {
		return -1, &sys.Error{Op: "ftok", Kind: "sysv", Name: path, Err: err, Hint: "ftok needs an existing file; any file both programs can reach will do"}
	}
	k := uint32(st.Ino&0xffff) | uint32(st.Dev&0xff)<<16 | uint32(proj&0xff)<<24
	return Key(int32(k)), nil
}
