package inspect

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
)

// processes looks into every process. Its error is the context's.
func (s *scan) processes() error {
	pids, err := s.root.PIDs()
	if err != nil {
		s.reason(Reason{Code: ReasonProc, Err: err})
		return nil
	}
	s.judgeView()
	for _, pid := range pids {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		s.process(pid)
	}
	return nil
}

// initialPIDNamespace is the inode of the pid namespace in which the machine
// started, from which every process can be seen (PROC_PID_INIT_INO).
const initialPIDNamespace = 0xeffffffc

// capSysPtrace is CAP_SYS_PTRACE, to which /proc hides nothing.
const capSysPtrace = 19

// judgeView notes what /proc does not even list.
func (s *scan) judgeView() {
	if ns, err := s.root.Namespace(1, "pid"); err == nil && ns.Inode != initialPIDNamespace {
		s.reason(Reason{Code: ReasonNamespace})
	} else if own, e := s.root.Namespace(procfs.Thread, "pid"); err != nil && (e != nil || own.Inode != initialPIDNamespace) {
		s.reason(Reason{Code: ReasonNamespace})
	}
	mounts, err := s.root.Mounts(procfs.Thread)
	if err != nil {
		return
	}
	at := mounts.Find(s.opts.Proc)
	if at == nil {
		return
	}
	switch mode, _ := at.SuperOption("hidepid"); mode {
	case "2", "invisible", "4", "ptraceable":
		st, err := s.root.Status(procfs.Thread)
		if err != nil || st.CapEff&(1<<capSysPtrace) == 0 {
			s.reason(Reason{Code: ReasonHidden})
		}
	}
}

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

func (s *scan) process(pid int) {
	v := &visit{scan: s, pid: pid, task: pid}
	if s.ownPIDs && pid == os.Getpid() {
		temporary.Lock()
		defer temporary.Unlock()
		v.locked = true
	}
	err := v.look()
	if v.mapped == 0 && !procfs.Gone(err) {
		// A kernel thread, a zombie, or a process whose first thread has ended:
		// then what /proc shows of it is empty, and belongs to root.
		if task := s.otherThread(pid); task != 0 {
			v.task = task
			err = v.look()
		}
	}
	if err == nil || procfs.Gone(err) {
		return
	}
	// It may not be looked into. That matters only if it has memory at all.
	if st, err := s.root.Stat(pid); err != nil || st.VSize == 0 && s.otherThread(pid) == 0 {
		return
	}
	uid := ^uint32(0)
	if st, err := s.root.Status(pid); err == nil {
		uid = st.UID.Effective
	} else if procfs.Gone(err) {
		return
	}
	s.denied(uid)
}

// otherThread gives a living thread of a process whose first one has ended,
// else 0.
func (s *scan) otherThread(pid int) int {
	st, err := s.root.Stat(pid)
	if err != nil || !st.Zombie() {
		return 0
	}
	tasks, err := os.ReadDir(string(s.root) + "/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return 0
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil || tid == pid {
			continue
		}
		if st, err := s.root.Stat(tid); err == nil && !st.Zombie() {
			return tid
		}
	}
	return 0
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
	case isMemfd && v.opts.wants(KindMemfd):
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
	case own && kind == procfs.KindMemfd && v.opts.wants(KindMemfd),
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
