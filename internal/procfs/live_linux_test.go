package procfs

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain fails when descriptors or shared mappings are left over.
func TestMain(m *testing.M) {
	flag.Parse()
	// The runtime makes its poller with the first pipe and keeps it.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	before := leftovers()
	code := m.Run()
	fuzzing := flag.Lookup("test.fuzz").Value.String() != "" || flag.Lookup("test.fuzzworker").Value.String() == "true"
	if after := leftovers(); code == 0 && !fuzzing && !slices.Equal(before, after) {
		fmt.Fprintf(os.Stderr, "left over:\nbefore %q\nafter  %q\n", before, after)
		code = 1
	}
	os.Exit(code)
}

// leftovers lists this process' descriptors and shared mappings.
func leftovers() []string {
	var all []string
	fds, _ := Default.FDs(Self)
	for _, fd := range fds {
		if link, err := Default.FDLink(Self, fd); err == nil {
			all = append(all, fmt.Sprintf("%d %s", fd, link))
		}
	}
	for m, err := range Default.Maps(Self) {
		if err == nil && m.Shared() {
			all = append(all, formatMapping(m))
		}
	}
	return all
}

// needProc skips the test where /proc is not what it is on a usual machine.
func needProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/maps"); err != nil {
		t.Skip("no /proc/self/maps")
	}
}

// must fails the test on an error and returns the value.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// findMapping returns the mapping of this process that match accepts.
func findMapping(t *testing.T, match func(*Mapping) bool) Mapping {
	t.Helper()
	for m, err := range Default.Maps(Self) {
		if err != nil {
			t.Fatal(err)
		}
		if match(m) {
			return m.Clone()
		}
	}
	t.Fatal("no such mapping")
	return Mapping{}
}

// Numbers of shmget(2), shmat(2) and shmctl(2).
const (
	ipcCreat = 0o1000
	ipcExcl  = 0o2000
	ipcRmid  = 0
)

func TestLiveSysv(t *testing.T) {
	needProc(t)
	const size = 5000
	var id uintptr
	var key uint32
	for {
		key = rand.Uint32() | 1<<31 // negative as a key_t
		var errno syscall.Errno
		id, _, errno = syscall.Syscall(syscall.SYS_SHMGET, uintptr(key), size, ipcCreat|ipcExcl|0o600)
		if errno == syscall.EEXIST {
			continue
		}
		if errno == syscall.ENOSYS || errno == syscall.ENOSPC {
			t.Skip("shmget:", errno)
		}
		if errno != 0 {
			t.Fatal("shmget:", errno)
		}
		break
	}
	remove := func() { syscall.Syscall(syscall.SYS_SHMCTL, id, ipcRmid, 0) }
	defer remove()
	row := func() *SysvShm {
		for _, s := range must(Default.SysvShm())(t) {
			if s.ID == int32(id) {
				return &s
			}
		}
		return nil
	}
	t.Run("SV-140", func(t *testing.T) {
		s := row()
		if s == nil {
			t.Fatal("no row")
		}
		if uint32(s.Key) != key || s.Key >= 0 || s.Perms != 0o600 || s.Size != size || s.Nattch != 0 || int(s.CPID) != os.Getpid() ||
			s.LPID != 0 || int(s.UID) != os.Geteuid() || int(s.CGID) != os.Getegid() || s.Atime != 0 || s.Ctime == 0 || !s.HasUsage {
			t.Errorf("%+v", *s)
		}
	})
	addr, _, errno := syscall.Syscall(syscall.SYS_SHMAT, id, 0, 0)
	if errno != 0 {
		t.Fatal("shmat:", errno)
	}
	mapped := func() Mapping {
		return findMapping(t, func(m *Mapping) bool { return m.Start == uint64(addr) })
	}
	t.Run("SV-107", func(t *testing.T) {
		m := mapped()
		if k, ok := m.SysvKey(); !ok || k != key || m.Inode != uint64(id) || m.Kind() != KindSysV || !m.Shared() {
			t.Errorf("%s", formatMapping(&m))
		}
		if want := fmt.Sprintf("/SYSV%08x (deleted)", key); string(m.Path) != want {
			t.Errorf("%q, want %q", m.Path, want)
		}
	})
	remove()
	t.Run("SV-108", func(t *testing.T) {
		s := row()
		if s == nil || s.Key != 0 || !s.Dest() || s.Nattch != 1 || int(s.LPID) != os.Getpid() {
			t.Errorf("%+v", s)
		}
		m := mapped()
		if k, ok := m.SysvKey(); !ok || k != key {
			t.Errorf("%q after IPC_RMID", m.Path)
		}
	})
	if _, _, errno := syscall.Syscall(syscall.SYS_SHMDT, addr, 0, 0); errno != 0 {
		t.Fatal("shmdt:", errno)
	}
	if s := row(); s != nil {
		t.Errorf("after the last detach: %+v", *s)
	}
}

