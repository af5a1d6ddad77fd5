package procfs

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// Cgroup is a line of /proc/PID/cgroup: the control group of a process in one
// hierarchy; see cgroups(7).
type Cgroup struct {
	// Hierarchy is 0 for version 2 and a number of its own for each hierarchy
	// of version 1.
	Hierarchy int
	// Controllers of version 1, such as "memory"; a hierarchy without any has
	// a name, "name=systemd". Version 2 lists none.
	Controllers []string
	// Path is relative to the root of the reader's cgroup namespace, where it
	// may begin with "/..". It ends in " (deleted)" when the group was removed.
	Path string
}

// Cgroups are the control groups of a process.
type Cgroups []Cgroup

// V2 returns the group in the hierarchy of version 2, nil without one.
func (cs Cgroups) V2() *Cgroup {
	for i := range cs {
		if cs[i].Hierarchy == 0 && len(cs[i].Controllers) == 0 {
			return &cs[i]
		}
	}
	return nil
}

// V1 returns the group in the hierarchy of version 1 that has the controller,
// nil without one.
func (cs Cgroups) V1(controller string) *Cgroup {
	for i := range cs {
		if slices.Contains(cs[i].Controllers, controller) {
			return &cs[i]
		}
	}
	return nil
}

// ParseCgroup parses /proc/PID/cgroup, of version 1, version 2 or both.
func ParseCgroup(r io.Reader) (Cgroups, error) {
	lr := newLineReader(r, "cgroup")
	defer lr.close()
	var cs Cgroups
	for {
		line, ok := lr.next()
		if !ok {
			return cs, lr.err
		}
		number, rest, ok1 := bytes.Cut(line, []byte{':'})
		controllers, path, ok2 := bytes.Cut(rest, []byte{':'})
		if !ok1 || !ok2 {
			return nil, lr.fail("HIERARCHY:CONTROLLERS:PATH", line)
		}
		id, ok := parsePID(number)
		if !ok {
			return nil, lr.fail("the number of a hierarchy", number)
		}
		if len(path) == 0 || path[0] != '/' {
			return nil, lr.fail("an absolute path", path)
		}
		c := Cgroup{Hierarchy: id, Path: string(path)}
		if len(controllers) > 0 {
			c.Controllers = strings.Split(string(controllers), ",")
		}
		cs = append(cs, c)
	}
}

// Cgroups returns the control groups of process pid. It needs no privilege
// unless /proc is mounted with hidepid. See [ParseCgroup].
func (r Root) Cgroups(pid int) (Cgroups, error) {
	return parseFile(r.pidPath(pid, "cgroup"), ParseCgroup)
}
