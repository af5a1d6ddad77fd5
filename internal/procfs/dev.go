package procfs

import (
	"bytes"
	"fmt"
)

// Dev is a device number as proc(5) prints it. Together with an inode number
// it identifies a file, which a path does not: the same path may be another
// object in another mount namespace.
//
// On file systems with several devices behind one mount (btrfs, some overlays)
// it differs from the st_dev that stat(2) reports.
type Dev struct {
	Major, Minor uint32
}

// DevFromStat splits the st_dev of stat(2) as gnu_dev_major and gnu_dev_minor
// do; see makedev(3).
func DevFromStat(dev uint64) Dev {
	return Dev{
		Major: uint32(dev>>32)&0xfffff000 | uint32(dev>>8)&0xfff,
		Minor: uint32(dev>>12)&0xffffff00 | uint32(dev)&0xff,
	}
}

// Stat joins d to the number that stat(2) reports as st_dev; see makedev(3).
func (d Dev) Stat() uint64 {
	return uint64(d.Major&0xfffff000)<<32 | uint64(d.Major&0xfff)<<8 |
		uint64(d.Minor&0xffffff00)<<12 | uint64(d.Minor&0xff)
}

// String returns the form of /proc/PID/maps and /proc/locks: two hexadecimal
// numbers of at least two digits, "fe:00".
func (d Dev) String() string {
	return fmt.Sprintf("%02x:%02x", d.Major, d.Minor)
}

// parseDev parses MAJOR:MINOR in the given base: 16 in maps and locks, 10 in
// mountinfo.
func parseDev(b []byte, base uint64) (Dev, bool) {
	major, minor, ok := bytes.Cut(b, []byte{':'})
	if !ok {
		return Dev{}, false
	}
	var d Dev
	var ok1, ok2 bool
	d.Major, ok1 = parseUint32(major, base)
	d.Minor, ok2 = parseUint32(minor, base)
	return d, ok1 && ok2
}
