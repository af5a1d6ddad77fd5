package posix_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("hold an object", func(c *shmtest.Child) {
		o, err := posix.CreateSized(c.Args[0], 1<<20, 0o600, nil)
		c.Check(err)
		m, err := mapping.SharedFile(o.FD(), 0, 1<<20, rw, nil)
		c.Check(err)
		copy(m.Bytes(), "left behind")
		c.Check(o.Close())
		c.Send("mapped")
		c.Hold()
	})
	shmtest.Handle("create in two steps", func(c *shmtest.Child) {
		o, err := posix.Open(c.Args[0], fresh, 0o600, nil)
		c.Check(err)
		c.Send("made")
		c.Expect("size")
		c.Check(o.Truncate(4096))
		c.Send("sized")
		c.Hold()
	})
	shmtest.Handle("fail to map", func(c *shmtest.Child) {
		o, err := posix.Open(c.Args[0], posix.O_RDWR, 0, nil)
		c.Check(err)
		size, err := o.Size()
		c.Check(err)
		_, err = mapping.SharedFile(o.FD(), 0, int(size), rw, nil)
		wantErrno(c, err, syscall.ENOMEM)
		c.Check(o.Close())
		c.Send("no room")
	})
	shmtest.Handle("no descriptor", func(c *shmtest.Child) {
		var none []*os.File
		for {
			f, err := os.Open("/")
			if errors.Is(err, syscall.EMFILE) {
				break
			}
			c.Check(err)
			none = append(none, f)
		}
		refused(c, c.Args[0], posix.O_RDWR, 0, syscall.EMFILE)
		refused(c, c.Args[0], posix.O_RDWR|posix.O_CREAT, 0o600, syscall.EMFILE)
		_, err := posix.CreateSized(c.Args[0]+".new", 1, 0o600, nil)
		wantErrno(c, err, syscall.EMFILE)
		absent(c, c.Args[0]+".new")
		for _, f := range none {
			f.Close()
		}
		c.Send("refused")
	})
}

// pythonBlock creates a block as multiprocessing does, says its name, and
// shows what is in it when it is told to.
const pythonBlock = `
import sys
from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=100)
try:
    block.buf[:11] = b"from Python"
    print(block._name, flush=True)
    sys.stdin.readline()
    print(bytes(block.buf[:7]).decode(), flush=True)
    sys.stdin.readline()
finally:
    block.close()
    block.unlink()
`

