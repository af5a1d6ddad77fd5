package shm

import (
	"io/fs"
	"time"

	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// Info is what the kernel knows about shared memory. Which fields count
// depends on Kind; a zero time means never or not known.
type Info struct {
	Address string
	Kind    Kind
	Size    int64       // bytes
	Used    int64       // bytes in memory, -1 where the kernel does not say
	Mode    fs.FileMode // permissions
	UID     uint32      // owner
	GID     uint32
	Removed bool // has no name any more and goes with its last user

	Accessed time.Time // POSIX, memfd
	Modified time.Time // POSIX, memfd
	Changed  time.Time // change of status; for System V creation or the last change of rights

	SysV  *sysv.Segment // the whole struct, for kind SysV
	Inode uint64        // POSIX, memfd: with Dev the identity
	Dev   uint64
	Links uint64      // POSIX: names
	Seals memfd.Seals // memfd
}

func sysvInfo(s sysv.Segment) Info {
	return Info{
		Kind: SysV, Size: s.Size, Used: s.Resident, Mode: s.Perm(), UID: s.UID, GID: s.GID,
		Removed: s.Removed(), Changed: s.ChangeTime, SysV: &s,
	}
}

func posixInfo(s posix.Status) Info {
	return Info{
		Kind: POSIX, Size: s.Size, Used: s.Used, Mode: s.Mode, UID: s.UID, GID: s.GID,
		Removed: s.Links == 0, Accessed: s.Access, Modified: s.Modify, Changed: s.Change,
		Inode: s.Inode, Dev: s.Dev, Links: s.Links,
	}
}

func memfdInfo(s memfd.Status) Info {
	return Info{
		Kind: Memfd, Size: s.Size, Used: s.Used, Mode: fs.FileMode(s.Mode & 0o777), UID: s.UID, GID: s.GID,
		Removed: true, Accessed: s.Access, Modified: s.Modify, Changed: s.Change,
		Inode: s.Inode, Dev: s.Dev, Seals: s.Seals,
	}
}
