package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

// Users who own nothing. 65534 will not do: files of the overflow uid are
// refused.
const (
	publisherUID  = 41001
	subscriberUID = 41002
	strangerUID   = 41003
	sharedGID     = 41100
)

func as(uid, gid int, handler string, args ...string) shmtest.Command {
	return shmtest.Command{Handler: handler, Args: args, User: &shmtest.User{UID: uid, GID: gid}}
}

// TestUsers: publisher, subscribers and strangers of several users, each way
// of sharing.
func TestUsers(t *testing.T) {
	shmtest.NeedRoot(t)
	shmtest.CheckLeaks(t)
	for _, tt := range []struct {
		sharing                    Sharing
		same, member, stranger     string // what opening gives
		sameJ, memberJ, strangerJ  string // what joining gives, "join" where it works
		sameBell, memberBell, bell int
	}{
		{Private, "ok", "permission", "permission", "join", "", "", BellSize, 0, 0},
		{Group, "ok", "ok", "permission", "join", "join", "", BellSize, BellSize, 0},
		{All, "ok", "ok", "ok", "join", "join", "join", BellSize, BellSize, BellSize},
		{ObserveOnly, "ok", "ok", "ok", "join", "permission", "permission", BellSize, 0, 0},
	} {
		t.Run(tt.sharing.String(), func(t *testing.T) {
			dir := shmtest.Dir(t)
			p := as(publisherUID, sharedGID, "publisher", dir, "x", fmt.Sprint(int(tt.sharing)), fmt.Sprint(sharedGID)).Start(t)
			p.Expect("publishes false")
			joined := 0
			for _, who := range []struct {
				uid, gid   int
				open, join string
			}{
				{publisherUID, sharedGID, tt.same, tt.sameJ},
				{subscriberUID, sharedGID, tt.member, tt.memberJ},
				{strangerUID, strangerUID, tt.stranger, tt.strangerJ},
				{0, 0, "ok", "join"},
			} {
				s := as(who.uid, who.gid, "subscriber", dir, "x").Start(t)
				s.Expect("open " + who.open)
				if who.open != "ok" {
					s.Wait()
					continue
				}
				line := s.Recv()
				if who.join != "join" {
					if line != "join "+who.join {
						t.Errorf("uid %d: %q, want %q", who.uid, line, who.join)
					}
					s.Wait()
					continue
				}
				id, _ := strings.CutPrefix(line, "join ")
				if len(id) != 32 {
					t.Errorf("uid %d: %q", who.uid, line)
					continue
				}
				joined++
				st, err := sys.LstatPath(dir + "/x.topic/r." + id)
				if err != nil || int(st.UID) != who.uid || (tt.sharing == Group && st.GID != sharedGID) {
					t.Errorf("uid %d has made %+v, %v", who.uid, st, err)
				}
				s.Send("alive")
				s.Expect("alive true")
				// The publisher sees it, reads it, and may remove it.
				p.Send("members")
				p.Expect(fmt.Sprintf("member %d true 7", who.uid))
				p.Expect("end")
				if who.uid%2 == 0 {
					s.Send("leave")
					s.Expect("left")
					s.Wait()
				} else {
					s.Kill()
				}
				p.Send("unlink")
				p.Expect("end")
			}
			if joined < 2 {
				t.Errorf("%d have joined", joined)
			}
			p.Wait()
			if err := Remove("x", &RemoveOptions{Dir: dir}); err != nil {
				t.Error(err)
			}
		})
	}
}

