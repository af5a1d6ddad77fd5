package inspect

import (
	"slices"
	"strings"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// visit is the look into one process.
type visit struct {
	*scan
	pid int
	// task is the thread whose tables are looked at: the first one, unless it
	// has ended before the others.
	task   int
	locked bool // temporary is held

	who    *Holder // nil until it is needed
	gone   bool
	ipcNS  procfs.Namespace
	paths  []string  // where it sees the shared memory mount
	fuzzy  []*Object // objects of which only mappings are known
	mapped int       // mappings seen
}

// look goes through the descriptors and mappings.
func (v *visit) look() error {
	var fds []int
	if v.opts.wantsDescriptors() {
		var err error
		if fds, err = v.root.FDs(v.task); err != nil {
			return err
		}
	}
	for _, fd := range fds {
		if link, err := v.root.FDLink(v.task, fd); err == nil && strings.HasPrefix(link, "/") {
			v.descriptor(fd, link)
		}
	}
	for m, err := range v.root.Maps(v.task) {
		if err != nil {
			return err
		}
		v.mapped++
		if len(m.Path) > 0 {
			v.mapping(m)
		}
	}
	v.measure()
	return nil
}

// hold notes that the process has the object, and gives its entry; nil when
// the process is gone.
func (v *visit) hold(o *Object) *Holder {
	if v.who == nil && !v.gone {
		v.who = v.holder(v.pid)
		v.gone = v.who == nil
	}
	if v.gone {
		return nil
	}
	return o.at(v.who)
}

// descriptor judges a descriptor by its link, and by the file itself where
// that says it may be shared memory: asking every file could hang on a
// network file system.
func (v *visit) descriptor(fd int, link string) {
	isMemfd := strings.HasPrefix(link, memfdPrefix) && strings.HasSuffix(link, deletedSuffix)
	switch {
	case isMemfd && v.opts.wantsMemfds():
	case !isMemfd && v.inMount(link):
	default:
		return
	}
	via := v.root.FDPath(v.task, fd)
	st, err := sys.StatPath(via)
	if err != nil {
		return
	}
	key := identity{st.Dev, st.Ino}
	o := v.files[key]
	switch {
	case isMemfd && v.devs.known && !v.devs.has(procfs.DevFromStat(st.Dev)):
		return // a file that is called so
	case isMemfd:
		o = v.memfd(o, &st, link, fd, via)
	case o == nil:
		o = v.unlisted(&st, link, via)
	case o.unstated:
		*o = restate(o, &st, via)
	}
	if o == nil {
		return
	}
	h := v.hold(o)
	if h == nil {
		return
	}
	h.FDs = append(h.FDs, fd)
	// The link's own permissions are the descriptor's access mode.
	if l, err := sys.LstatPath(via); err == nil && l.Mode&0o200 != 0 {
		h.Writable = true
	}
}

// inMount reports whether a path may belong to the shared memory mount, as
// the process sees it, or to another /dev/shm.
func (v *visit) inMount(link string) bool {
	if v.paths == nil {
		ns := v.mnt
		if n, err := v.root.Namespace(v.task, "mnt"); err == nil {
			ns = n
		}
		v.paths = v.prefixes[ns.Inode]
		if v.paths == nil {
			// Without mounts the usual directories are left.
			mounts, _ := v.root.Mounts(v.task)
			v.paths = v.mount.prefixesIn(mounts)
			v.prefixes[ns.Inode] = v.paths
		}
	}
	return slices.ContainsFunc(v.paths, func(p string) bool { return strings.HasPrefix(link, p) })
}
