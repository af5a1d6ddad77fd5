package procfs

import (
	"bytes"
	"io"
	"strings"
)

// MaxCmdline is how many bytes of a command line are read. Linux allows many
// megabytes; nobody looks at more than the beginning.
const MaxCmdline = 64 << 10

// Cmdline is the command line of a process, one string an argument. It is what
// the process shows of itself, which need not be what it was started with. It
// is empty for kernel threads and for zombies.
type Cmdline []string

// String returns the arguments joined by spaces and made harmless by
// [Printable]. It is for people; nothing is quoted.
func (c Cmdline) String() string {
	return Printable(strings.Join(c, " "))
}

// ParseCmdline parses /proc/PID/cmdline: arguments that end with a NUL each. A
// process that writes its title over its arguments may leave out the last NUL
// or pad with many; three or more at the end are taken for such padding. Only
// the first [MaxCmdline] bytes are looked at.
func ParseCmdline(r io.Reader) (Cmdline, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxCmdline))
	if err != nil {
		return nil, err
	}
	if t := bytes.TrimRight(b, "\x00"); len(b)-len(t) >= 3 {
		b = t
	}
	if len(b) == 0 {
		return nil, nil
	}
	b = bytes.TrimSuffix(b, []byte{0})
	return strings.Split(string(b), "\x00"), nil
}

// Cmdline returns the command line of process pid. It needs no privilege
// unless /proc is mounted with hidepid. See [ParseCmdline].
func (r Root) Cmdline(pid int) (Cmdline, error) {
	return parseFile(r.pidPath(pid, "cmdline"), ParseCmdline)
}
