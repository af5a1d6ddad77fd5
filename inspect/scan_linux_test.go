package inspect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/mapping"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func TestSegments(t *testing.T) {
	id := segment(t, 5000, 0o640)
	twice := shmtest.Start(t, "attach", strconv.Itoa(int(id)), "2", "0")
	twice.Expect("ready")
	once := shmtest.Start(t, "attach", strconv.Itoa(int(id)), "1", strconv.Itoa(sysv.SHM_RDONLY))
	once.Expect("ready")

	t.Run("CLI-031", func(t *testing.T) {
		o := find(t, scan(t, nil), "segment", byID(id))
		if o.NAttach != 3 || o.Unseen != 0 || len(o.Holders) != 2 || o.Partial() {
			t.Fatalf("nattch %d, unseen %d, holders %+v, reasons %v", o.NAttach, o.Unseen, o.Holders, o.Reasons)
		}
		h := o.Holders[slices.Index(holders(o), twice.PID())]
		if h.Maps != 2 || !h.Writable || h.Command == "" || !strings.Contains(h.Cmdline, os.Args[0]) && h.Cmdline == "" || int(h.UID) != os.Geteuid() {
			t.Errorf("who attached twice: %+v", h)
		}
		if h := o.Holders[slices.Index(holders(o), once.PID())]; h.Maps != 1 || h.Writable {
			t.Errorf("who attached for reading: %+v", h)
		}
		if o.Size != 5000 || o.Used != 0 || o.Mode != 0o640 || o.Address == "" || o.Address != o.Key.String() || o.Created.IsZero() || o.LastUsed.IsZero() || o.State() != inspect.StateUsed {
			t.Errorf("%+v", *o)
		}
		if o.Creator.Life != inspect.Alive || o.Creator.PID != os.Getpid() {
			t.Errorf("creator %+v", o.Creator)
		}
	})
	t.Run("used", func(t *testing.T) {
		a, err := sysv.Attach(id, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Detach()
		a.Bytes()[4999] = 1
		o := find(t, scan(t, nil), "segment", byID(id))
		if o.Used+max(o.Swapped, 0) != int64(os.Getpagesize()) && o.Used != int64(os.Getpagesize()) {
			t.Errorf("one page touched, used %d, swapped %d", o.Used, o.Swapped)
		}
		if !slices.Contains(holders(o), os.Getpid()) {
			t.Errorf("this process is not among %v", holders(o))
		}
	})
	t.Run("SV-108", func(t *testing.T) {
		key := find(t, scan(t, nil), "segment", byID(id)).Key
		if err := sysv.Remove(id); err != nil {
			t.Fatal(err)
		}
		o := find(t, scan(t, nil), "segment", byID(id))
		if !o.Removed || o.State() != inspect.StateRemoved || o.Key != sysv.IPC_PRIVATE || o.OldKey != key || o.Address != id.String() {
			t.Errorf("after IPC_RMID: %+v, key was %v", *o, key)
		}
	})
	twice.Wait()
	once.Wait()
	for _, o := range scan(t, nil).Objects {
		if byID(id)(&o) {
			t.Errorf("still there: %+v", o)
		}
	}
}