func init() {
	// intruder DIR tries, as another user, what would hurt the topic x that
	// is open to all, and sends what has worked.
	shmtest.Handle("intruder", func(c *shmtest.Child) {
		path := c.Args[0] + "/x.topic"
		tried := map[string]func() error{
			"rename":      func() error { return os.Rename(path, path+"2") },
			"remove":      func() error { return os.RemoveAll(path) },
			"chmod":       func() error { return os.Chmod(path, 0o777) },
			"open lock":   func() error { return open1(path+"/lock", os.O_RDONLY) },
			"write data":  func() error { return open1(path+"/data", os.O_RDWR) },
			"unlink data": func() error { return os.Remove(path + "/data") },
			"unlink lock": func() error { return os.Remove(path + "/lock") },
			"unlink bell": func() error { return os.Remove(path + "/bell") },
			"cut data":    func() error { return os.Truncate(path+"/data", 0) },
			"replace":     func() error { return os.Rename(path+"/bell", path+"/data") },
		}
		files, err := filepath.Glob(path + "/[pr].*")
		c.Check(err)
		for _, f := range files {
			tried["write "+filepath.Base(f)] = func() error { return open1(f, os.O_RDWR) }
			tried["unlink "+filepath.Base(f)] = func() error { return os.Remove(f) }
			tried["cut "+filepath.Base(f)] = func() error { return os.Truncate(f, 0) }
		}
		for what, try := range tried {
			if err := try(); !errors.Is(err, fs.ErrPermission) {
				c.Send("%s: %v", what, err)
			}
		}
		c.Send("end")
		// This it may: take a read lock on everything that it can open,
		// write the bell, cut it short, and give it another name.
		for _, f := range append(files, path+"/data", path+"/bell") {
			fd, err := unix.Open(f, unix.O_RDONLY, 0)
			c.Check(err)
			l := unix.Flock_t{Type: unix.F_RDLCK, Len: 1}
			if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l); err != nil && !errors.Is(err, unix.EAGAIN) {
				c.Fatal(err)
			}
		}
		c.Check(os.Truncate(path+"/bell", 0))
		if err := os.Link(path+"/bell", path+"/bell2"); err != nil {
			c.Log(err)
		}
		c.Send("locked")
		// And lie in wait for the locks to become free.
		if _, ok := c.Recv(); ok {
			for _, f := range files {
				fd, err := unix.Open(f, unix.O_RDONLY, 0)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				c.Check(err)
				l := unix.Flock_t{Type: unix.F_RDLCK, Len: 1}
				c.Check(unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l))
			}
			c.Send("locked")
		}
		c.Hold()
	})
}

func open1(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0)
	if err == nil {
		f.Close()
	}
	return err
}

// TestIntruder: in a topic that is open to all, another user cannot hurt
// anybody's file, nor make the dead live by locks, nor keep a successor away.
func TestIntruder(t *testing.T) {
	shmtest.NeedRoot(t)
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	p := as(publisherUID, publisherUID, "publisher", dir, "x", fmt.Sprint(int(All)), "0").Start(t)
	p.Expect("publishes false")
	s := as(subscriberUID, subscriberUID, "subscriber", dir, "x").Start(t)
	s.Expect("open ok")
	s.Recv()

	in := as(strangerUID, strangerUID, "intruder", dir).Start(t)
	for line := in.Recv(); line != "end"; line = in.Recv() {
		t.Errorf("it worked: %s", line)
	}
	in.Expect("locked")
	peer := openTopic(t, dir, "x")
	if peer.Bell.Len() != 0 || peer.BellErr == nil {
		t.Errorf("the bell was cut short, and has %d bytes: %v", peer.Bell.Len(), peer.BellErr)
	}
	p.Kill()
	s.Kill()
	in.Send("lock")
	in.Expect("locked")
	if ok, err := peer.PublisherAlive(); ok || err != nil {
		t.Errorf("a dead publisher lives by another's read lock: %v", err)
	}
	next := as(publisherUID, publisherUID, "publisher", dir, "x", fmt.Sprint(int(All)), "0").Start(t)
	next.Expect("publishes true")
	next.Send("members")
	next.Expect(fmt.Sprintf("member %d false 7", subscriberUID))
	next.Expect("end")
	mended := openTopic(t, dir, "x")
	if mended.Bell.Len() != BellSize || mended.BellErr != nil {
		t.Errorf("the bell was not mended: %v", mended.BellErr)
	}
	next.Wait()
	in.Wait()
	if err := Remove("x", &RemoveOptions{Dir: dir}); err != nil {
		t.Error(err)
	}
}

