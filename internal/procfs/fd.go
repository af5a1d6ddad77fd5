package procfs

import (
	"os"
	"strconv"
)

// FDs returns the numbers of the open descriptors of process pid, ascending:
// the names in /proc/PID/fd. It needs the right to trace the process (one's
// own user's, or root's), else the error is EACCES.
func (r Root) FDs(pid int) ([]int, error) {
	return numericNames(r.pidPath(pid, "fd"))
}

// FDLink returns what descriptor fd of process pid refers to, as readlink(2)
// has it: a path, "/memfd:NAME (deleted)", "socket:[12345]" and so on. Unlike
// /proc/PID/maps it escapes nothing. A file may really have a name that ends
// in " (deleted)": only the link count tells.
func (r Root) FDLink(pid, fd int) (string, error) {
	return os.Readlink(r.FDPath(pid, fd))
}

// FDPath returns the path under which descriptor fd of process pid can be
// opened anew or its file be looked at with stat(2): /proc/PID/fd/FD.
func (r Root) FDPath(pid, fd int) string {
	return r.pidPath(pid, "fd/"+strconv.Itoa(fd))
}

// MapFilePath returns the path under which the file behind a mapping of
// process pid can be opened, /proc/PID/map_files/START-END; see proc(5).
// Opening it or following it with stat(2) needs CAP_CHECKPOINT_RESTORE or
// CAP_SYS_ADMIN.
func (r Root) MapFilePath(pid int, start, end uint64) string {
	return r.pidPath(pid, "map_files/"+strconv.FormatUint(start, 16)+"-"+strconv.FormatUint(end, 16))
}
