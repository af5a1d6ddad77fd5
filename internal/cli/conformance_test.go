//go:build linux

package cli_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// The rows that need more than a script: other users and namespaces, huge
// pages, or a look into JSON.

func TestLimits(t *testing.T) {
	t.Run("CLI-002", func(t *testing.T) {
		c := startCLI(t, shmtest.Command{OwnIPC: true, User: &shmtest.User{}})
		for name, value := range map[string]string{"shmmni": "3000", "shmall": "4294967295", "shmmax": "4294967295"} {
			if got := c.ask("write-file", "/proc/sys/kernel/"+name, value); got != "ok" {
				t.Fatal(got)
			}
		}
		page := uint64(os.Getpagesize())
		limits := parse(t, c.run("info", "--json").want(t, 0).out)["sysv"].(map[string]any)
		for name, want := range map[string]float64{
			"max_segments": 3000, "max_pages": 4294967295, "max_segment": 4294967295, "max_total": float64(4294967295 * page),
		} {
			if limits[name] != want {
				t.Errorf("%s is %v, want %v", name, limits[name], want)
			}
		}
		has(t, c.run("info").want(t, 0).out, "of 3000 at most (shmmni)", "4294967295 bytes (4.0G)", fmt.Sprintf("%d bytes", 4294967295*page))
		// More bytes than a number has are no limit, not a small one.
		if got := c.ask("write-file", "/proc/sys/kernel/shmall", "18446744073709551615"); got != "ok" {
			t.Fatal(got)
		}
		has(t, c.run("info").want(t, 0).out, "all together at most (shmall)  no limit")
		c.Wait()
	})

	t.Run("CLI-020", func(t *testing.T) {
		c := startCLI(t, shmtest.Command{OwnIPC: true})
		for _, size := range []string{"5000", "1", "1", "1"} {
			c.run("create", "sysv:private", "--size", size).want(t, 0)
		}
		use := parse(t, c.run("info", "--json").want(t, 0).out)["sysv"].(map[string]any)
		pages := (5000+os.Getpagesize()-1)/os.Getpagesize() + 3
		for name, want := range map[string]int{"segments": 4, "pages": pages, "total": pages * os.Getpagesize()} {
			if use[name] != float64(want) {
				t.Errorf("%s is %v, want %d: each size is rounded up by itself", name, use[name], want)
			}
		}
		c.Wait()
	})

	t.Run("CLI-055", func(t *testing.T) {
		id := segment(t, 5000, 0o600)
		c := startCLI(t, shmtest.Command{})
		if got := c.ask("refuse-shmctl"); got != "ok" {
			t.Skipf("needs seccomp filters: %s", got)
		}
		o := parse(t, c.run("ls", "--json", "--kind", "sysv").want(t, 0).out).object(t, "address", id.String())
		if o["size"] != 5000. {
			t.Errorf("the size is %v, want 5000", o["size"])
		}
		c.run("info", id.String()).want(t, 0)
		limits := parse(t, c.run("info", "--json").want(t, 0).out)["sysv"].(map[string]any)
		for _, name := range []string{"max_segments", "max_segment", "max_pages", "segments", "pages"} {
			if _, ok := limits[name].(float64); !ok {
				t.Errorf("%s is %v, want a number", name, limits[name])
			}
		}
		c.Wait()
	})

	t.Run("CLI-074", func(t *testing.T) {
		shmtest.NeedIsolation(t)
		look := func() (posixUsed, shared float64) {
			d := parse(t, run("info", "--json").want(t, 0).out)
			return d["posix"].(map[string]any)["used"].(float64), d["memory"].(map[string]any)["shared"].(float64)
		}
		before, _ := look()
		name := shmtest.Name(t)
		run("create", name, "--size", "1M").want(t, 0)
		id := strings.TrimSpace(run("create", "sysv:private", "--size", "1M").want(t, 0).out)
		run("write", id, strings.Repeat("x", 1<<20)).want(t, 0)
		after, shared := look()
		if after-before != 1<<20 {
			t.Errorf("the mount has %v bytes more, want %d: of POSIX objects alone", after-before, 1<<20)
		}
		if shared < 2<<20 {
			t.Errorf("%v bytes are shared, want at least %d: both kinds count", shared, 2<<20)
		}
		run("rm", name, id).want(t, 0)
	})
}

