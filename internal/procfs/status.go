package procfs

import (
	"bytes"
	"io"
)

// IDs are the four user or group ids of a process; see credentials(7).
type IDs struct {
	Real, Effective, Saved, FS uint32
}

// Status is the useful part of /proc/PID/status; see proc(5). Ids of users and
// processes are those of the reader's namespaces. Sizes are in bytes, 0 for
// kernel threads and zombies.
type Status struct {
	Name  string // as [ParseComm] has it
	State byte   // as [Stat.State]
	TGID  int    // the process id; PID is the thread's
	PID   int
	PPID  int
	UID   IDs
	GID   IDs
	// NSPID holds the ids in the pid namespaces that the process is in, from
	// the reader's to its own. Before Linux 4.1 it is empty.
	NSPID        []int
	Threads      int
	VMSize       uint64 // address space
	VMLocked     uint64 // locked by mlock(2), counted against RLIMIT_MEMLOCK
	VMRSS        uint64 // resident
	RSSShmem     uint64 // resident shared memory: System V, tmpfs, memfd, shared anonymous
	VMSwap       uint64 // anonymous memory in swap; no shared memory
	HugetlbPages uint64
	CapEff       uint64 // effective capabilities, a bit each; see capabilities(7)
}

// Contained reports whether the process is in a pid namespace below the
// reader's, where it has another id.
func (s *Status) Contained() bool { return len(s.NSPID) > 1 }

// ParseStatus parses /proc/PID/status. Fields that are missing stay zero, but
// the one of the process id and those of the users must be there.
func ParseStatus(r io.Reader) (*Status, error) {
	lr := newLineReader(r, "status")
	defer lr.close()
	var s Status
	var have struct{ pid, uid, gid bool }
	for {
		line, ok := lr.next()
		if !ok {
			break
		}
		key, value, ok := keyValue(line)
		if !ok {
			return nil, lr.fail("KEY: VALUE", line)
		}
		want := "a number"
		switch string(key) {
		case "Name":
			_, name, _ := bytes.Cut(line, []byte(":\t"))
			s.Name, want = unescapeName(name), ""
		case "State":
			want = "a state of one letter"
			word, _ := field(value)
			if ok = len(word) == 1; ok {
				s.State = word[0]
			}
		case "Tgid":
			s.TGID, ok = parsePID(value)
		case "Pid":
			s.PID, ok = parsePID(value)
			have.pid = true
		case "PPid":
			s.PPID, ok = parsePID(value)
		case "Threads":
			s.Threads, ok = parsePID(value)
		case "NSpid":
			want = "process ids"
			s.NSPID, ok = parsePIDs(value)
		case "Uid":
			want = "four user ids"
			s.UID, ok = parseIDs(value)
			have.uid = true
		case "Gid":
			want = "four group ids"
			s.GID, ok = parseIDs(value)
			have.gid = true
		case "VmSize":
			s.VMSize, ok = parseSize(value)
		case "VmLck":
			s.VMLocked, ok = parseSize(value)
		case "VmRSS":
			s.VMRSS, ok = parseSize(value)
		case "RssShmem":
			s.RSSShmem, ok = parseSize(value)
		case "VmSwap":
			s.VMSwap, ok = parseSize(value)
		case "HugetlbPages":
			s.HugetlbPages, ok = parseSize(value)
		case "CapEff":
			want = "a hexadecimal number"
			s.CapEff, ok = parseUint(value, 16)
		}
		if !ok {
			return nil, lr.fail(want+" for "+string(key), value)
		}
	}
	if lr.err == nil && (!have.pid || !have.uid || !have.gid) {
		lr.n++
		lr.err = lr.fail("the lines Pid, Uid and Gid", nil)
	}
	if lr.err != nil {
		return nil, lr.err
	}
	return &s, nil
}

// unescapeName undoes what the kernel does to a name in this file: a newline
// becomes \n and a backslash \\.
func unescapeName(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) && (b[i+1] == 'n' || b[i+1] == '\\') {
			i++
			if b[i] == 'n' {
				out = append(out, '\n')
				continue
			}
		}
		out = append(out, b[i])
	}
	return string(out)
}

// parsePID parses a process id or another number of 31 bits.
func parsePID(b []byte) (int, bool) {
	v, ok := parseInt32(b)
	return int(v), ok && v >= 0
}

// parsePIDs parses process ids between blanks, at least one.
func parsePIDs(b []byte) ([]int, bool) {
	var pids []int
	for {
		var word []byte
		word, b = field(b)
		if len(word) == 0 {
			return pids, len(pids) > 0
		}
		pid, ok := parsePID(word)
		if !ok {
			return nil, false
		}
		pids = append(pids, pid)
	}
}

// parseIDs parses the four ids of a line Uid or Gid.
func parseIDs(b []byte) (IDs, bool) {
	var ids IDs
	for _, dst := range []*uint32{&ids.Real, &ids.Effective, &ids.Saved, &ids.FS} {
		var word []byte
		var ok bool
		word, b = field(b)
		if *dst, ok = parseUint32(word, 10); !ok {
			return IDs{}, false
		}
	}
	return ids, true
}

// Status returns the status of process pid. It needs no privilege unless /proc
// is mounted with hidepid. See [ParseStatus].
func (r Root) Status(pid int) (*Status, error) {
	return parseFile(r.pidPath(pid, "status"), ParseStatus)
}