// mapFile maps a page of the file at path, shared, for the test's life.
func mapFile(t *testing.T, path string) (*os.File, []byte) {
	t.Helper()
	f := must(os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))(t)
	t.Cleanup(func() { f.Close(); os.Remove(path) })
	if err := f.Truncate(4 * int64(os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	mem := must(syscall.Mmap(int(f.Fd()), 0, 4*os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED))(t)
	t.Cleanup(func() { syscall.Munmap(mem) })
	return f, mem
}

func TestLiveNames(t *testing.T) {
	needProc(t)
	dir := t.TempDir()
	for _, c := range []struct {
		row, name string
		unlink    bool
	}{
		{"CLI-067", "x (deleted)", false},
		{"CLI-067", "x", true},
		{"CLI-068", "a\nb\\c  d ", false},
	} {
		t.Run(c.row, func(t *testing.T) {
			path := filepath.Join(dir, c.name)
			f, _ := mapFile(t, path)
			want := path
			if c.unlink {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				want += " (deleted)"
			}
			inode := must(Default.FDInfo(Self, int(f.Fd())))(t).Inode
			if inode == 0 {
				t.Skip("fdinfo has no ino before Linux 5.14")
			}
			m := findMapping(t, func(m *Mapping) bool { return m.Inode == inode && m.Shared() })
			if m.Name() != want || m.Kind() != KindFile || strings.ContainsRune(string(m.Path), '\n') {
				t.Errorf("%q, want the name %q", m.Path, want)
			}
			if link := must(Default.FDLink(Self, int(f.Fd())))(t); link != want {
				t.Errorf("link %q, want %q", link, want)
			}
			stat := must(f.Stat())(t).Sys().(*syscall.Stat_t)
			if gone := stat.Nlink == 0; gone != c.unlink {
				t.Errorf("%d links", stat.Nlink)
			}
		})
	}
}

func TestLiveSmaps(t *testing.T) {
	needProc(t)
	page := os.Getpagesize()
	mem := must(syscall.Mmap(-1, 0, 4*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON))(t)
	defer syscall.Munmap(mem)
	mem[0] = 1
	t.Run("CLI-073", func(t *testing.T) {
		for s, err := range Default.Smaps(Self) {
			if err != nil {
				t.Fatal(err)
			}
			if s.Kind() != KindSharedAnonymous || s.Mapping.Size() != uint64(4*page) {
				continue
			}
			if s.RSS != uint64(page) || s.PSS != s.RSS || s.PrivateDirty != s.RSS || s.SharedClean+s.SharedDirty != 0 || !s.HasFlag("sh") {
				t.Errorf("%+v", *s)
			}
			return
		}
		t.Error("no shared anonymous mapping")
	})
}

func TestLiveLocks(t *testing.T) {
	needProc(t)
	f, _ := mapFile(t, filepath.Join(t.TempDir(), "locked"))
	const setOFD = 37 // F_OFD_SETLK
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 10, Len: 20}
	if err := syscall.FcntlFlock(f.Fd(), setOFD, &lock); err != nil {
		t.Skip("F_OFD_SETLK:", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	info := must(Default.FDInfo(Self, int(f.Fd())))(t)
	want := map[string]Lock{
		LockOFD:   {Class: LockOFD, Mode: "ADVISORY", Type: "WRITE", PID: -1, Inode: info.Inode, Start: 10, End: 29},
		LockFlock: {Class: LockFlock, Mode: "ADVISORY", Type: "READ", PID: int32(os.Getpid()), Inode: info.Inode, End: LockEOF},
	}
	if len(info.Locks) != 2 {
		t.Fatalf("%+v", info.Locks)
	}
	for _, l := range info.Locks {
		if !slices.Contains(must(Default.Locks())(t), l) {
			// Numbers are given anew in each reading.
			found := slices.ContainsFunc(must(Default.Locks())(t), func(o Lock) bool {
				o.ID = l.ID
				return o == l
			})
			if !found {
				t.Errorf("%+v is not in /proc/locks", l)
			}
		}
		l.ID, l.Dev = 0, Dev{}
		diff(t, want[l.Class], l)
	}
}

// startCat starts a process that waits until stop is called.
func startCat(t *testing.T) (cmd *exec.Cmd, stop func()) {
	t.Helper()
	cmd = exec.Command("cat")
	in := must(cmd.StdinPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Skip("cat:", err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			in.Close()
			cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return cmd, stop
}

func TestLiveProcess(t *testing.T) {
	needProc(t)
	before := time.Now()
	cmd, stop := startCat(t)
	pid := cmd.Process.Pid
	if pids := must(Default.PIDs())(t); !slices.Contains(pids, pid) || !slices.Contains(pids, os.Getpid()) || !slices.IsSorted(pids) {
		t.Errorf("%d is not among %v", pid, pids)
	}
	stat := must(Default.Stat(pid))(t)
	if stat.PID != pid || stat.PPID != os.Getpid() {
		t.Errorf("%+v", stat)
	}
	started := stat.StartTime(must(Default.BootTime())(t))
	if d := started.Sub(before).Abs(); d > 5*time.Second {
		t.Errorf("started at %v, off by %v", started, d)
	}
	status := must(Default.Status(pid))(t)
	if status.PID != pid || int(status.UID.Effective) != os.Geteuid() || int(status.GID.Real) != os.Getgid() || len(status.NSPID) == 0 || status.NSPID[0] != pid {
		t.Errorf("%+v", status)
	}
	for _, kind := range []string{"ipc", "mnt", "pid"} {
		ns := must(Default.Namespace(pid, kind))(t)
		if ns.Type != kind || ns != must(Default.Namespace(Self, kind))(t) || ns != must(Default.Namespace(Thread, kind))(t) {
			t.Errorf("%v of the child, %v here", ns, must(Default.Namespace(Self, kind))(t))
		}
	}
	if fds := must(Default.FDs(pid))(t); !slices.Contains(fds, 0) {
		t.Errorf("descriptors %v", fds)
	}

	t.Run("CLI-070", func(t *testing.T) {
		// Opened while it lives and read after its death, a file says ESRCH.
		open := must(os.Open("/proc/" + strconv.Itoa(pid) + "/stat"))(t)
		defer open.Close()
		stop()
		_, err := ParseStat(open)
		if !errors.Is(err, syscall.ESRCH) || !Gone(err) {
			t.Errorf("read after death: %v", err)
		}
		for name, read := range map[string]func() error{
			"stat":   func() error { _, err := Default.Stat(pid); return err },
			"fd":     func() error { _, err := Default.FDs(pid); return err },
			"ns":     func() error { _, err := Default.Namespace(pid, "ipc"); return err },
			"comm":   func() error { _, err := Default.Comm(pid); return err },
			"fdinfo": func() error { _, err := Default.FDInfo(pid, 0); return err },
			"maps": func() error {
				for _, err := range Default.Maps(pid) {
					return err
				}
				return nil
			},
		} {
			if err := read(); !Gone(err) {
				t.Errorf("%s after death: %v", name, err)
			}
		}
	})
}

// TestLiveEverything reads all that this machine has: no line of a real kernel
// may be refused.
func TestLiveEverything(t *testing.T) {
	needProc(t)
	check := func(what string, err error) {
		t.Helper()
		if err != nil && !Gone(err) && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, pid := range must(Default.PIDs())(t) {
		name := strconv.Itoa(pid)
		for m, err := range Default.Maps(pid) {
			check("maps of "+name, err)
			if err == nil && m.Named() && m.Kind() == KindAnonymous && !m.Deleted() {
				t.Errorf("%s: %s", name, formatMapping(m))
			}
		}
		for _, err := range Default.Smaps(pid) {
			check("smaps of "+name, err)
		}
		_, err := Default.Stat(pid)
		check("stat of "+name, err)
		_, err = Default.Status(pid)
		check("status of "+name, err)
		_, err = Default.Cmdline(pid)
		check("cmdline of "+name, err)
		_, err = Default.Comm(pid)
		check("comm of "+name, err)
		_, err = Default.Mounts(pid)
		if !errors.Is(err, syscall.EINVAL) { // of a zombie
			check("mountinfo of "+name, err)
		}
		_, err = Default.MemoryLimits(pid)
		check("limits of "+name, err)
		fds, err := Default.FDs(pid)
		check("fd of "+name, err)
		for _, fd := range fds {
			_, err := Default.FDInfo(pid, fd)
			check("fdinfo of "+name, err)
		}
	}
	_, err := Default.Locks()
	check("locks", err)
	_, err = Default.SysvShm()
	check("sysvipc/shm", err)
	mem := must(Default.Meminfo())(t)
	if mem["MemTotal"] < 1<<20 || mem["Hugepagesize"] != 0 && mem["Hugepagesize"] < 1<<16 {
		t.Errorf("%v", mem)
	}
	limits, err := Default.ShmLimits()
	check("limits", err)
	if err == nil && (limits.Max == 0 || limits.All == 0 || limits.NextID < -1) {
		t.Errorf("%+v", limits)
	}
	id := must(Default.BootID())(t)
	if id != must(Default.BootID())(t) || id == (BootID{}) {
		t.Errorf("boot id %v", id)
	}
	if line := must(Default.Cmdline(Self))(t); !slices.Equal(line, os.Args) {
		t.Errorf("command line %q, want %q", line, os.Args)
	}
}

// TestLiveMounts asks the kernel which mount each mount point is in.
func TestLiveMounts(t *testing.T) {
	needProc(t)
	ms := must(Default.Mounts(Self))(t)
	for _, m := range ms {
		f, err := os.Open(m.MountPoint)
		if err != nil {
			continue // hidden, or not for us
		}
		info, err := Default.FDInfo(Self, int(f.Fd()))
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := ms.Find(m.MountPoint); got == nil || got.ID != info.MountID {
			t.Errorf("Find(%q) = %+v, the kernel says %d", m.MountPoint, got, info.MountID)
		}
	}
}

// TestLiveMemoryLimit puts a process into a group with a limit.
func TestLiveMemoryLimit(t *testing.T) {
	needProc(t)
	all := must(Default.MemoryLimits(Self))(t)
	if len(all) == 0 {
		t.Skip("no memory controller for this process")
	}
	for _, m := range all {
		if m.Path == "" || m.Version == 0 {
			t.Errorf("%+v", m)
		}
		if _, err := m.Stat(); err != nil {
			t.Error(err)
		}
	}
	top := all[len(all)-1]
	dir := filepath.Join(top.Path, fmt.Sprintf("procfs-test-%d-%08x", os.Getpid(), rand.Uint32()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip("cannot make a control group: ", err)
	}
	defer os.Remove(dir)
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Skip("cannot make a control group: ", err)
	}
	defer os.Remove(inner)
	limitFile := "memory.max"
	if top.Version == 1 {
		limitFile = "memory.limit_in_bytes"
	}
	const limit = 64 << 20
	if err := os.WriteFile(filepath.Join(dir, limitFile), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Skip("cannot set a limit: ", err)
	}
	cmd, stop := startCat(t)
	defer stop()
	if err := os.WriteFile(filepath.Join(inner, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
		t.Skip("cannot move a process: ", err)
	}
	got := must(Default.MemoryLimit(cmd.Process.Pid))(t)
	if got.Limit != limit || got.Path != dir || got.Version != top.Version || got.Room() > limit || got.High != NoLimit {
		t.Errorf("%+v, want the limit of %s", got, dir)
	}
	levels := must(Default.MemoryLimits(cmd.Process.Pid))(t)
	if len(levels) < 2 || levels[len(levels)-1].Path != top.Path {
		t.Errorf("%+v", levels)
	}
	stop() // an inhabited group cannot be removed
}

// BenchmarkLiveScan finds who has System V or other shared memory mapped, over
// all processes of this machine.
func BenchmarkLiveScan(b *testing.B) {
	b.ReportAllocs()
	processes := 0
	for b.Loop() {
		pids, err := Default.PIDs()
		if err != nil {
			b.Skip(err)
		}
		processes = len(pids)
		for _, pid := range pids {
			for m, err := range Default.Maps(pid) {
				if err == nil && m.Shared() {
					m.Kind()
				}
			}
		}
	}
	b.ReportMetric(float64(processes), "processes")
}