func init() {
	// planter DIR KIND makes something where the topic x shall be, and a
	// subdirectory that others cannot empty where it says so.
	shmtest.Handle("planter", func(c *shmtest.Child) {
		path := c.Args[0] + "/x.topic"
		unix.Umask(0)
		switch c.Args[1] {
		case "topic":
			o, err := Create("x", createOptions(c.Args[0], All, 0))
			c.Check(err)
			// As it would be for who wants to read what others publish.
			c.Check(os.Chmod(path+"/data", 0o666))
			c.Check(os.Chmod(path+"/lock", 0o666))
			c.Check(o.Close())
		case "directory":
			c.Check(os.Mkdir(path, 0o777))
		case "file":
			c.Check(os.WriteFile(path, nil, 0o666))
		case "fifo":
			c.Check(unix.Mkfifo(path, 0o666))
		case "symlink":
			c.Check(os.Symlink(c.Args[2], path))
		case "subdirectory":
			c.Check(os.MkdirAll(path+"/sub/sub", 0o700))
		}
		c.Send("planted")
	})
}

// TestPlanted: what another user has put in the topic's place is not adopted.
func TestPlanted(t *testing.T) {
	shmtest.NeedRoot(t)
	shmtest.CheckLeaks(t)
	for kind, want := range map[string]struct {
		create, open error
		says         string
	}{
		"topic":     {fs.ErrPermission, nil, fmt.Sprintf("belongs to uid %d", strangerUID)},
		"directory": {fs.ErrPermission, sys.ErrCorrupt, fmt.Sprintf("belongs to uid %d", strangerUID)},
		"file":      {sys.ErrCorrupt, sys.ErrCorrupt, "not a directory"},
		"fifo":      {sys.ErrCorrupt, sys.ErrCorrupt, "not a directory"},
		"symlink":   {sys.ErrCorrupt, sys.ErrCorrupt, "not a directory"},
	} {
		t.Run(kind, func(t *testing.T) {
			dir, elsewhere := shmtest.Dir(t), shmtest.Dir(t)
			own := create(t, elsewhere, "y", Private, 0)
			p := as(strangerUID, strangerUID, "planter", dir, kind, own.Path()).Start(t)
			p.Expect("planted")
			p.Wait()
			_, err := Create("x", createOptions(dir, All, 0))
			wantErr(t, err, want.create, want.says)
			uid := os.Geteuid()
			_, err = Open("x", &OpenOptions{Dir: dir, UID: &uid})
			if want.open == nil {
				wantErr(t, err, fs.ErrPermission, want.says)
				stranger := strangerUID
				peer, err := Open("x", &OpenOptions{Dir: dir, UID: &stranger})
				if err != nil || peer.UID != strangerUID {
					t.Fatal(err)
				}
				peer.Close()
			} else if !errors.Is(err, want.open) && !errors.Is(err, fs.ErrPermission) {
				t.Errorf("opening: %v", err)
			}
			if n := names(t, own.Path()); len(n) != 4 {
				t.Errorf("the link was followed: %q", n)
			}
			if err := own.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSubdirectory: what cannot be deleted does not keep the name.
func TestSubdirectory(t *testing.T) {
	shmtest.NeedRoot(t)
	dir := shmtest.Dir(t)
	p := as(publisherUID, publisherUID, "publisher", dir, "x", fmt.Sprint(int(All)), "0").Start(t)
	p.Expect("publishes false")
	q := as(strangerUID, strangerUID, "planter", dir, "subdirectory").Start(t)
	q.Expect("planted")
	q.Wait()
	p.Kill()
	r := as(publisherUID, publisherUID, "remover", dir, "x").Start(t)
	line := r.Recv()
	r.Wait()
	if !strings.Contains(line, "what is left stands in .dead-") {
		t.Errorf("removing: %q", line)
	}
	left := names(t, dir)
	if len(left) != 1 || !isLeftover(left[0]) {
		t.Fatalf("left: %q", left)
	}
	if n := names(t, dir+"/"+left[0]); len(n) != 1 || n[0] != "sub" {
		t.Errorf("in it: %q", n)
	}
	o := create(t, dir, "x", Private, 0)
	if err := o.Remove(); err != nil {
		t.Error(err)
	}
}

func init() {
	shmtest.Handle("remover", func(c *shmtest.Child) {
		c.Send("%v", Remove(c.Args[1], &RemoveOptions{Dir: c.Args[0]}))
	})
}

// TestRemoveOthers: only the owner and root remove.
func TestRemoveOthers(t *testing.T) {
	shmtest.NeedRoot(t)
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", All, 0)
	o.Close()
	r := as(strangerUID, strangerUID, "remover", dir, "x").Start(t)
	if line := r.Recv(); !strings.Contains(line, "belongs to uid 0") {
		t.Errorf("removing: %q", line)
	}
	r.Wait()
	wantErr(t, o.Remove(), fs.ErrClosed)
	wantErr(t, o.Named(), fs.ErrClosed)
	if err := Remove("x", &RemoveOptions{Dir: dir}); err != nil {
		t.Error(err)
	}
}

// TestJunk: files that call themselves r.ID and are none.
func TestJunk(t *testing.T) {
	shmtest.CheckLeaks(t)
	for _, tt := range []struct {
		name string
		make func(t *testing.T, o *Owner, path string, id ID) error
		says string
	}{
		{"FIFO", func(_ *testing.T, _ *Owner, path string, _ ID) error { return unix.Mkfifo(path, 0o444) }, "FIFO"},
		{"symlink", func(_ *testing.T, o *Owner, path string, _ ID) error { return os.Symlink("data", path) }, "symbolic link"},
		{"dangling symlink", func(_ *testing.T, o *Owner, path string, _ ID) error { return os.Symlink("nowhere", path) }, "symbolic link"},
		{"directory", func(_ *testing.T, _ *Owner, path string, _ ID) error { return os.Mkdir(path, 0o755) }, "directory"},
		{"socket", func(_ *testing.T, _ *Owner, path string, _ ID) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) }, "socket"},
		{"empty", func(_ *testing.T, _ *Owner, path string, _ ID) error { return os.WriteFile(path, nil, 0o444) }, "0 bytes, at least 8192"},
		{"short", func(_ *testing.T, _ *Owner, path string, _ ID) error {
			return os.WriteFile(path, make([]byte, 8191), 0o444)
		}, "8191 bytes"},
		{"zeros", func(_ *testing.T, _ *Owner, path string, _ ID) error {
			return os.WriteFile(path, make([]byte, 8192), 0o444)
		}, "starts with"},
		{"hard link of data", func(_ *testing.T, o *Owner, path string, _ ID) error { return os.Link(o.Path()+"/data", path) }, "2 names"},
		{"other kind", header(func(h *Header) { h.Kind = KindBell }), "kind 4"},
		{"other ID", header(func(h *Header) { h.Instance = ID{9} }), "says that it is 0900"},
		{"first 48 bits of it", header(func(h *Header) { h.Instance[6] ^= 1 }), "says that it is"},
		{"other topic", header(func(h *Header) { h.Topic = ID{7} }), "another topic"},
		{"small", header(func(h *Header) { h.Size = HeaderSize }), "says that it has 4096 bytes"},
		{"large", header(func(h *Header) { h.Size = 1 << 40 }), "says that the file has"},
		{"newer", func(t *testing.T, o *Owner, path string, id ID) error {
			if err := header(func(*Header) {})(t, o, path, id); err != nil {
				return err
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte{2, 0, 0, 0, 2, 0, 0, 0}, OffVersion)
			return err
		}, "knows version 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := shmtest.Dir(t)
			o := create(t, dir, "x", All, 0)
			defer func() {
				if err := o.Remove(); err != nil {
					t.Error(err)
				}
			}()
			peer := openTopic(t, dir, "x")
			good := join(t, peer)
			id := NewID()
			path := o.Path() + "/r." + id.String()
			if err := tt.make(t, o, path, id); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				ms := members(t, o)
				if len(ms) != 1 || ms[0].ID != good.ID {
					t.Fatalf("members %+v", ms)
				}
				r := o.Refused()
				if len(r) != 1 || r[0].Name != "r."+id.String() || !strings.Contains(r[0].Err.Error(), tt.says) || r[0].UID != uint32(os.Geteuid()) {
					t.Fatalf("refused %+v", r)
				}
			}
			info, err := Inspect("x", &OpenOptions{Dir: dir})
			if err != nil || len(info.Members) != 1 || len(info.Refused) != 1 {
				t.Errorf("%+v, %v", info, err)
			}
			o.Unlink(o.Refused()[0])
			os.Remove(path)
			members(t, o)
			if r := o.Refused(); len(r) != 0 {
				t.Errorf("refused %+v", r)
			}
		})
	}
	// What does not look like r.ID is nobody's business.
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", All, 0)
	for _, name := range []string{"r.", "r.x", "r." + strings.Repeat("A", 32), "x", ".tmp-1", "r." + strings.Repeat("0", 33)} {
		if err := os.WriteFile(o.Path()+"/"+name, nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if ms := members(t, o); len(ms) != 0 || len(o.Refused()) != 0 {
		t.Errorf("%+v %+v", ms, o.Refused())
	}
}

// header makes a file r.ID that is complete but for one thing.
func header(change func(*Header)) func(*testing.T, *Owner, string, ID) error {
	return func(_ *testing.T, o *Owner, path string, id ID) error {
		h := Header{Kind: KindSubscriber, Size: 8192, Instance: id, Topic: o.TopicID, Maker: thisMaker()}
		change(&h)
		b := make([]byte, 8192)
		h.encode(b)
		le.PutUint32(b[OffReady:], Ready)
		return os.WriteFile(path, b, 0o644)
	}
}

// TestSameID: an ID is taken once, and what stands under the name of a
// subscriber whose file was removed is not taken for that.
func TestSameID(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	p := openTopic(t, dir, "x")
	m := join(t, p)
	if _, err := p.join(m.ID, nil); true {
		wantErr(t, err, fs.ErrExist)
	}
	first := members(t, o)[0]
	if err := os.Remove(o.Path() + "/r." + m.ID.String()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, m.Named(), sys.ErrRemoved)
	thief, err := p.join(m.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	ms := members(t, o)
	if len(ms) != 1 || ms[0] != first || ms[0].Named() || !ms[0].Alive() {
		t.Errorf("%+v", ms)
	}
	if r := o.Refused(); len(r) != 1 || !strings.Contains(r[0].Err.Error(), "takes the name of another") {
		t.Errorf("%+v", *r[0])
	}
	// The victim leaves without touching what is not its own.
	if err := m.Leave(); err != nil {
		t.Error(err)
	}
	if err := first.Unlink(); err != nil {
		t.Error(err)
	}
	if err := thief.Named(); err != nil {
		t.Error(err)
	}
	if err := thief.Leave(); err != nil {
		t.Error(err)
	}
}

// TestCrowd: one user cannot have every descriptor of the publisher.
func TestCrowd(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	p := openTopic(t, dir, "x")
	var all []*Membership
	for range 20 {
		all = append(all, join(t, p))
	}
	most := o.Config.Subscribers + spare
	ms := members(t, o)
	if r := o.Refused(); len(ms) != most || len(r) != 20-most || !errors.Is(r[0].Err, errCrowd) {
		t.Errorf("%d members, %d refused", len(ms), len(o.Refused()))
	}
	// When some have gone, others come in.
	for _, m := range all {
		if m.ID == ms[0].ID || m.ID == ms[1].ID {
			m.Leave()
		}
	}
	for _, m := range ms[:2] {
		m.Unlink()
		m.Close()
	}
	if ms := members(t, o); len(ms) != most || len(o.Refused()) != 20-most-2 {
		t.Errorf("%d members, %d refused", len(ms), len(o.Refused()))
	}
}

// TestCutShort: a subscriber that cuts its file short costs an error.
func TestCutShort(t *testing.T) {
	if os.Getenv("SHMTEST_EXEC") != "" {
		t.Skip("needs the kernel's own answer: the emulator does not tell the address of a SIGBUS")
	}
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	p := openTopic(t, dir, "x")
	m := join(t, p)
	ms := members(t, o)
	if err := m.fd.Truncate(0); err != nil {
		t.Fatal(err)
	}
	var b [8]byte
	var fault *mem.Fault
	if _, err := ms[0].Region.ReadAt(b[:], MemberCursor); !errors.As(err, &fault) {
		t.Errorf("reading: %v", err)
	}
	if _, err := copyHeader(ms[0].Region); !errors.Is(err, sys.ErrTruncated) {
		t.Errorf("the header: %v", err)
	}
	if !ms[0].Alive() {
		t.Error("it lives")
	}
}
