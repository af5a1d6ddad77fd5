package procfs

import (
	"io"
	"strconv"
)

// FDInfo is what /proc/PID/fdinfo/FD says of every open file; see proc(5). It
// tells neither the size nor the seals of a memfd.
type FDInfo struct {
	Pos     int64
	Flags   uint32 // as open(2) has them on this architecture, with O_CLOEXEC
	MountID int    // of [Mount.ID]; 0 before Linux 3.15
	Inode   uint64 // 0 before Linux 5.14
	Locks   []Lock // held through this open file description
}

// ParseFDInfo parses /proc/PID/fdinfo/FD. Lines that only some kinds of files
// have are passed over.
func ParseFDInfo(r io.Reader) (*FDInfo, error) {
	lr := newLineReader(r, "fdinfo")
	defer lr.close()
	var info FDInfo
	var have struct{ pos, flags, mount, inode bool }
	// The common lines come first. What follows belongs to the kind of file
	// and must not overwrite them.
	first := func(have *bool) bool {
		was := *have
		*have = true
		return !was
	}
	for {
		line, ok := lr.next()
		if !ok {
			break
		}
		key, value, _ := keyValue(line)
		want := ""
		ok = true
		switch string(key) {
		case "pos":
			if first(&have.pos) {
				want = "an offset"
				info.Pos, ok = parseInt(value)
			}
		case "flags":
			if first(&have.flags) {
				want = "octal flags"
				info.Flags, ok = parseUint32(value, 8)
			}
		case "mnt_id":
			if first(&have.mount) {
				want = "a mount id"
				var id int32
				id, ok = parseInt32(value)
				info.MountID = int(id)
			}
		case "ino":
			if first(&have.inode) {
				want = "an inode number"
				info.Inode, ok = parseUint(value, 10)
			}
		case "lock":
			var l Lock
			if want, got := l.parse(value); want != "" {
				return nil, lr.fail(want, got)
			}
			info.Locks = append(info.Locks, l)
		}
		if !ok {
			return nil, lr.fail(want, value)
		}
	}
	if lr.err == nil && (!have.pos || !have.flags) {
		lr.n++
		lr.err = lr.fail("the lines pos and flags", nil)
	}
	if lr.err != nil {
		return nil, lr.err
	}
	return &info, nil
}

// FDInfo returns what is known of descriptor fd of process pid. It needs the
// right to trace the process (one's own user's, or root's), else the error is
// EACCES. See [ParseFDInfo].
func (r Root) FDInfo(pid, fd int) (*FDInfo, error) {
	return parseFile(r.pidPath(pid, "fdinfo/"+strconv.Itoa(fd)), ParseFDInfo)
}
