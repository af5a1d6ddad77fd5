package procfs

import (
	"bytes"
	"io"
)

// maxComm bounds the file comm; the kernel's longest names (of its own
// workers) have 64 bytes.
const maxComm = 4096

// ParseComm parses /proc/PID/comm: the name of a process without the newline
// that ends it. The process chooses it itself with prctl(PR_SET_NAME), and it
// may hold any byte but NUL; show it through [Printable].
func ParseComm(r io.Reader) (string, error) {
	b, err := readAll(r, "comm", maxComm)
	if err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b, []byte{'\n'})), nil
}

// Comm returns the name of process pid, at most 15 bytes for programs. It
// needs no privilege. See [ParseComm].
func (r Root) Comm(pid int) (string, error) {
	return parseFile(r.pidPath(pid, "comm"), ParseComm)
}
