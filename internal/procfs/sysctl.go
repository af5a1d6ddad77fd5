package procfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
)

// ShmLimits are the settings of System V shared memory in the caller's IPC
// namespace, from /proc/sys/kernel; see proc(5). The least size of a segment is
// always 1 byte.
type ShmLimits struct {
	Max uint64 // shmmax: largest segment, in bytes
	All uint64 // shmall: all segments together, in pages
	MNI uint64 // shmmni: number of segments
	// RmidForced says whether segments without a mapping and without a living
	// creator are destroyed (shm_rmid_forced). False before Linux 3.1.
	RmidForced bool
	// NextID is the identifier that the next segment gets (shm_next_id), -1
	// for none in particular. -1 in kernels without checkpoint and restore.
	NextID int32
}

// ParseSysctl parses a file of /proc/sys that holds one number.
func ParseSysctl(r io.Reader) (uint64, error) {
	return parseSysctl(r, "an unsigned number", func(b []byte) (uint64, bool) { return parseUint(b, 10) })
}

// ParseSysctlInt parses a file of /proc/sys that holds one number of 32 bits
// with a sign.
func ParseSysctlInt(r io.Reader) (int32, error) {
	return parseSysctl(r, "a number", parseInt32)
}

// parseSysctl reads one line and parses it.
func parseSysctl[T any](r io.Reader, want string, parse func([]byte) (T, bool)) (T, error) {
	var zero T
	b, err := readAll(r, "sysctl", 64)
	if err != nil {
		return zero, err
	}
	v, ok := parse(bytes.TrimSuffix(b, []byte{'\n'}))
	if !ok {
		return zero, &ParseError{File: "sysctl", Line: 1, Want: want, Got: excerpt(b)}
	}
	return v, nil
}

// ShmLimits returns the settings of the caller's IPC namespace. It needs no
// privilege.
func (r Root) ShmLimits() (ShmLimits, error) {
	l := ShmLimits{NextID: -1}
	for _, f := range []struct {
		name string
		dst  *uint64
	}{{"shmmax", &l.Max}, {"shmall", &l.All}, {"shmmni", &l.MNI}} {
		v, err := parseFile(r.path("sys/kernel/"+f.name), ParseSysctl)
		if err != nil {
			return ShmLimits{}, err
		}
		*f.dst = v
	}
	forced, err := parseFile(r.path("sys/kernel/shm_rmid_forced"), ParseSysctlInt)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ShmLimits{}, err
	}
	l.RmidForced = forced != 0
	next, err := parseFile(r.path("sys/kernel/shm_next_id"), ParseSysctlInt)
	switch {
	case err == nil:
		l.NextID = next
	case !errors.Is(err, fs.ErrNotExist):
		return ShmLimits{}, err
	}
	return l, nil
}
