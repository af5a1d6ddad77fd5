package inspect

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/sysv"
)

// temporary is held while a scan has a descriptor of shared memory open, and
// while one looks at its own process: so no scan finds another's descriptors.
var temporary sync.Mutex

// identity is what tells files apart: the numbers of stat(2).
type identity struct{ dev, inode uint64 }

// place tells System V segments of other IPC namespaces apart.
type place struct {
	namespace uint64
	id        sysv.ID
}

// scan is a Scan at work.
type scan struct {
	ctx  context.Context
	opts Options
	root procfs.Root
	snap Snapshot

	boot    time.Time // zero where it is not known
	ownPIDs bool      // /proc counts processes as the caller does
	ipc     procfs.Namespace
	mnt     procfs.Namespace
	devs    devices
	mount   mount

	segs    map[sysv.ID]*Object
	files   map[identity]*Object
	foreign map[place]*Object
	objects []*Object // all of these, in the order of finding

	creators map[int]statResult

	// prefixes are, by mount namespace, the paths under which its processes
	// see the shared memory mount.
	prefixes map[uint64][]string

	deniedCount int
	deniedUsers []uint32
}

func newScan(ctx context.Context, opts Options) *scan {
	s := &scan{
		ctx: ctx, opts: opts, root: procfs.Root(opts.Proc),
		segs: make(map[sysv.ID]*Object), files: make(map[identity]*Object), foreign: make(map[place]*Object),
		prefixes: make(map[uint64][]string), creators: make(map[int]statResult),
	}
	s.snap.Time = time.Now()
	s.boot, _ = s.root.BootTime()
	s.ownPIDs = ownNumbers(opts.Proc)
	s.ipc, _ = s.root.Namespace(procfs.Thread, "ipc")
	s.mnt, _ = s.root.Namespace(procfs.Thread, "mnt")
	s.devs = kernelDevices()
	s.mount = s.findMount()
	return s
}

// totals fills in what counts for the whole machine.
func (s *scan) totals() {
	if mi, err := s.root.Meminfo(); err == nil {
		s.snap.Shmem = mi["Shmem"]
	}
	if st, err := sys.StatfsPath(s.opts.Dir); err == nil {
		s.snap.MountSize = st.Blocks * uint64(st.BlockSize)
		s.snap.MountFree = st.Avail * uint64(st.BlockSize)
	}
}

func (s *scan) add(o *Object) *Object {
	o.seen = s.snap.Time
	s.objects = append(s.objects, o)
	return o
}

// finish turns what was gathered into the Snapshot.
func (s *scan) finish() *Snapshot {
	if s.deniedCount > 0 {
		s.reason(Reason{Code: ReasonProcesses, Processes: s.deniedCount, Users: s.deniedUsers})
	}
	var bearing []Reason
	for _, r := range s.snap.Reasons {
		if r.bearsOnHolders() {
			bearing = append(bearing, r)
		}
	}
	huge := s.hugeInUse()
	for _, o := range s.objects {
		if !s.opts.wants(o.Kind) {
			continue
		}
		// What has no name and no holder any more has vanished meanwhile.
		if len(o.Holders) == 0 && (o.Foreign || o.Kind == KindMemfd || o.Kind == KindShmnet || o.Kind == KindAnonymous || o.Removed && o.Kind != KindSysV) {
			continue
		}
		o.Reasons = bearing
		if o.Kind == KindSysV && !o.Foreign {
			s.finishSegment(o, bearing, huge)
		}
		if o.Kind == KindSemaphore && s.opts.Semaphores && len(o.Names) > 0 {
			s.readSemaphore(o)
		}
		s.snap.Objects = append(s.snap.Objects, *o)
	}
	slices.SortStableFunc(s.snap.Objects, compare)
	s.snap.Partial = len(s.snap.Reasons) > 0
	return &s.snap
}

// compare orders objects: what can be named first, by kind, then by number or
// name.
func compare(a, b Object) int {
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(kindOrder[a.Kind], kindOrder[b.Kind]),
		cmp.Compare(flag(a.Foreign), flag(b.Foreign)),
		cmp.Compare(a.IPCNamespace, b.IPCNamespace),
		cmp.Compare(a.ID, b.ID),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Dev, b.Dev),
		cmp.Compare(a.Inode, b.Inode),
	)
}

func (s *scan) readSemaphore(o *Object) {
	name, ok := strings.CutPrefix(o.Name, "/sem.")
	if !ok {
		return
	}
	temporary.Lock()
	defer temporary.Unlock()
	if v, err := posix.ReadSemaphore(name, &posix.Options{Dir: s.opts.Dir}); err == nil {
		o.Semaphore = &v
	}
}

// mount is what is known of the shared memory mount.
type mount struct {
	ok    bool
	dev   uint64
	real  string // the directory, symbolic links resolved
	root  bool   // the directory is the root of its mount: all on the device belongs to it
	plain bool   // it is on a file system whose mappings may show another device than stat(2)
}

func (s *scan) findMount() mount {
	var m mount
	st, err := sys.StatPath(s.opts.Dir)
	if err != nil {
		return m
	}
	m.ok, m.dev = true, st.Dev
	m.real = s.opts.Dir
	if real, err := filepath.EvalSymlinks(s.opts.Dir); err == nil {
		m.real = real
	}
	if abs, err := filepath.Abs(m.real); err == nil {
		m.real = abs
	}
	if fs, err := sys.StatfsPath(s.opts.Dir); err == nil {
		m.plain = fs.Type != sys.TMPFS_MAGIC
	}
	if mounts, err := s.root.Mounts(procfs.Thread); err == nil {
		at := mounts.Find(m.real)
		m.root = at != nil && at.MountPoint == m.real && !m.plain
		s.prefixes[s.mnt.Inode] = m.prefixesIn(mounts)
	}
	return m
}

// prefixesIn gives the paths, each with a slash at its end, under which one
// finds files of the shared memory mount.
func (m *mount) prefixesIn(mounts procfs.Mounts) []string {
	list := []string{m.real + "/"}
	if m.real != posix.DefaultDir {
		list = append(list, posix.DefaultDir+"/")
	}
	if !m.root {
		return list
	}
	for i := range mounts {
		p := strings.TrimSuffix(mounts[i].MountPoint, "/") + "/"
		if mounts[i].Dev.Stat() == m.dev && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}
