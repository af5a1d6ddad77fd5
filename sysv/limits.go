package sysv

import "github.com/seed-298b2b26/shm/internal/sys"

// Limits is what the IPC namespace allows: struct shminfo.
type Limits struct {
	Max        uint64 // largest segment in bytes (kernel.shmmax)
	Min        uint64 // smallest segment in bytes, always 1
	Segments   uint64 // segments at most (kernel.shmmni)
	PerProcess uint64 // attachments a process; Linux does not enforce it
	Pages      uint64 // pages of all segments together (kernel.shmall)
	Highest    int    // highest index in use, 0 when none is
}

// GetLimits is shmctl(2) with IPC_INFO. It needs no permission.
func GetLimits() (Limits, error) {
	i, highest, err := sys.ShmctlLimits()
	if err != nil {
		return Limits{}, &sys.Error{Op: "shmctl IPC_INFO", Kind: "sysv", Err: err}
	}
	return Limits{Max: i.Shmmax, Min: i.Shmmin, Segments: i.Shmmni, PerProcess: i.Shmseg, Pages: i.Shmall, Highest: highest}, nil
}

// Usage is what the segments of the IPC namespace take: struct shm_info.
type Usage struct {
	Segments int    // segments that exist
	Pages    uint64 // their sizes, each rounded up to whole pages
	Resident uint64 // pages in memory
	Swapped  uint64 // pages on swap
	Highest  int    // highest index in use, 0 when none is
}

// GetUsage is shmctl(2) with SHM_INFO. It needs no permission.
func GetUsage() (Usage, error) {
	i, highest, err := sys.ShmctlUsage()
	if err != nil {
		return Usage{}, &sys.Error{Op: "shmctl SHM_INFO", Kind: "sysv", Err: err}
	}
	return Usage{Segments: int(i.UsedIDs), Pages: i.Tot, Resident: i.Rss, Swapped: i.Swp, Highest: highest}, nil
}
