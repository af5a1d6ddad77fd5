package procfs

import (
	"bytes"
	"io"
	"path"
	"strings"
)

// Mount is a line of /proc/PID/mountinfo; see proc(5). Its strings are as they
// are in the file system: the file's octal escapes have been undone.
type Mount struct {
	ID, ParentID int
	Dev          Dev
	Root         string // the directory inside the file system that is mounted here
	MountPoint   string // as the process sees it
	Options      string // of this mount: "rw,nosuid,nodev"
	// Optional fields, among them the propagation: "shared:1", "master:2",
	// "propagate_from:3", "unbindable". None means private.
	Optional     []string
	FSType       string // "tmpfs"; with a subtype "fuse.sshfs"
	Source       string // may be empty
	SuperOptions string // of the file system: "rw,size=65536k"
}

// HasOption reports whether the options of the mount have the given word, such
// as "ro" or "noexec".
func (m *Mount) HasOption(name string) bool {
	_, ok := option(m.Options, name)
	return ok
}

// SuperOption returns the value of an option of the file system, such as
// "65536k" for "size"; it is empty for a bare word.
func (m *Mount) SuperOption(name string) (value string, ok bool) {
	return option(m.SuperOptions, name)
}

// ReadOnly reports whether the mount or its whole file system is read-only.
func (m *Mount) ReadOnly() bool {
	_, ro := m.SuperOption("ro")
	return ro || m.HasOption("ro")
}

// option finds name in words between commas, with or without a value.
func option(list, name string) (value string, ok bool) {
	for word := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(word, "=")
		if key == name {
			return value, true
		}
	}
	return "", false
}

// Propagation returns the word of mount(8) for how mounts below spread:
// "private", "shared", "slave", "shared,slave" or "unbindable".
func (m *Mount) Propagation() string {
	var shared, slave bool
	for _, f := range m.Optional {
		switch tag, _, _ := strings.Cut(f, ":"); tag {
		case "shared":
			shared = true
		case "master":
			slave = true
		case "unbindable":
			return "unbindable"
		}
	}
	switch {
	case shared && slave:
		return "shared,slave"
	case shared:
		return "shared"
	case slave:
		return "slave"
	}
	return "private"
}

// Mounts are the mounts that a process sees, in the file's order.
type Mounts []Mount

// Find returns the mount that holds the file at the absolute path name, nil if
// there is none. It walks from the root as the kernel does, so a mount hidden
// under a later one is not found. Symbolic links are not followed: resolve them
// before.
func (ms Mounts) Find(name string) *Mount {
	name = path.Clean("/" + name)
	index := make(map[int]bool, len(ms))
	for i := range ms {
		index[ms[i].ID] = true
	}
	var at *Mount
	used := make([]bool, len(ms))
	for {
		next := -1
		for i := range ms {
			m := &ms[i]
			// The outermost mounts are children of one that is not listed, or
			// of themselves.
			top := !index[m.ParentID] || m.ParentID == m.ID
			child := at == nil && top || at != nil && m.ParentID == at.ID
			if used[i] || !child || !within(name, m.MountPoint) {
				continue
			}
			// The path meets the shortest mount point first; what the same
			// parent has mounted below it is hidden.
			if next < 0 || len(m.MountPoint) <= len(ms[next].MountPoint) {
				next = i
			}
		}
		if next < 0 {
			return at
		}
		used[next] = true
		at = &ms[next]
	}
}

// within reports whether the clean path name is dir or below it.
func within(name, dir string) bool {
	if dir == "/" {
		return strings.HasPrefix(name, "/")
	}
	rest, ok := strings.CutPrefix(name, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// ParseMountinfo parses /proc/PID/mountinfo.
func ParseMountinfo(r io.Reader) (Mounts, error) {
	lr := newLineReader(r, "mountinfo")
	defer lr.close()
	var ms Mounts
	for {
		line, ok := lr.next()
		if !ok {
			return ms, lr.err
		}
		var m Mount
		if want, got := m.parse(line); want != "" {
			return nil, lr.fail(want, got)
		}
		ms = append(ms, m)
	}
}

// parse parses one line into m. Fields are separated by exactly one space: a
// source may be empty. When the line is malformed it returns what it wanted and
// what it found.
func (m *Mount) parse(line []byte) (want string, got []byte) {
	rest := line
	more := true
	cut := func() (word []byte) {
		word, rest, more = bytes.Cut(rest, []byte{' '})
		return word
	}
	for _, dst := range []*int{&m.ID, &m.ParentID} {
		word := cut()
		id, ok := parseInt32(word)
		if !ok {
			return "a mount id", word
		}
		*dst = int(id)
	}
	word := cut()
	var ok bool
	if m.Dev, ok = parseDev(word, 10); !ok {
		return "a device MAJOR:MINOR", word
	}
	word = cut()
	if len(word) == 0 {
		return "a root directory", line
	}
	m.Root = unescapeOctal(word)
	word = cut()
	if len(word) == 0 || word[0] != '/' {
		return "a mount point", line
	}
	m.MountPoint = unescapeOctal(word)
	m.Options = unescapeOctal(cut())
	for {
		if !more {
			return "a field - after the optional fields", line
		}
		word = cut()
		if string(word) == "-" {
			break
		}
		if len(word) == 0 {
			return "an optional field or -", line
		}
		m.Optional = append(m.Optional, unescapeOctal(word))
	}
	word = cut()
	if len(word) == 0 {
		return "a file system type after -", line
	}
	m.FSType = unescapeOctal(word)
	if !more {
		return "a source after the file system type", line
	}
	m.Source = unescapeOctal(cut())
	// Some file systems print spaces in their options unescaped.
	m.SuperOptions = unescapeOctal(rest)
	return "", nil
}

// unescapeOctal turns a backslash and three octal digits back into the byte
// that they stand for.
func unescapeOctal(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if b[0] == '\\' && len(b) >= 4 {
			if v, ok := parseUint(b[1:4], 8); ok && v <= 0xff {
				out = append(out, byte(v))
				b = b[4:]
				continue
			}
		}
		out = append(out, b[0])
		b = b[1:]
	}
	return string(out)
}

// Mounts returns the mounts that process pid sees. It needs the right to trace
// the process, or that it is the caller's own. See [ParseMountinfo].
func (r Root) Mounts(pid int) (Mounts, error) {
	return parseFile(r.pidPath(pid, "mountinfo"), ParseMountinfo)
}
