package inspect

import (
	"os"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/sysv"
)

// listSegments lists the System V segments of the caller's IPC namespace.
func (s *scan) listSegments() {
	var all []sysv.Segment
	var err error
	if s.opts.Proc == string(procfs.Default) {
		all, err = sysv.List()
	} else {
		all, err = sysv.ReadProc(s.opts.Proc)
	}
	if err != nil {
		s.reason(Reason{Code: ReasonSysV, Err: err})
		return
	}
	for i := range all {
		seg := &all[i]
		address := seg.ID.String()
		if seg.Key != sysv.IPC_PRIVATE {
			address = seg.Key.String()
		}
		o := s.add(&Object{
			Kind: KindSysV, Address: address, Key: seg.Key, ID: seg.ID,
			Size: seg.Size, Used: seg.Resident, Swapped: seg.Swapped,
			Mode: seg.Perm(), UID: seg.UID, GID: seg.GID, CUID: seg.CUID, CGID: seg.CGID,
			NAttach: seg.NAttach, LPID: seg.LPID,
			Created: seg.ChangeTime, LastUsed: later(seg.AttachTime, seg.DetachTime),
			Removed: seg.Removed(), Locked: seg.Locked(),
		})
		o.Creator = s.creator(seg.CPID, seg.ChangeTime)
		s.segs[o.ID] = o
	}
}

// finishSegment fills in what is known once all processes have been seen.
func (s *scan) finishSegment(o *Object, bearing []Reason, hugeInUse map[int64]int64) {
	if o.NAttach > o.attached {
		o.Unseen = o.NAttach - o.attached
		if len(bearing) == 0 {
			o.Reasons = []Reason{{Code: ReasonElsewhere}}
		}
	} else {
		// The kernel counts: all attachments were found.
		o.Reasons = nil
	}
	if o.Used >= 0 {
		o.Used, o.Huge = s.trueResident(o.Used, o.Size, o.Huge, hugeInUse)
		o.Used += max(o.Swapped, 0)
	}
}

// trueResident undoes what Linux gets wrong since 6.7: it multiplies the
// resident bytes of a segment of huge pages once too often by the number of
// base pages in a huge page. More bytes than the segment can have, or than
// all huge pages in use, tell that it happened. huge is 0 where it is not
// known whether the segment has huge pages; only an impossible number tells
// then that it has.
func (s *scan) trueResident(resident, size, huge int64, inUse map[int64]int64) (int64, int64) {
	page := int64(os.Getpagesize())
	if huge == 0 {
		if resident <= roundUp(size, page) {
			return resident, 0
		}
		for _, p := range s.devs.pages {
			// Huge pages of tmpfs may reach past the end, but never past the
			// huge page that holds it.
			if p > 0 && resident > roundUp(size, p) && resident%(p*(p/page)) == 0 && resident/(p/page) <= roundUp(size, p) && (huge == 0 || p < huge) {
				huge = p
			}
		}
		if huge == 0 {
			return resident, 0
		}
	}
	if bound, known := inUse[huge]; resident > roundUp(size, huge) || known && resident > bound {
		resident /= huge / page
	}
	return resident, huge
}

// hugeInUse gives the bytes of huge pages in use, by page size, as far as
// /proc tells: of the default size.
func (s *scan) hugeInUse() map[int64]int64 {
	mi, err := s.root.Meminfo()
	if err != nil || mi["Hugepagesize"] == 0 {
		return nil
	}
	used := int64(mi["HugePages_Total"]) - int64(mi["HugePages_Free"])
	return map[int64]int64{int64(mi["Hugepagesize"]): used * int64(mi["Hugepagesize"])}
}

func roundUp(n, page int64) int64 { return (n + page - 1) / page * page }
