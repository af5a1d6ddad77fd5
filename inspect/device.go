package inspect

import (
	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// devices are the kernel's own mounts, on which System V segments, memfds and
// shared anonymous memory live: one for ordinary pages, one for each size of
// huge pages. What a mapping's name claims, its device proves.
type devices struct {
	known bool
	pages map[procfs.Dev]int64 // size of the huge pages, 0 for ordinary ones
}

func (d *devices) has(dev procfs.Dev) bool {
	_, ok := d.pages[dev]
	return ok
}

// found is what kernelDevices found, which holds until the machine stops.
// temporary guards it.
var found devices

// kernelDevices finds the kernel's mounts by making an empty memfd on each.
// Where a sandbox forbids that, they stay unknown, and names are believed.
func kernelDevices() devices {
	temporary.Lock()
	defer temporary.Unlock()
	if found.known {
		return found
	}
	dev, ok := deviceOf(0)
	if !ok {
		return devices{}
	}
	d := devices{known: true, pages: map[procfs.Dev]int64{dev: 0}}
	// Huge pages have between 64 KiB and 16 GiB on the machines that there
	// are. Asking for a size that is not known answers an error.
	for shift := 16; shift <= 34; shift++ {
		if dev, ok := deviceOf(sys.MFD_HUGETLB | shift<<sys.HUGE_SHIFT); ok {
			d.pages[dev] = 1 << shift
		}
	}
	found = d
	return d
}

func deviceOf(flags int) (procfs.Dev, bool) {
	fd, err := sys.MemfdCreate("shm-inspect", flags|sys.MFD_CLOEXEC)
	if err != nil {
		return procfs.Dev{}, false
	}
	defer sys.Close(fd)
	st, err := sys.Fstat(fd)
	if err != nil {
		return procfs.Dev{}, false
	}
	return procfs.DevFromStat(st.Dev), true
}
