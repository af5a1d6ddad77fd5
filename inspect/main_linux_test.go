package inspect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

func number(c *shmtest.Child, s string) int {
	n, err := strconv.Atoi(s)
	c.Check(err)
	return n
}

func mapped(c *shmtest.Child, fd, size, prot int) {
	_, err := mapping.SharedFile(fd, 0, size, prot, nil)
	c.Check(err)
}

func init() {
	// attach ID TIMES FLAGS
	shmtest.Handle("attach", func(c *shmtest.Child) {
		for range number(c, c.Args[1]) {
			_, err := sysv.Attach(sysv.ID(number(c, c.Args[0])), 0, number(c, c.Args[2]))
			c.Check(err)
		}
		c.Send("ready")
		c.Hold()
	})
	// segment KEY SIZE: makes one and attaches it.
	shmtest.Handle("segment", func(c *shmtest.Child) {
		key, err := strconv.ParseInt(c.Args[0], 10, 32)
		c.Check(err)
		id, err := sysv.Get(sysv.Key(key), int64(number(c, c.Args[1])), sysv.IPC_CREAT|sysv.IPC_EXCL|0o600)
		c.Check(err)
		_, err = sysv.Attach(id, 0, 0)
		c.Check(err)
		c.Send("id %d", id)
		c.Hold()
		sysv.Remove(id)
	})
	// make KEY: makes a segment and ends.
	shmtest.Handle("make", func(c *shmtest.Child) {
		id, err := sysv.Get(sysv.IPC_PRIVATE, 4096, 0o600)
		c.Check(err)
		c.Send("id %d", id)
		c.Hold()
	})
	// open NAME FLAGS DIR: holds a descriptor.
	shmtest.Handle("open", func(c *shmtest.Child) {
		o, err := posix.Open(c.Args[0], number(c, c.Args[1]), 0, nil)
		c.Check(err)
		c.Send("fd %d", o.FD())
		c.Hold()
	})
	// map NAME SIZE PROT: holds a mapping and no descriptor.
	shmtest.Handle("map", func(c *shmtest.Child) {
		prot := number(c, c.Args[2])
		flags := posix.O_RDONLY
		if prot&mapping.PROT_WRITE != 0 {
			flags = posix.O_RDWR
		}
		o, err := posix.Open(c.Args[0], flags, 0, nil)
		c.Check(err)
		mapped(c, o.FD(), number(c, c.Args[1]), prot)
		c.Check(o.Close())
		c.Send("ready")
		c.Hold()
	})
	// unlinked NAME SIZE: holds a mapping of an object without a name.
	shmtest.Handle("unlinked", func(c *shmtest.Child) {
		size := number(c, c.Args[1])
		o, err := posix.Open(c.Args[0], posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600, nil)
		c.Check(err)
		c.Check(o.Reserve(0, int64(size)))
		mapped(c, o.FD(), size, mapping.PROT_READ|mapping.PROT_WRITE)
		st, err := o.Stat()
		c.Check(err)
		c.Check(o.Close())
		c.Check(posix.Unlink(c.Args[0], nil))
		c.Send("inode %d", st.Inode)
		c.Hold()
	})
	// step NAME: makes an object, without ever having it half-made in sight,
	// and changes it as it is told.
	shmtest.Handle("step", func(c *shmtest.Child) {
		o, err := posix.CreateSized(c.Args[0], 4096, 0o600, &posix.Options{Sparse: true})
		c.Check(err)
		c.Send("made")
		c.Expect("grow")
		c.Check(o.Truncate(8192))
		c.Send("grown")
		c.Expect("unlink")
		c.Check(posix.Unlink(c.Args[0], nil))
		c.Send("unlinked")
		c.Hold()
	})
	// memfd NAME SIZE HOW: HOW is fd, map or both.
	shmtest.Handle("memfd", func(c *shmtest.Child) {
		size := number(c, c.Args[1])
		f, err := memfd.CreateSized(c.Args[0], int64(size), &memfd.Options{Seals: memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW})
		c.Check(err)
		if c.Args[2] != "fd" {
			mapped(c, f.FD(), size, mapping.PROT_READ|mapping.PROT_WRITE)
		}
		fd := f.FD()
		if c.Args[2] == "map" {
			c.Check(f.Close())
		}
		c.Send("fd %d", fd)
		c.Hold()
	})
	// scan [PROC]: gives a snapshot.
	shmtest.Handle("scan", func(c *shmtest.Child) {
		var o inspect.Options
		if len(c.Args) > 0 {
			o.Proc = c.Args[0]
		}
		snap, err := inspect.Scan(context.Background(), &o)
		c.Check(err)
		for i := range snap.Reasons {
			snap.Reasons[i].Err = nil
		}
		b, err := json.Marshal(snap)
		c.Check(err)
		c.Send("%s", b)
	})
	// inner: a process in a pid namespace of its own holds descriptor 3.
	shmtest.Handle("inner", func(c *shmtest.Child) {
		runtime.LockOSThread()
		cmd := exec.Command("cat")
		cmd.ExtraFiles = []*os.File{c.File(0)}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
		in, err := cmd.StdinPipe()
		c.Check(err)
		c.Check(cmd.Start())
		c.Send("pid %d", cmd.Process.Pid)
		c.Hold()
		in.Close()
		c.Check(cmd.Wait())
	})
	// hold ADDRESS...: opens segments and objects.
	shmtest.Handle("hold", func(c *shmtest.Child) {
		for _, a := range c.Args {
			_, err := shm.Open(a, nil)
			c.Check(err)
		}
		c.Send("ready")
		c.Hold()
	})
}

