package sysv

import (
	"cmp"
	"errors"
	"slices"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// List gives every segment of the IPC namespace, sorted by ID, whoever owns
// it. It reads /proc/sysvipc/shm, which needs no permission and is often
// readable in sandboxes where shmctl is refused, and asks shmctl where there
// is no such file.
func List() ([]Segment, error) {
	all, err := ReadProc("/proc")
	if err == nil {
		return all, nil
	}
	all, err2 := ReadTable()
	if err2 != nil {
		return nil, errors.Join(err, err2)
	}
	return all, nil
}

// ReadProc gives every segment that the file sysvipc/shm of a proc file
// system shows, which is mounted at dir: those of the reader's IPC
// namespace.
func ReadProc(dir string) ([]Segment, error) {
	rows, err := procfs.Root(dir).SysvShm()
	if err != nil {
		return nil, &sys.Error{Op: "list", Kind: "sysv", Name: dir + "/sysvipc/shm", Err: err}
	}
	all := make([]Segment, len(rows))
	for i, r := range rows {
		resident, swapped := int64(-1), int64(-1)
		if r.HasUsage {
			resident, swapped = int64(r.RSS), int64(r.Swap)
		}
		all[i] = Segment{
			ID: ID(r.ID), Key: Key(r.Key), Size: int64(r.Size), Mode: r.Perms,
			UID: r.UID, GID: r.GID, CUID: r.CUID, CGID: r.CGID,
			CPID: int(r.CPID), LPID: int(r.LPID), NAttach: r.Nattch,
			AttachTime: seconds(r.Atime), DetachTime: seconds(r.Dtime), ChangeTime: seconds(r.Ctime),
			Resident: resident, Swapped: swapped,
		}
	}
	sortByID(all)
	return all, nil
}

// ReadTable gives every segment that shmctl shows: it asks for each index of
// the kernel's table with SHM_STAT_ANY, and where the kernel does not know
// that command with SHM_STAT, which leaves out what the caller may not read.
func ReadTable() ([]Segment, error) {
	lim, err := GetLimits()
	if err != nil {
		return nil, err
	}
	var all []Segment
	stat := StatAny
	for i := 0; i <= lim.Highest; i++ {
		s, err := stat(i)
		if errors.Is(err, syscall.EINVAL) && len(all) == 0 {
			// A free slot, or a kernel without the command: only the older
			// command can tell.
			if s, err = StatIndex(i); err == nil {
				if again, err := StatAny(i); err == nil {
					s = again // created in between
				} else {
					stat = StatIndex
				}
			}
		}
		switch {
		case err == nil:
			all = append(all, s)
		case errors.Is(err, syscall.EINVAL), errors.Is(err, sys.EIDRM), errors.Is(err, syscall.EACCES):
			// Free, just removed, or not ours to read.
		default:
			return nil, err
		}
	}
	sortByID(all)
	return all, nil
}

func sortByID(all []Segment) {
	slices.SortFunc(all, func(a, b Segment) int { return cmp.Compare(a.ID, b.ID) })
}