func TestOtherUsers(t *testing.T) {
	t.Run("CLI-014", func(t *testing.T) {
		other := shmtest.Other(t)
		id := segment(t, 4096, 0o600)
		c := startCLI(t, shmtest.Command{User: other})
		o := parse(t, c.run("ls", "--json", "--kind", "sysv").want(t, 0).out).object(t, "address", id.String())
		if o["cgid"] != 0. || o["cuid"] != 0. || o["mode"] != "0600" {
			t.Errorf("cuid %v, cgid %v, mode %v, want 0, 0, 0600", o["cuid"], o["cgid"], o["mode"])
		}
		c.run("info", id.String()).want(t, 0)
		has(t, c.run("rm", id.String()).want(t, 4).errOut, "operation not permitted", "hint: only the segment's owner")
		has(t, c.run("read", id.String()).want(t, 4).errOut, "permission denied", "hint: ")
		c.Wait()
	})

	t.Run("CLI-028", func(t *testing.T) {
		other := shmtest.Other(t)
		// As glibc makes it: 32 bytes under this name.
		name := "sem." + shmtest.Name(t)
		o, err := posix.CreateSized(name, 32, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer posix.Unlink(name, nil)
		defer o.Close()
		c := startCLI(t, shmtest.Command{User: other})
		d := parse(t, c.run("ls", "--json", "--kind", "semaphore").want(t, 0).out).object(t, "name", "/"+name)
		if d["owner"] != "root" {
			t.Errorf("the owner is %v, want root", d["owner"])
		}
		d = parse(t, c.run("info", "--json", name).want(t, 0).out)
		if _, there := d["value"]; there {
			t.Errorf("value %v of a semaphore that may not be read", d["value"])
		}
		c.Wait()
	})

	t.Run("CLI-070", func(t *testing.T) {
		other := shmtest.Other(t)
		name := shmtest.Name(t)
		run("write", name, "hello", "--mode", "666").want(t, 0)
		defer posix.Unlink(name, nil)
		c := startCLI(t, shmtest.Command{User: other})
		r := c.run("ls", "--json", name).want(t, 0)
		d := parse(t, r.out)
		if d["partial"] != true || d["reasons"] == nil {
			t.Errorf("partial %v, reasons %v", d["partial"], d["reasons"])
		}
		if o := d.object(t, "name", "/"+name); o["state"] != "unknown" || o["partial"] != true {
			t.Errorf("state %v, partial %v, want unknown, true", o["state"], o["partial"])
		}
		r = c.run("ls", name).want(t, 0)
		has(t, r.out, "unknown")
		has(t, r.errOut, "could not be looked into", "hint: root")
		// Its own it may remove, and is told that it did so half blind.
		c.run("write", name+"-own", "x").want(t, 0)
		has(t, c.run("rm", name+"-own").want(t, 0).errOut, "could not be looked into")
		c.Wait()
	})

	t.Run("CLI-071", func(t *testing.T) {
		other := shmtest.Other(t)
		name := shmtest.Name(t)
		c := shmtest.Command{Handler: "mapped-only", Args: []string{name}, User: other}.Start(t)
		var pid int
		if _, err := fmt.Sscanf(c.Recv(), "mapped %d", &pid); err != nil {
			t.Fatal(err)
		}
		// Seen by one who may follow the mapping to its file: all of it.
		o := parse(t, run("ls", "--json", "--kind", "posix", name).want(t, 0).out).object(t, "name", "/"+name)
		if o["size"] != 20000. || o["at_least"] != nil || !slices.Equal(o.pids(), []int{pid}) {
			t.Errorf("size %v, at_least %v, holders %v, want 20000, none, %d", o["size"], o["at_least"], o.pids(), pid)
		}
		// Seen by the user itself, who may only read where it leads.
		cli := startCLI(t, shmtest.Command{User: other})
		r := cli.run("ls", "--json", "--kind", "posix", name).want(t, 0)
		o = parse(t, r.out).object(t, "name", "/"+name)
		page := float64(os.Getpagesize())
		if o["at_least"] != true || o["size"].(float64) < 20000 || o["size"].(float64) > 20000+page || !slices.Equal(o.pids(), []int{pid}) {
			t.Errorf("size %v, at_least %v, holders %v, want 20000 in whole pages, true, %d", o["size"], o["at_least"], o.pids(), pid)
		}
		if o["uid"] != nil || o["mode"] != nil {
			t.Errorf("uid %v and mode %v, which cannot be known", o["uid"], o["mode"])
		}
		has(t, cli.run("ls", "--bytes", "--kind", "posix", name).want(t, 0).out, ">=")
		cli.Wait()
		c.Wait()
	})
}

// mapped-only has an object mapped that has no name and no descriptor.
func init() {
	shmtest.Handle("mapped-only", func(c *shmtest.Child) {
		o, err := posix.Open(c.Args[0], posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600, nil)
		c.Check(err)
		c.Check(o.Truncate(20000))
		m, err := mapping.SharedFile(o.FD(), 0, 20000, mapping.PROT_READ|mapping.PROT_WRITE, nil)
		c.Check(err)
		c.Check(posix.Unlink(c.Args[0], nil))
		c.Check(o.Close())
		c.Send("mapped %d", os.Getpid())
		c.Hold()
		c.Check(m.Unmap())
	})
	// namesake makes an object and a segment in its own namespaces.
	shmtest.Handle("namesake", func(c *shmtest.Child) {
		if r := run("create", c.Args[0], "--size", "3000"); r.code != 0 {
			c.Fatal(r.errOut)
		}
		id, err := sysv.Get(sysv.IPC_PRIVATE, 3000, 0o600)
		c.Check(err)
		a, err := sysv.Attach(id, 0, 0)
		c.Check(err)
		o, err := posix.Open(c.Args[0], posix.O_RDWR, 0, nil)
		c.Check(err)
		c.Send("has %d %d", os.Getpid(), id)
		c.Hold()
		c.Check(o.Close())
		c.Check(a.Detach())
		c.Check(sysv.Remove(id))
		c.Check(posix.Unlink(c.Args[0], nil))
	})
}

func TestNamespaces(t *testing.T) {
	start := func(t *testing.T, name string) (p *shmtest.Process, pid int, id sysv.ID) {
		p = shmtest.Command{Handler: "namesake", Args: []string{name}, OwnIPC: true, OwnShm: true}.Start(t)
		if _, err := fmt.Sscanf(p.Recv(), "has %d %d", &pid, &id); err != nil {
			t.Fatal(err)
		}
		return p, pid, id
	}

	t.Run("CLI-062", func(t *testing.T) {
		name := shmtest.Name(t)
		p, pid, _ := start(t, name)
		run("create", name, "--size", "5000").want(t, 0)
		defer posix.Unlink(name, nil)
		list := parse(t, run("ls", "--json", "--kind", "posix", name).want(t, 0).out).objects(t, "name", "/"+name)
		if len(list) != 2 {
			t.Fatalf("%d objects are called so, want 2: ours, and one of another /dev/shm", len(list))
		}
		for _, o := range list {
			if o["foreign"] == true {
				if o["size"] != 3000. || !slices.Equal(o.pids(), []int{pid}) || o["address"] != nil {
					t.Errorf("the other's: size %v, holders %v, address %v, want 3000, %d, none", o["size"], o.pids(), o["address"], pid)
				}
			} else if o["size"] != 5000. || len(o.pids()) != 0 {
				t.Errorf("ours: size %v, holders %v, want 5000 and none", o["size"], o.pids())
			}
		}
		if n := strings.Count(run("ls", "--local", "--no-header", name).want(t, 0).out, "\n"); n != 1 {
			t.Errorf("--local lists %d, want 1", n)
		}
		run("rm", name).want(t, 0) // not in use: that is another one
		p.Wait()
	})

	t.Run("CLI-064", func(t *testing.T) {
		shmtest.NeedIsolation(t)
		// Of ours the id that the other has, too.
		p, pid, id := start(t, shmtest.Name(t))
		var made []sysv.ID
		defer func() {
			for _, i := range made {
				sysv.Remove(i)
			}
		}()
		for !slices.Contains(made, id) {
			if len(made) > 100 {
				t.Skipf("needs the identifier %d, which did not come", id)
			}
			i, err := sysv.Get(sysv.IPC_PRIVATE, 5000, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, i)
			if i > id {
				break
			}
		}
		list := parse(t, run("ls", "--json", "--kind", "sysv").want(t, 0).out).objects(t, "id", float64(id))
		foreign := 0
		for _, o := range list {
			if o["foreign"] == true && slices.Equal(o.pids(), []int{pid}) {
				foreign++
			}
			if o["foreign"] != true && len(o.pids()) != 0 {
				t.Errorf("our segment %d has the holders %v, want none", id, o.pids())
			}
		}
		if foreign != 1 {
			t.Errorf("%d foreign segments %d are held by %d, want 1", foreign, id, pid)
		}
		if slices.Contains(made, id) {
			run("rm", id.String()).want(t, 0) // nobody uses ours
			made = slices.DeleteFunc(made, func(i sysv.ID) bool { return i == id })
		}
		p.Wait()
	})
}

func TestHuge(t *testing.T) {
	if emulated() {
		t.Skip("the emulator cannot attach huge pages: it chooses addresses that they do not fit")
	}
	make := func(t *testing.T) (sysv.ID, *sysv.Attachment) {
		shmtest.NeedHugePages(t, 1)
		id := sysv.ID(-1)
		out := run("create", "sysv:private", "--size", "2M", "--huge", "2M").want(t, 0).out
		if _, err := fmt.Sscanf(out, "sysv:id=%d", &id); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sysv.Remove(id) })
		a, err := sysv.Attach(id, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Detach() })
		a.Bytes()[0] = 1
		return id, a
	}
	t.Run("CLI-025", func(t *testing.T) {
		id, _ := make(t)
		has(t, run("ls", id.String()).want(t, 0).out, " used,huge ")
		d := parse(t, run("info", "--json", id.String()).want(t, 0).out)
		if d["huge"] != float64(2<<20) || d["used"] != float64(2<<20) {
			t.Errorf("huge %v, used %v, want both %d", d["huge"], d["used"], 2<<20)
		}
		if err := sysv.Lock(id); err != nil {
			t.Fatal(err)
		}
		small := segment(t, 4096, 0o600)
		if err := sysv.Lock(small); err != nil {
			t.Fatal(err)
		}
		has(t, run("ls", small.String()).want(t, 0).out, " unused,locked ")
	})
	t.Run("CLI-041", func(t *testing.T) {
		// What ipcmk cannot make; the script of this number has the rest.
		id, _ := make(t)
		has(t, run("info", id.String()).want(t, 0).out, "huge pages", "of 2097152 bytes (2.0M)")
	})
	t.Run("CLI-065", func(t *testing.T) {
		id, _ := make(t)
		d := parse(t, run("info", "--json", id.String()).want(t, 0).out)
		if !slices.Equal(d.pids(), []int{os.Getpid()}) || d["nattch"] != 1. || d["unseen"] != nil {
			t.Errorf("holders %v, nattch %v, unseen %v, want %d, 1, none", d.pids(), d["nattch"], d["unseen"], os.Getpid())
		}
	})
}

