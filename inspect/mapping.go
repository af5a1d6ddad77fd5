package inspect

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
)

// mapping judges a mapping by its device, and where that is not known by its
// name.
func (v *visit) mapping(m *procfs.Mapping) {
	kind := m.Kind()
	own := v.devs.has(m.Dev)
	if !v.devs.known {
		own = m.Dev.Stat() != v.mount.dev && kind != procfs.KindFile
	}
	var o *Object
	switch {
	case own && kind == procfs.KindSysV && v.opts.wants(KindSysV):
		o = v.segment(m)
	case own && kind == procfs.KindMemfd && v.opts.wantsMemfds(),
		own && kind == procfs.KindSharedAnonymous && v.opts.wants(KindAnonymous):
		o = v.nameless(m, kind)
	case own:
		return
	case v.mount.ok && m.Dev.Stat() == v.mount.dev,
		m.Path[0] == '/' && strings.HasPrefix(string(m.Path[:min(len(m.Path), len(posix.DefaultDir)+1)]), posix.DefaultDir+"/"):
		o = v.mappedFile(m)
	case v.mount.plain && m.Path[0] == '/':
		o = v.byPath(m)
	}
	if o == nil {
		return
	}
	h := v.hold(o)
	if h == nil {
		return
	}
	h.Maps++
	if m.Shared() && m.Perms&procfs.PermWrite != 0 {
		h.Writable = true
	}
	if o.Kind == KindSysV {
		o.attached++
	}
	if o.unstated {
		o.Size = max(o.Size, int64(m.Offset+m.Size()))
		if !slices.Contains(v.fuzzy, o) {
			v.fuzzy = append(v.fuzzy, o)
		}
	}
}

// mappedFile finds the object behind a mapping of the shared memory mount, or
// of another /dev/shm.
func (v *visit) mappedFile(m *procfs.Mapping) *Object {
	key := identity{m.Dev.Stat(), m.Inode}
	if o := v.files[key]; o != nil {
		return o
	}
	via := v.root.MapFilePath(v.task, m.Start, m.End)
	st, err := sys.StatPath(via)
	if err == nil {
		return v.unlisted(&st, m.Name(), via)
	}
	if !errors.Is(err, fs.ErrPermission) {
		return nil
	}
	// The file cannot be asked. Its name must tell whether it was unlinked;
	// that it is not among the names of the mount agrees with it.
	nlink := uint64(1)
	if m.Deleted() {
		nlink = 0
	}
	o := v.unlisted(&sys.Stat{Dev: key.dev, Ino: key.inode, Nlink: nlink, Mode: sys.S_IFREG}, m.Name(), via)
	return unstate(o)
}

// byPath finds a listed object by its path and inode where mappings show
// another device than stat(2), as on some overlays and on btrfs.
func (v *visit) byPath(m *procfs.Mapping) *Object {
	name, ok := strings.CutPrefix(m.Name(), v.mount.real+"/")
	if !ok || strings.Contains(name, "/") {
		return nil
	}
	o := v.files[identity{v.mount.dev, m.Inode}]
	if o == nil || !slices.Contains(o.Names, "/"+name) {
		return nil
	}
	return o
}

// segment finds the System V segment behind a mapping: in the IPC namespace
// of the process.
func (v *visit) segment(m *procfs.Mapping) *Object {
	key, _ := m.SysvKey()
	if v.ipcNS.Inode == 0 {
		ns, err := v.root.Namespace(v.task, "ipc")
		if err != nil {
			return nil
		}
		v.ipcNS = ns
	}
	id := segmentID(m)
	if v.ipcNS == v.ipc {
		o := v.segs[id]
		// Another key: attached in another namespace, which the process left.
		if o == nil || !o.Removed && uint32(o.Key) != key {
			return nil
		}
		o.OldKey = keyOf(key)
		o.Huge = v.devs.pages[m.Dev]
		return o
	}
	at := place{v.ipcNS.Inode, id}
	o := v.foreign[at]
	if o != nil {
		return o
	}
	via := v.root.MapFilePath(v.task, m.Start, m.End)
	o = &Object{
		Kind: KindSysV, Foreign: true, IPCNamespace: at.namespace, ID: id, Key: keyOf(key), OldKey: keyOf(key),
		Used: -1, Swapped: -1, Huge: v.devs.pages[m.Dev], Creator: Creator{Life: Unknown}, Via: via,
	}
	if st, err := sys.StatPath(via); err == nil {
		*o = restate(o, &st, via)
		o.Mode &= 0o777
	} else {
		unstate(o)
	}
	v.foreign[at] = v.add(o)
	return o
}

// unstate marks an object of which only mappings are known.
func unstate(o *Object) *Object {
	if o != nil {
		o.unstated, o.AtLeast = true, true
		o.Size, o.Used = 0, -1
		o.Modified, o.LastUsed = noTime, noTime
	}
	return o
}

// restate fills in what the file itself says.
func restate(o *Object, st *sys.Stat, via string) Object {
	n := *o
	n.unstated, n.AtLeast = false, false
	n.Size, n.Used = st.Size, st.Blocks*512
	n.Mode, n.UID, n.GID = fs.FileMode(st.Mode&0o777), st.UID, st.GID
	n.Modified, n.LastUsed = st.Modify, later(st.Access, st.Modify)
	n.Links = st.Nlink
	n.Created, _ = sys.Birth(via, true)
	return n
}

// measure finds out how much of the objects that cannot be asked is in
// memory, as far as this process has it mapped.
func (v *visit) measure() {
	if len(v.fuzzy) == 0 {
		return
	}
	used := make(map[*Object]int64)
	for m, err := range v.root.Smaps(v.task) {
		if err != nil {
			break
		}
		for _, o := range v.fuzzy {
			if o.Kind == KindSysV && segmentID(&m.Mapping) == o.ID && m.Kind() == procfs.KindSysV ||
				o.Kind != KindSysV && o.Inode == m.Inode && o.Dev == m.Dev.Stat() {
				used[o] += int64(m.Resident())
			}
		}
	}
	for o, n := range used {
		o.Used = max(o.Used, n)
	}
	v.fuzzy = nil
}