func TestConformancePeer(t *testing.T) {
	t.Run("PX-104", func(t *testing.T) {
		python := shmtest.Python(t)
		p := shmtest.Exec(t, python, "-c", pythonBlock)
		name := p.Recv()
		if !regexp.MustCompile(`^/psm_[0-9a-f]{8}$`).MatchString(name) {
			t.Fatalf("the block is called %q", name)
		}
		shmtest.Own(name)
		o := open(t, name, posix.O_RDWR, 0)
		st := stat(t, o)
		equal(t, "size", st.Size, 100)
		equal(t, "mode", st.Mode, 0o600)
		m := mapped(t, o, 100, rw)
		equal(t, "bytes", string(m.Bytes()[:11]), "from Python")
		_, err := posix.CreateSized(name, 100, 0o600, nil)
		wantErrno(t, err, syscall.EEXIST)
		copy(m.Bytes(), "from Go")
		p.Send("show")
		p.Expect("from Go")
		p.Send("end")
		p.Wait()
		absent(t, name)
	})
	t.Run("PX-106", func(t *testing.T) {
		name := "/psm_" + shmtest.Name(t)
		unlinkLater(t, name)
		p := shmtest.Start(t, "hold an object", name)
		p.Expect("mapped")
		st := named(t, name)
		equal(t, "users", fmt.Sprint(users(t, st)), fmt.Sprint([]int{p.PID()}))
		p.Kill()
		// The object is there, with its memory, and has no user.
		after := named(t, name)
		equal(t, "inode", after.Inode, st.Inode)
		equal(t, "used", after.Used, 1<<20)
		equal(t, "users after the kill", len(users(t, after)), 0)
		listed := 0
		for s, err := range posix.List(nil) {
			check(t, err)
			if s.Name == name && s.Inode == st.Inode && s.Used == 1<<20 {
				listed++
			}
		}
		equal(t, "in the list", listed, 1)
		b := make([]byte, 11)
		_, err := open(t, name, posix.O_RDONLY, 0).ReadAt(b, 0)
		check(t, err)
		equal(t, "bytes", string(b), "left behind")
		// The next user is told of a full mount before a store could be fatal:
		// PX-078 and CreateSized.
		check(t, posix.Unlink(name, nil))
		absent(t, name)
	})
	t.Run("PX-107", func(t *testing.T) {
		// Opening never resizes here, whatever size somebody wants.
		o := newObject(t, 1000)
		_, err := posix.CreateSized(o.Name(), 5000, 0o600, nil)
		wantErrno(t, err, syscall.EEXIST)
		equal(t, "size", named(t, o.Name()).Size, 1000)
		for _, flags := range []int{posix.O_RDWR, posix.O_RDWR | posix.O_CREAT} {
			open(t, o.Name(), flags, 0o600)
			equal(t, "size", named(t, o.Name()).Size, 1000)
		}
		m := mapped(t, o, 1000, rw)
		fd := o.FD()
		check(t, o.Close())
		_, err = syscall.Seek(fd, 0, 0)
		equal(t, "descriptor", err, error(syscall.EBADF))
		m.Bytes()[999] = 'x'
		equal(t, "mapping after Close", m.Bytes()[999], 'x')
	})
	t.Run("PX-108", func(t *testing.T) {
		names := map[string]bool{}
		for range 100 {
			pattern := "/psm_" + shmtest.Name(t) + "_*"
			o, err := posix.CreateTemp(pattern, 10, 0o600, nil)
			check(t, err)
			unlinkLater(t, o.Name())
			defer o.Close()
			if names[o.Name()] {
				t.Fatalf("%s twice", o.Name())
			}
			names[o.Name()] = true
			equal(t, "size", named(t, o.Name()).Size, 10)
		}
		for name := range names {
			_, err := posix.Open(name, fresh, 0o600, nil)
			equal(t, "existing is fs.ErrExist", errors.Is(err, fs.ErrExist), true)
			break
		}
		_, err := posix.Open(shmtest.Name(t), posix.O_RDWR, 0, nil)
		equal(t, "missing is fs.ErrNotExist", errors.Is(err, fs.ErrNotExist), true)
		equal(t, "and not fs.ErrExist", errors.Is(err, fs.ErrExist), false)
		t.Run("refused", func(t *testing.T) {
			user := shmtest.Other(t)
			p := shmtest.Command{Handler: "stranger", Args: []string{newObject(t, 0).Name()}, User: user}.Start(t)
			p.Expect("refused")
			p.Wait()
		})
	})
	t.Run("PX-110", func(t *testing.T) {
		name := newName(t)
		p := shmtest.Start(t, "create in two steps", name)
		p.Expect("made")
		o := open(t, name, posix.O_RDWR, 0)
		equal(t, "size", stat(t, o).Size, 0)
		_, err := o.Size()
		equal(t, "Size says not ready", errors.Is(err, sys.ErrNotReady), true)

		// With a deadline, both reasons are told.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = o.WaitSize(ctx)
		equal(t, "not ready", errors.Is(err, sys.ErrNotReady), true)
		equal(t, "deadline", errors.Is(err, context.DeadlineExceeded), true)

		// Whoever waits long enough gets the size.
		type answer struct {
			size int64
			err  error
		}
		waited := make(chan answer, 1)
		go func() {
			size, err := o.WaitSize(t.Context())
			waited <- answer{size, err}
		}()
		p.Send("size")
		p.Expect("sized")
		got := <-waited
		check(t, got.err)
		equal(t, "size waited for", got.size, 4096)
		size, err := o.Size()
		check(t, err)
		equal(t, "size", size, 4096)
		p.Wait()

		// CreateSized leaves no such window: see TestCreateSizedRace.
	})
	t.Run("PX-111", func(t *testing.T) {
		const huge = 1 << 46 // more than any address space limit below allows
		o := newObject(t, 0)
		if err := o.Truncate(huge); err != nil {
			t.Fatal(err)
		}
		inode := stat(t, o).Inode
		p := shmtest.Command{
			Handler: "fail to map", Args: []string{o.Name()},
			Rlimits: []shmtest.Rlimit{{Resource: syscall.RLIMIT_AS, Cur: 1 << 45, Max: 1 << 45}},
		}.Start(t)
		p.Expect("no room")
		p.Wait()
		equal(t, "inode", named(t, o.Name()).Inode, inode)
		equal(t, "size", named(t, o.Name()).Size, huge)

		p = shmtest.Command{
			Handler: "no descriptor", Args: []string{o.Name()},
			Rlimits: []shmtest.Rlimit{{Resource: syscall.RLIMIT_NOFILE, Cur: 64, Max: 64}},
		}.Start(t)
		p.Expect("refused")
		p.Wait()
		equal(t, "inode after a failed open", named(t, o.Name()).Inode, inode)
		equal(t, "size after a failed open", named(t, o.Name()).Size, huge)
	})
}

// users gives the processes that have an object open or mapped, as far as this
// user may see.
func users(t *testing.T, st posix.Status) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	check(t, err)
	for _, dir := range all {
		var pid int
		fmt.Sscan(strings.TrimPrefix(dir, "/proc/"), &pid)
		if holds(pid, st) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

func holds(pid int, st posix.Status) bool {
	for m, err := range procfs.Root("").Maps(pid) {
		if err == nil && m.Inode == st.Inode && m.Dev == procfs.DevFromStat(st.Dev) {
			return true
		}
	}
	fds, _ := procfs.Root("").FDs(pid)
	for _, fd := range fds {
		open, err := sys.StatPath(procfs.Root("").FDPath(pid, fd))
		if err == nil && open.Ino == st.Inode && open.Dev == st.Dev {
			return true
		}
	}
	return false
}