func TestJSON(t *testing.T) {
	t.Run("CLI-024", func(t *testing.T) {
		name := shmtest.Name(t)
		run("write", name, "hello").want(t, 0)
		defer posix.Unlink(name, nil)
		id := segment(t, 5000, 0o640)
		d := parse(t, run("ls", "--json").want(t, 0).out)
		numbers := []string{"size", "used", "id", "nattch", "uid", "gid", "links", "inode", "cuid", "cgid"}
		for _, o := range []document{d.object(t, "name", "/"+name), d.object(t, "address", id.String())} {
			for _, f := range numbers {
				if _, ok := o[f].(float64); o[f] != nil && !ok {
					t.Errorf("%s of %v is %T, want a number", f, o["address"], o[f])
				}
			}
			for f, v := range o {
				if v == nil || v == "" {
					t.Errorf("%s of %v is %q: what is absent is left out", f, o["address"], v)
				}
			}
			for _, f := range []string{"created", "last_used", "modified"} {
				if s, ok := o[f].(string); ok {
					if _, err := time.Parse(time.RFC3339, s); err != nil {
						t.Errorf("%s of %v: %v", f, o["address"], err)
					}
				}
			}
		}
		o := d.object(t, "address", id.String())
		if o["nattch"] != 0. || o["size"] != 5000. || o["mode"] != "0640" || o["last_used"] != nil {
			t.Errorf("nattch %v, size %v, mode %v, last_used %v, want 0, 5000, 0640, none", o["nattch"], o["size"], o["mode"], o["last_used"])
		}
		o = d.object(t, "name", "/"+name)
		if o["nattch"] != nil || o["id"] != nil || o["key"] != nil {
			t.Errorf("a POSIX object has nattch %v, id %v, key %v", o["nattch"], o["id"], o["key"])
		}
	})

	t.Run("CLI-056", func(t *testing.T) {
		// The file as kernels that repeat a row write it.
		const repeated = `       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap
         0          1   600                  4096     1     1      0     0     0     0     0          0          0 1700000000                  4096                     0
         0          2   600                  8192     1     1      0     0     0     0     0          0          0 1700000000                  4096                     0
         0          2   600                  8192     1     1      0     0     0     0     0          0          0 1700000000                  4096                     0
`
		rows, err := procfs.ParseSysvShm(strings.NewReader(repeated))
		if err != nil || len(rows) != 2 {
			t.Errorf("%d rows, %v, want 2", len(rows), err)
		}
		// More of them than one read of the file holds.
		made := map[string]int{}
		for range 100 {
			made[segment(t, 100, 0o600).String()] = 0
		}
		list := parse(t, run("ls", "--json", "--kind", "sysv", "--local").want(t, 0).out)["objects"].([]any)
		for _, o := range list {
			if a, ok := o.(map[string]any)["address"].(string); ok {
				if _, ours := made[a]; ours {
					made[a]++
				}
			}
		}
		for a, n := range made {
			if n != 1 {
				t.Errorf("%s is listed %d times, want once", a, n)
			}
		}
	})

	t.Run("CLI-061", func(t *testing.T) {
		id := segment(t, 100, 0o600)
		creator := parse(t, run("info", "--json", id.String()).want(t, 0).out)["creator"].(map[string]any)
		if creator["pid"] != float64(os.Getpid()) || creator["life"] != "alive" || creator["command"] == nil {
			t.Errorf("the creator is %v, want this process, alive", creator)
		}
		has(t, run("info", id.String()).want(t, 0).out, "not attached, but its creator lives: process "+strconv.Itoa(os.Getpid()))
		c := startCLI(t, shmtest.Command{})
		made := strings.TrimSpace(c.run("create", "sysv:private", "--size", "10").want(t, 0).out)
		pid := c.PID()
		c.Wait()
		creator = parse(t, run("info", "--json", made).want(t, 0).out)["creator"].(map[string]any)
		if creator["pid"] != float64(pid) || creator["life"] != "dead" || creator["command"] != nil {
			t.Errorf("the creator is %v, want %d, dead", creator, pid)
		}
		// It was touched a moment ago, so it is no orphan yet.
		r := run("ls", "--no-header", made).want(t, 0)
		has(t, r.out, " unused ")
		run("rm", made).want(t, 0)
		// A POSIX object has no creator to be asked about.
		name := shmtest.Name(t)
		run("write", name, "x").want(t, 0)
		if d := parse(t, run("info", "--json", name).want(t, 0).out); d["creator"] != nil {
			t.Errorf("the creator of a POSIX object is %v", d["creator"])
		}
		run("rm", name).want(t, 0)
	})
}

