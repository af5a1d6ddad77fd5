package sysv

import (
	"io/fs"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Segment is what the kernel knows about a segment: struct shmid_ds, and
// from /proc the memory that it takes. Times are of whole seconds; the zero
// time.Time means never.
type Segment struct {
	ID      ID
	Key     Key    // IPC_PRIVATE when made so, and after Remove
	Size    int64  // bytes as asked for, not rounded
	Mode    uint32 // permissions, SHM_DEST, SHM_LOCKED
	UID     uint32 // owner
	GID     uint32
	CUID    uint32 // creator
	CGID    uint32
	CPID    int    // process that created it: a hint only, the number may be another's by now
	LPID    int    // process that attached or detached last, 0 for none
	NAttach uint64 // attachments, which are not processes

	AttachTime time.Time
	DetachTime time.Time
	ChangeTime time.Time // creation or the last Set

	// Resident and Swapped are bytes in memory and on swap, -1 where the
	// source does not tell (shmctl does not). For segments of huge pages
	// Linux overstates Resident.
	Resident int64
	Swapped  int64
}

// Perm gives the nine permission bits.
func (s *Segment) Perm() fs.FileMode { return fs.FileMode(s.Mode & 0o777) }

// Removed reports whether the segment is marked to go with its last detach.
func (s *Segment) Removed() bool { return s.Mode&SHM_DEST != 0 }

// Locked reports whether the segment is locked into memory.
func (s *Segment) Locked() bool { return s.Mode&SHM_LOCKED != 0 }

func fromDs(id ID, ds *sys.ShmidDs) Segment {
	return Segment{
		ID: id, Key: Key(ds.Perm.Key), Size: int64(ds.Segsz), Mode: ds.Perm.Mode,
		UID: ds.Perm.UID, GID: ds.Perm.GID, CUID: ds.Perm.CUID, CGID: ds.Perm.CGID,
		CPID: int(ds.Cpid), LPID: int(ds.Lpid), NAttach: ds.Nattch,
		AttachTime: seconds(ds.Atime), DetachTime: seconds(ds.Dtime), ChangeTime: seconds(ds.Ctime),
		Resident: -1, Swapped: -1,
	}
}

func seconds(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}
