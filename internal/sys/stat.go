package sys

import "time"

// S_IFMT and its values tell what kind of file a mode describes (inode(7)).
const (
	S_IFMT   = 0o170000
	S_IFSOCK = 0o140000
	S_IFLNK  = 0o120000
	S_IFREG  = 0o100000
	S_IFBLK  = 0o060000
	S_IFDIR  = 0o040000
	S_IFCHR  = 0o020000
	S_IFIFO  = 0o010000
)

// Stat is struct stat with one layout for all machines.
type Stat struct {
	Dev    uint64
	Ino    uint64
	Nlink  uint64
	Mode   uint32 // file type and permission bits, as stat(2) gives them
	UID    uint32
	GID    uint32
	Size   int64
	Blocks int64 // units of 512 bytes really allocated
	Access time.Time
	Modify time.Time
	Change time.Time
}

// Regular reports whether the file is a regular one.
func (s *Stat) Regular() bool { return s.Mode&S_IFMT == S_IFREG }

// TypeName names the kind of file for error texts.
func (s *Stat) TypeName() string {
	switch s.Mode & S_IFMT {
	case S_IFREG:
		return "regular file"
	case S_IFDIR:
		return "directory"
	case S_IFLNK:
		return "symbolic link"
	case S_IFIFO:
		return "FIFO"
	case S_IFSOCK:
		return "socket"
	case S_IFCHR:
		return "character device"
	case S_IFBLK:
		return "block device"
	}
	return "file of an unknown type"
}

// Statfs is the part of struct statfs that describes room.
type Statfs struct {
	Type      int64
	BlockSize int64
	Blocks    uint64
	Free      uint64
	Avail     uint64
	Files     uint64
	FilesFree uint64
}