func TestNames(t *testing.T) {
	t.Run("CLI-068", func(t *testing.T) {
		// A line break, too, which maps escapes and fd links do not.
		name := shmtest.Name(t) + "\n \\ x\t"
		o, err := posix.CreateSized(name, 4096, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer posix.Unlink(name, nil)
		m, err := mapping.SharedFile(o.FD(), 0, 4096, mapping.PROT_READ, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Unmap()
		d := parse(t, run("info", "--json", name).want(t, 0).out)
		if d["name"] != "/"+name || !slices.Equal(d.pids(), []int{os.Getpid()}) {
			t.Errorf("name %q, holders %v", d["name"], d.pids())
		}
		o.Close()
		d = parse(t, run("info", "--json", name).want(t, 0).out)
		if !slices.Equal(d.pids(), []int{os.Getpid()}) {
			t.Errorf("holders %v of what is mapped only", d.pids())
		}
		r := run("ls", "--no-header", "--kind", "posix", strings.Split(name, "\n")[0]+"*").want(t, 0)
		if strings.Count(r.out, "\n") != 1 || strings.Contains(r.out, "\t") {
			t.Errorf("not one clean line: %q", r.out)
		}
	})

	t.Run("CLI-077", func(t *testing.T) {
		name := shmtest.Name(t)
		run("create", name, "--size", "10", "--mode", "600").want(t, 0)
		defer posix.Unlink(name, nil)
		path := filepath.Join(shmtest.ShmMount, name)
		// acl(5) as the kernel has it: version 2; tag, permissions, id.
		acl := binary.LittleEndian.AppendUint32(nil, 2)
		for _, e := range [][3]uint32{{0x01, 6, ^uint32(0)}, {0x02, 4, 65534}, {0x04, 0, ^uint32(0)}, {0x10, 4, ^uint32(0)}, {0x20, 0, ^uint32(0)}} {
			acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
			acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
			acl = binary.LittleEndian.AppendUint32(acl, e[2])
		}
		if err := unix.Setxattr(path, "system.posix_acl_access", acl, 0); err != nil {
			if err == unix.ENOTSUP {
				t.Skip("needs a tmpfs with access control lists")
			}
			t.Fatal(err)
		}
		has(t, run("ls", name).want(t, 0).out, " 0640+ ")
		has(t, run("info", name).want(t, 0).out, "0640+", "access list  yes")
		if d := parse(t, run("info", "--json", name).want(t, 0).out); d["acl"] != true || d["mode"] != "0640" {
			t.Errorf("acl %v, mode %v, want true, 0640", d["acl"], d["mode"])
		}
	})

	t.Run("CLI-045", func(t *testing.T) {
		// No flag takes a value only if it is glued to it: --flag VALUE and
		// --flag=VALUE are the same for all that take one.
		name := shmtest.Name(t)
		run("create", name+"-a", "--size", "10").want(t, 0)
		run("create", name+"-b", "--size=10").want(t, 0)
		list := func() string { return run("ls", "--no-header", name+"*").want(t, 0).out }
		first, second := run("ls", "--kind", "posix", name+"*").want(t, 0).out, run("ls", "--kind=posix", name+"*").want(t, 0).out
		if strings.Count(first, "\n") != strings.Count(second, "\n") || strings.Count(list(), "\n") != 2 {
			t.Errorf("not alike:\n%s%s", first, second)
		}
		// A kind is nothing that rm takes, in any spelling, and nothing goes.
		for _, args := range [][]string{{"rm", "-a", "posix"}, {"rm", "--all=posix"}, {"rm", "-aposix"}} {
			run(args...).want(t, 2)
		}
		help := run("rm", "--help").want(t, 0).out
		if m := regexp.MustCompile(`\[=`).FindString(help); m != "" {
			t.Errorf("a flag with an optional value in\n%s", help)
		}
		if strings.Count(list(), "\n") != 2 {
			t.Errorf("something went:\n%s", list())
		}
		run("rm", name+"-a", name+"-b").want(t, 0)
	})
}

// segment makes a segment that goes with the test.
func segment(t testing.TB, size int64, mode int) sysv.ID {
	t.Helper()
	id, err := sysv.Get(sysv.IPC_PRIVATE, size, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sysv.Remove(id) })
	return id
}