// scan is Scan, which must succeed.
func scan(t testing.TB, opts *inspect.Options) *inspect.Snapshot {
	t.Helper()
	snap, err := inspect.Scan(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// scanAs is Scan in a child process.
func scanAs(t testing.TB, cmd shmtest.Command) *inspect.Snapshot {
	t.Helper()
	cmd.Handler = "scan"
	p := cmd.Start(t)
	var snap inspect.Snapshot
	if err := json.Unmarshal([]byte(p.Recv()), &snap); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	return &snap
}

func find(t testing.TB, snap *inspect.Snapshot, what string, match func(o *inspect.Object) bool) *inspect.Object {
	t.Helper()
	var got *inspect.Object
	for i := range snap.Objects {
		if o := &snap.Objects[i]; match(o) {
			if got != nil {
				t.Fatalf("%s: found twice: %+v and %+v", what, *got, *o)
			}
			got = o
		}
	}
	if got == nil {
		t.Fatalf("%s: not found among %d objects", what, len(snap.Objects))
	}
	return got
}

func byID(id sysv.ID) func(*inspect.Object) bool {
	return func(o *inspect.Object) bool { return o.Kind == inspect.KindSysV && !o.Foreign && o.ID == id }
}

func byName(kind inspect.Kind, name string) func(*inspect.Object) bool {
	return func(o *inspect.Object) bool { return o.Kind == kind && o.Name == name }
}

// segment makes a System V segment for the test.
func segment(t testing.TB, size int64, flags int) sysv.ID {
	t.Helper()
	id, err := sysv.Get(sysv.Key(shmtest.Key(t)), size, sysv.IPC_CREAT|sysv.IPC_EXCL|flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sysv.Remove(id) })
	return id
}

// object makes a POSIX object for the test and gives its name with a slash.
func object(t testing.TB, size int64) string {
	t.Helper()
	name := "/" + shmtest.Name(t)
	o, err := posix.CreateSized(name, size, 0o644, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { posix.Unlink(name, nil) })
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// holders gives the process ids of those who hold an object.
func holders(o *inspect.Object) []int {
	var pids []int
	for _, h := range o.Holders {
		pids = append(pids, h.PID)
	}
	return pids
}

// view makes a directory like /proc that shows this process and those given
// alone: real files, but nothing that this process may not look into.
func view(t testing.TB, pids ...int) string {
	t.Helper()
	dir := t.TempDir()
	link := func(to, name string) {
		if err := os.Symlink(to, dir+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sysvipc", "meminfo", "stat", "thread-self"} {
		link("/proc/"+name, name)
	}
	link(strconv.Itoa(os.Getpid()), "self")
	for _, pid := range append(pids, os.Getpid()) {
		link(fmt.Sprintf("/proc/%d", pid), strconv.Itoa(pid))
	}
	return dir
}
