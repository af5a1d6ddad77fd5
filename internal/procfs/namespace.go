package procfs

import (
	"os"
	"strconv"
	"strings"
)

// Namespace identifies a namespace; see namespaces(7). Two processes are in the
// same one if their values are equal. System V identifiers and POSIX message
// queues belong to an ipc namespace, paths to a mnt namespace, process ids to a
// pid namespace.
type Namespace struct {
	Type  string // "ipc", "mnt", "pid" and so on
	Inode uint64
}

// String returns the form of the link, such as "ipc:[4026531839]".
func (n Namespace) String() string {
	return n.Type + ":[" + strconv.FormatUint(n.Inode, 10) + "]"
}

// ParseNamespace parses what a link in /proc/PID/ns refers to.
func ParseNamespace(link string) (Namespace, error) {
	kind, rest, ok1 := strings.Cut(link, ":[")
	digits, ok2 := strings.CutSuffix(rest, "]")
	inode, ok3 := parseUint([]byte(digits), 10)
	if !ok1 || !ok2 || !ok3 || kind == "" {
		return Namespace{}, &ParseError{File: "ns", Line: 1, Want: "TYPE:[INODE]", Got: excerpt([]byte(link))}
	}
	return Namespace{Type: kind, Inode: inode}, nil
}

// Namespace returns the namespace of the given type ("ipc", "mnt", "pid") that
// process pid is in. It needs the right to trace the process, else the error
// is EACCES. Of a zombie only some are left: [Gone] is then true.
func (r Root) Namespace(pid int, kind string) (Namespace, error) {
	path := r.pidPath(pid, "ns/"+kind)
	link, err := os.Readlink(path)
	if err != nil {
		return Namespace{}, err
	}
	ns, err := ParseNamespace(link)
	return ns, named(err, path)
}