func TestHugeSegment(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("the emulator cannot attach huge pages: it chooses addresses that they do not fit")
	}
	shmtest.NeedHugePages(t, 2)
	const huge = 2 << 20
	id, err := sysv.Get(sysv.IPC_PRIVATE, 2*huge, sysv.SHM_HUGETLB|0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer sysv.Remove(id)
	a, err := sysv.Attach(id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	a.Bytes()[0] = 1
	t.Run("SV-143", func(t *testing.T) {
		o := find(t, scan(t, nil), "segment", byID(id))
		if o.Used != huge || o.Huge != huge {
			t.Errorf("one huge page touched: used %d, huge pages of %d", o.Used, o.Huge)
		}
	})
	t.Run("CLI-065", func(t *testing.T) {
		if o := find(t, scan(t, nil), "segment", byID(id)); !slices.Equal(holders(o), []int{os.Getpid()}) {
			t.Errorf("holders %v", holders(o))
		}
	})
	t.Run("detached", func(t *testing.T) {
		if err := a.Detach(); err != nil {
			t.Fatal(err)
		}
		if o := find(t, scan(t, nil), "segment", byID(id)); o.Used != huge || o.Huge != huge || o.NAttach != 0 {
			t.Errorf("one huge page touched: used %d, huge pages of %d", o.Used, o.Huge)
		}
	})
}

func TestObjects(t *testing.T) {
	name := object(t, 3*4096)
	byMap := shmtest.Start(t, "map", name, "4096", strconv.Itoa(mapping.PROT_READ|mapping.PROT_WRITE))
	byMap.Expect("ready")
	byFD := shmtest.Start(t, "open", name, strconv.Itoa(posix.O_RDONLY))
	var fd int
	fmt.Sscanf(byFD.Recv(), "fd %d", &fd)

	o := find(t, scan(t, nil), "object", byName(inspect.KindPOSIX, name))
	t.Run("CLI-027", func(t *testing.T) {
		st, err := posix.Stat(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != 3*4096 || o.Used != 3*4096 || o.Links != 1 || o.Inode != st.Inode || o.Dev != st.Dev || o.Address != posix.Address(name) ||
			o.Mode != 0o644 || o.Created.IsZero() || !slices.Equal(o.Names, []string{name}) || o.ACL || o.State() != inspect.StateUsed {
			t.Errorf("%+v", *o)
		}
		want := map[int]inspect.Holder{
			byMap.PID(): {Maps: 1, Writable: true},
			byFD.PID():  {FDs: []int{fd}},
		}
		got := make(map[int]inspect.Holder)
		for _, h := range o.Holders {
			got[h.PID] = inspect.Holder{Maps: h.Maps, FDs: h.FDs, Writable: h.Writable}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("holders (-want +got):\n%s", d)
		}
	})
	t.Run("PX-090", func(t *testing.T) {
		second := name + ".second"
		if err := os.Link(posix.DefaultDir+name, posix.DefaultDir+second); err != nil {
			t.Fatal(err)
		}
		defer posix.Unlink(second, nil)
		snap := scan(t, nil)
		o := find(t, snap, "object", func(o *inspect.Object) bool { return slices.Contains(o.Names, name) })
		if !slices.Equal(o.Names, []string{name, second}) || o.Links != 2 || len(o.Holders) != 2 {
			t.Errorf("%+v", *o)
		}
		if p, err := snap.Find("posix:" + second); err != nil || p != o {
			t.Errorf("by its second name: %v, %v", p, err)
		}
	})
	t.Run("CLI-077", func(t *testing.T) {
		// The entries that setfacl -m u:65534:r would write, and the mask.
		acl := []byte{2, 0, 0, 0}
		for _, e := range [][3]uint32{{1, 6, ^uint32(0)}, {2, 4, 65534}, {4, 4, ^uint32(0)}, {16, 4, ^uint32(0)}, {32, 4, ^uint32(0)}} {
			acl = append(acl, byte(e[0]), 0, byte(e[1]), 0, byte(e[2]), byte(e[2]>>8), byte(e[2]>>16), byte(e[2]>>24))
		}
		if err := syscall.Setxattr(posix.DefaultDir+name, "system.posix_acl_access", acl, 0); err != nil {
			t.Skipf("setxattr: %v", err)
		}
		if o := find(t, scan(t, nil), "object", byName(inspect.KindPOSIX, name)); !o.ACL {
			t.Error("the access control list was not seen")
		}
	})
}

func TestUnlinkedObjects(t *testing.T) {
	base := shmtest.Name(t)
	p := shmtest.Start(t, "unlinked", "/"+base+"\nx", "8192")
	var inode uint64
	fmt.Sscanf(p.Recv(), "inode %d", &inode)
	check := func(t *testing.T, snap *inspect.Snapshot) *inspect.Object {
		t.Helper()
		o := find(t, snap, "unlinked object", func(o *inspect.Object) bool { return o.Kind == inspect.KindPOSIX && o.Inode == inode })
		if o.Name != "/"+base+"\nx" || o.Size != 8192 || o.Used != 8192 && !o.AtLeast || !o.Removed || o.Address != "" || o.Names != nil || o.State() != inspect.StateRemoved ||
			!slices.Equal(holders(o), []int{p.PID()}) || o.Holders[0].Maps != 1 {
			t.Errorf("%+v", *o)
		}
		return o
	}
	t.Run("CLI-058", func(t *testing.T) { check(t, scan(t, nil)) })
	t.Run("CLI-071", func(t *testing.T) {
		// Of their own processes users see the links of map_files, not the
		// files behind: the mappings must do.
		user := shmtest.Other(t)
		p := shmtest.Command{Handler: "unlinked", Args: []string{"/" + shmtest.Name(t), "8192"}, User: user}.Start(t)
		var inode uint64
		fmt.Sscanf(p.Recv(), "inode %d", &inode)
		o := find(t, scanAs(t, shmtest.Command{User: user}), "unlinked object", func(o *inspect.Object) bool { return o.Kind == inspect.KindPOSIX && o.Inode == inode })
		if o.Size != 8192 || !o.AtLeast || o.Used != 0 || !o.Removed || !slices.Equal(holders(o), []int{p.PID()}) {
			t.Errorf("%+v", *o)
		}
	})
	t.Run("CLI-067", func(t *testing.T) {
		name := "/" + shmtest.Name(t) + " (deleted)"
		o, err := posix.Open(name, posix.O_RDWR|posix.O_CREAT|posix.O_EXCL, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer posix.Unlink(name, nil)
		defer o.Close()
		if err := o.Reserve(0, 4096); err != nil {
			t.Fatal(err)
		}
		got := find(t, scan(t, nil), "object", byName(inspect.KindPOSIX, name))
		if got.Removed || got.Address != posix.Address(name) || !slices.Equal(holders(got), []int{os.Getpid()}) {
			t.Errorf("%+v", *got)
		}
		if err := posix.Unlink(name, nil); err != nil {
			t.Fatal(err)
		}
		if got := find(t, scan(t, nil), "object", byName(inspect.KindPOSIX, name)); !got.Removed || got.Links != 0 || got.Size != 4096 || got.AtLeast {
			t.Errorf("%+v", *got)
		}
	})
}

func TestMemfds(t *testing.T) {
	name := shmtest.Name(t) + " \nx (deleted)"
	byFD := shmtest.Start(t, "memfd", "fd-"+strings.ReplaceAll(name, "\n", "_"), "8192", "fd")
	var fd int
	fmt.Sscanf(byFD.Recv(), "fd %d", &fd)
	byMap := shmtest.Start(t, "memfd", "map-"+name, "4096", "map")
	byMap.Recv()
	both := shmtest.Start(t, "memfd", "both", "4096", "both")
	both.Recv()
	t.Run("CLI-059", func(t *testing.T) {
		snap := scan(t, nil)
		o := find(t, snap, "memfd", byName(inspect.KindMemfd, "fd-"+strings.ReplaceAll(name, "\n", "_")))
		if o.Address != fmt.Sprintf("memfd:%d/%d", byFD.PID(), fd) || o.Size != 8192 || o.Used != 8192 || !o.HasSeals || o.Seals&memfd.F_SEAL_SHRINK == 0 ||
			!slices.Equal(holders(o), []int{byFD.PID()}) || !slices.Equal(o.Holders[0].FDs, []int{fd}) || o.Holders[0].Maps != 0 || o.Removed {
			t.Errorf("held by descriptor: %+v", *o)
		}
		if p, err := snap.Find(o.Address); err != nil || p != o {
			t.Errorf("by its address: %v, %v", p, err)
		}
		if p, err := snap.Find("memfd:" + o.Name); err != nil || p != o {
			t.Errorf("by its name: %v, %v", p, err)
		}
		o = find(t, snap, "memfd", byName(inspect.KindMemfd, "map-"+name))
		if o.Size != 4096 || !slices.Equal(holders(o), []int{byMap.PID()}) || o.Holders[0].Maps != 1 || o.Holders[0].FDs != nil || o.Address != "" || o.Via == "" {
			t.Errorf("held by mapping: %+v", *o)
		}
		if !o.AtLeast && (!o.HasSeals || o.Used != 4096) {
			t.Errorf("through map_files: %+v", *o)
		}
		o = find(t, snap, "memfd", byName(inspect.KindMemfd, "both"))
		if len(o.Holders) != 1 || o.Holders[0].Maps != 1 || len(o.Holders[0].FDs) != 1 {
			t.Errorf("held by both: %+v", *o)
		}
	})
	t.Run("one row", func(t *testing.T) {
		f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", byFD.PID(), fd), os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		o := find(t, scan(t, nil), "memfd", byName(inspect.KindMemfd, "fd-"+strings.ReplaceAll(name, "\n", "_")))
		if len(o.Holders) != 2 {
			t.Fatalf("%+v", *o)
		}
		if h := o.Holders[slices.Index(holders(o), os.Getpid())]; !slices.Equal(h.FDs, []int{int(f.Fd())}) || h.Writable {
			t.Errorf("%+v", h)
		}
	})
}

// TestLinkedTemporary looks at an object that was made without a name and then
// linked: the kernel goes on showing it as "/dev/shm/#17 (deleted)".
func TestLinkedTemporary(t *testing.T) {
	name := "/" + shmtest.Name(t)
	o, err := posix.CreateSized(name, 4096, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	st, err := o.Stat()
	if err != nil {
		t.Fatal(err)
	}
	inode := func(o *inspect.Object) bool { return o.Kind == inspect.KindPOSIX && o.Inode == st.Inode }
	got := find(t, scan(t, nil), "object", inode)
	if got.Name != name || got.Removed || !slices.Equal(holders(got), []int{os.Getpid()}) {
		t.Errorf("%+v", *got)
	}
	if err := posix.Unlink(name, nil); err != nil {
		t.Fatal(err)
	}
	if got := find(t, scan(t, nil), "object", inode); !got.Removed || !slices.Equal(holders(got), []int{os.Getpid()}) {
		t.Errorf("%+v", *got)
	}
}

// TestOwnDescriptors scans from several goroutines at once: none may see what
// another has open for a moment.
func TestOwnDescriptors(t *testing.T) {
	shmtest.CheckLeaks(t)
	p := shmtest.Start(t, "memfd", shmtest.Name(t), "4096", "fd")
	p.Recv()
	done := make(chan error)
	for range 4 {
		go func() {
			for range 25 {
				snap, err := inspect.Scan(t.Context(), &inspect.Options{Kinds: []inspect.Kind{inspect.KindMemfd}})
				if err == nil {
					for _, o := range snap.Objects {
						if slices.Contains(holders(&o), os.Getpid()) {
							err = fmt.Errorf("this process among the holders of %+v", o)
						}
					}
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	p.Wait()
}

func TestOtherFiles(t *testing.T) {
	dir := shmtest.Dir(t)
	if err := os.Mkdir(dir+"/d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", dir+"/l"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(dir+"/f", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/x", []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	sem := make([]byte, 32)
	sem[0], sem[8] = 7, 0x80
	if err := os.WriteFile(dir+"/sem.s", sem, 0o600); err != nil {
		t.Fatal(err)
	}
	snap := scan(t, &inspect.Options{Dir: dir, Semaphores: true})
	got := map[string]string{}
	for _, o := range snap.Objects {
		switch {
		case o.Foreign:
		case o.Kind == inspect.KindSysV, o.Kind == inspect.KindMemfd, o.Kind == inspect.KindShmnet:
			// Those of other processes are found too.
		default:
			got[o.Name] = fmt.Sprint(o.Kind, " ", o.Mode, " ", o.Address)
		}
	}
	want := map[string]string{
		"/d": "other drwx------ posix:/d", "/l": "other Lrwxrwxrwx posix:/l", "/f": "other prw------- posix:/f",
		"/x": "posix -rw------- posix:/x", "/sem.s": "semaphore -rw------- posix:/sem.s",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if o := find(t, snap, "semaphore", byName(inspect.KindSemaphore, "/sem.s")); o.Semaphore == nil || o.Semaphore.Value != 7 {
		t.Errorf("%+v", o.Semaphore)
	}
	t.Run("missing", func(t *testing.T) {
		snap := scan(t, &inspect.Options{Dir: filepath.Join(dir, "none")})
		if !snap.Partial || !slices.ContainsFunc(snap.Reasons, func(r inspect.Reason) bool { return r.Code == inspect.ReasonMount && r.Err != nil && r.Hint() != "" }) {
			t.Errorf("reasons %v", snap.Reasons)
		}
	})
}

// TestSemaphoreHeld holds a semaphore as glibc makes it: mapped under a
// temporary name that is gone.
func TestSemaphoreHeld(t *testing.T) {
	src := `#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
int main(int c, char **v) {
	if (sem_open(v[1], O_CREAT | O_EXCL, 0600, 3) == SEM_FAILED) return 1;
	puts("ready"); fflush(stdout); getchar(); sem_unlink(v[1]); return 0;
}`
	bin := shmtest.CompileC(t, src, "-pthread")
	name := shmtest.Name(t)
	p := shmtest.Exec(t, bin, "/"+name)
	p.Expect("ready")
	t.Run("PX-096", func(t *testing.T) {
		o := find(t, scan(t, nil), "semaphore", byName(inspect.KindSemaphore, "/sem."+name))
		if !slices.Equal(holders(o), []int{p.PID()}) || o.Semaphore != nil {
			t.Errorf("%+v", *o)
		}
	})
	p.Wait()
}

func TestForeignNamespaces(t *testing.T) {
	t.Run("CLI-064", func(t *testing.T) {
		// The same key, and as likely as not the same identifier, in two
		// namespaces.
		id := segment(t, 4096, 0o600)
		seg := find(t, scan(t, nil), "segment", byID(id))
		p := shmtest.Command{Handler: "segment", Args: []string{fmt.Sprint(int32(seg.Key)), "12288"}, OwnIPC: true}.Start(t)
		p.Recv()
		snap := scan(t, nil)
		if o := find(t, snap, "own segment", byID(id)); len(o.Holders) != 0 || o.NAttach != 0 || o.State() == inspect.StateUsed {
			t.Errorf("own: %+v", *o)
		}
		o := find(t, snap, "foreign segment", func(o *inspect.Object) bool {
			return o.Kind == inspect.KindSysV && slices.Contains(holders(o), p.PID())
		})
		if !o.Foreign || o.Key != seg.Key || o.Size != 12288 || o.Address != "" || o.IPCNamespace == 0 {
			t.Errorf("foreign: %+v", *o)
		}
		if got, err := snap.Find(seg.Address); err != nil || got.Foreign {
			t.Errorf("Find(%q) = %+v, %v", seg.Address, got, err)
		}
		p.Wait()
	})
	t.Run("CLI-062", func(t *testing.T) {
		name := object(t, 4096)
		p := shmtest.Command{Handler: "unlinked", Args: []string{name, "8192"}, OwnShm: true}.Start(t)
		p.Recv()
		snap := scan(t, nil)
		if o := find(t, snap, "own object", func(o *inspect.Object) bool { return slices.Contains(o.Names, name) }); len(o.Holders) != 0 || o.Size != 4096 {
			t.Errorf("own: %+v", *o)
		}
		o := find(t, snap, "foreign object", func(o *inspect.Object) bool {
			return o.Kind == inspect.KindPOSIX && slices.Contains(holders(o), p.PID())
		})
		if !o.Foreign || !o.Removed || o.Size != 8192 || o.Name != name || o.Address != "" {
			t.Errorf("foreign: %+v", *o)
		}
		p.Wait()
	})
	t.Run("linked temporary", func(t *testing.T) {
		p := shmtest.Command{Handler: "step", Args: []string{"/" + shmtest.Name(t)}, OwnShm: true}.Start(t)
		p.Expect("made")
		o := find(t, scan(t, nil), "foreign object", func(o *inspect.Object) bool {
			return o.Kind == inspect.KindPOSIX && slices.Contains(holders(o), p.PID())
		})
		if want := fmt.Sprintf("/#%d", o.Inode); !o.Foreign || o.Removed || o.Name != want {
			t.Errorf("foreign: %+v, want the name %s", *o, want)
		}
		p.Kill()
	})
	t.Run("pid namespace", func(t *testing.T) {
		shmtest.NeedCap(t, shmtest.CapSysAdmin)
		if shmtest.Emulated() {
			t.Skip("the emulator cannot start a process in another pid namespace")
		}
		name := object(t, 4096)
		f, err := os.Open(posix.DefaultDir + name)
		if err != nil {
			t.Fatal(err)
		}
		p := shmtest.Command{Handler: "inner", ExtraFiles: []*os.File{f}}.Start(t)
		f.Close()
		var pid int
		fmt.Sscanf(p.Recv(), "pid %d", &pid)
		o := find(t, scan(t, nil), "object", byName(inspect.KindPOSIX, name))
		i := slices.Index(holders(o), pid)
		if i < 0 || o.Holders[i].InnerPID != 1 || !slices.Equal(o.Holders[i].FDs, []int{3}) {
			t.Errorf("process %d: %+v", pid, o.Holders)
		}
		p.Wait()
	})
}

func TestPartial(t *testing.T) {
	user := shmtest.Other(t)
	id := segment(t, 4096, 0o666)
	name := object(t, 4096)
	root := shmtest.Start(t, "attach", strconv.Itoa(int(id)), "1", "0")
	root.Expect("ready")
	holder := shmtest.Start(t, "open", name, "0")
	holder.Recv()
	own := shmtest.Command{Handler: "attach", Args: []string{strconv.Itoa(int(id)), "1", "0"}, User: user}.Start(t)
	own.Expect("ready")
	t.Run("CLI-070", func(t *testing.T) {
		snap := scanAs(t, shmtest.Command{User: user})
		if !snap.Partial {
			t.Fatal("not partial")
		}
		i := slices.IndexFunc(snap.Reasons, func(r inspect.Reason) bool { return r.Code == inspect.ReasonProcesses })
		if i < 0 || snap.Reasons[i].Processes < 2 || !slices.Contains(snap.Reasons[i].Users, 0) {
			t.Errorf("reasons %+v", snap.Reasons)
		}
		o := find(t, snap, "segment", byID(id))
		if o.NAttach != 2 || o.Unseen != 1 || !slices.Equal(holders(o), []int{own.PID()}) || !o.Partial() || o.State() != inspect.StateUsed {
			t.Errorf("segment %+v", *o)
		}
		o = find(t, snap, "object", byName(inspect.KindPOSIX, name))
		if used, certain := o.InUse(); used || certain || o.State() != inspect.StateUnknown || o.Size != 4096 {
			t.Errorf("object %+v", *o)
		}
		if orphaned, why := o.OrphanedAfter(0); orphaned || !strings.Contains(why, "could not be looked into") {
			t.Errorf("orphaned %v, because %s", orphaned, why)
		}
	})
	t.Run("CLI-014", func(t *testing.T) {
		// Not readable, yet listed.
		id := segment(t, 4096, 0o600)
		o := find(t, scanAs(t, shmtest.Command{User: user}), "segment", byID(id))
		if o.Size != 4096 || o.CGID != uint32(os.Getgid()) || o.Partial() {
			t.Errorf("%+v", *o)
		}
	})
	t.Run("hidepid", func(t *testing.T) {
		shmtest.NeedIsolation(t)
		shmtest.NeedCap(t, shmtest.CapSysAdmin)
		dir, err := os.MkdirTemp("", "proc")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(dir)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("proc", dir, "proc", 0, "hidepid=2"); err != nil {
			t.Skipf("mounting proc: %v", err)
		}
		defer syscall.Unmount(dir, syscall.MNT_DETACH)
		snap := scanAs(t, shmtest.Command{User: user, Args: []string{dir}})
		if !slices.ContainsFunc(snap.Reasons, func(r inspect.Reason) bool { return r.Code == inspect.ReasonHidden }) {
			t.Errorf("reasons %+v", snap.Reasons)
		}
		o := find(t, snap, "segment", byID(id))
		if o.Creator.Life != inspect.Unknown {
			t.Errorf("the creator lives, but is hidden: %+v", o.Creator)
		}
	})
	root.Wait()
	own.Wait()
	holder.Wait()
}

func TestCreator(t *testing.T) {
	p := shmtest.Start(t, "make")
	var id sysv.ID
	fmt.Sscanf(p.Recv(), "id %d", &id)
	t.Cleanup(func() { sysv.Remove(id) })
	if o := find(t, scan(t, nil), "segment", byID(id)); o.Creator.Life != inspect.Alive || o.Creator.PID != p.PID() || o.Creator.Command == "" {
		t.Errorf("while it lives: %+v", o.Creator)
	}
	p.Wait()
	t.Run("CLI-061", func(t *testing.T) {
		o := find(t, scan(t, nil), "segment", byID(id))
		if o.Creator.Life != inspect.Dead || o.Creator.PID != p.PID() {
			t.Errorf("when it is dead: %+v", o.Creator)
		}
		if o.State() != inspect.StateUnused {
			t.Errorf("state %v", o.State())
		}
		if orphaned, why := o.Orphaned(); orphaned || !strings.Contains(why, "touched") {
			t.Errorf("at once: %v, %s", orphaned, why)
		}
		if orphaned, why := o.OrphanedAfter(0); !orphaned || !strings.Contains(why, "is dead") {
			t.Errorf("whatever its age: %v, %s", orphaned, why)
		}
	})
	t.Run("alive", func(t *testing.T) {
		id := segment(t, 1, 0o600)
		o := find(t, scan(t, nil), "segment", byID(id))
		if orphaned, why := o.OrphanedAfter(0); orphaned || !strings.Contains(why, "lives") {
			t.Errorf("%v, %s", orphaned, why)
		}
	})
}

func TestOrphanedObject(t *testing.T) {
	t.Run("CLI-052", func(t *testing.T) {
		name := object(t, 4096)
		p := shmtest.Start(t, "open", name, "0")
		p.Recv()
		opts := &inspect.Options{Proc: view(t, p.PID())}
		snap := scan(t, opts)
		if snap.Partial {
			t.Skipf("this machine does not show everything: %v", snap.Reasons)
		}
		o := find(t, snap, "object", byName(inspect.KindPOSIX, name))
		if orphaned, why := o.OrphanedAfter(0); orphaned || why != "used by 1 process" {
			t.Errorf("while it is open: %v, %s", orphaned, why)
		}
		p.Wait()
		snap = scan(t, opts)
		o = find(t, snap, "object", byName(inspect.KindPOSIX, name))
		if o.State() != inspect.StateUnused {
			t.Errorf("state %v", o.State())
		}
		if orphaned, why := o.OrphanedAfter(0); !orphaned {
			t.Errorf("when nobody has it: %s", why)
		}
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(posix.DefaultDir+name, old, old); err != nil {
			t.Fatal(err)
		}
		o = find(t, scan(t, opts), "object", byName(inspect.KindPOSIX, name))
		if orphaned, why := o.Orphaned(); orphaned || !strings.Contains(why, "0 seconds ago") && !strings.Contains(why, "second ago") {
			t.Errorf("made just now: %v, %s", orphaned, why)
		}
	})
}
