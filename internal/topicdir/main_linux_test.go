package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

// createOptions are those of the arguments dir, sharing and gid.
func createOptions(dir string, sharing Sharing, gid int) *CreateOptions {
	return &CreateOptions{Dir: dir, Config: smallConfig(), Sharing: sharing, GID: gid}
}

// word names an error for a parent.
func word(err error) string {
	for _, e := range []struct {
		is   error
		word string
	}{
		{nil, "ok"}, {sys.ErrBusy, "busy"}, {sys.ErrType, "type"}, {sys.ErrCorrupt, "corrupt"}, {sys.ErrRemoved, "removed"},
		{fs.ErrExist, "exists"}, {fs.ErrPermission, "permission"}, {fs.ErrNotExist, "missing"}, {unix.ENOSPC, "room"},
	} {
		if errors.Is(err, e.is) {
			return e.word
		}
	}
	return err.Error()
}

func init() {
	// publisher DIR NAME SHARING GID creates a topic, tells how that went, and
	// does what it is told.
	shmtest.Handle("publisher", func(c *shmtest.Child) {
		sharing, _ := strconv.Atoi(c.Args[2])
		gid, _ := strconv.Atoi(c.Args[3])
		o, err := Create(c.Args[1], createOptions(c.Args[0], Sharing(sharing), gid))
		if err != nil {
			c.Log(err)
			c.Send("error %s", word(err))
			return
		}
		c.Send("publishes %v", o.TookOver)
		for {
			line, ok := c.Recv()
			switch line {
			case "fork":
				// A child that was forked after the lock was taken differs
				// from this one in nothing that the kernel would know.
				hold := exec.Command("/bin/cat")
				hold.Stdin = c.File(0)
				for _, fd := range []int{o.lock.Int(), o.own.Int()} {
					n, err := unix.Dup(fd)
					c.Check(err)
					hold.ExtraFiles = append(hold.ExtraFiles, os.NewFile(uintptr(n), "lock"))
				}
				c.Check(hold.Start())
				c.Send("forked %d", hold.Process.Pid)
			case "members":
				members, err := o.Members()
				c.Check(err)
				for _, m := range members {
					c.Send("member %d %v %d", m.UID, m.Alive(), le.Uint64(m.Region.Bytes()[MemberAsk:]))
				}
				for _, r := range o.Refused() {
					c.Send("refused %d %v", r.UID, r.Err)
				}
				c.Send("end")
			case "unlink":
				members, err := o.Members()
				c.Check(err)
				for _, m := range members {
					c.Check(m.Unlink())
					m.Close()
				}
				c.Send("end")
			case "close":
				c.Check(o.Close())
				c.Send("closed")
			}
			if !ok {
				return
			}
		}
	})
	// subscriber DIR NAME opens, joins and stays.
	shmtest.Handle("subscriber", func(c *shmtest.Child) {
		p, err := Open(c.Args[1], &OpenOptions{Dir: c.Args[0]})
		if err != nil {
			c.Log(err)
			c.Send("open %s", word(err))
			return
		}
		c.Send("open ok")
		m, err := p.Join(func(r mem.Region) { le.PutUint64(r.Bytes()[MemberAsk:], 7) })
		if err != nil {
			c.Log(err)
			c.Send("join %s", word(err))
			c.Hold()
			return
		}
		c.Send("join %v", m.ID)
		for {
			line, ok := c.Recv()
			if !ok {
				return
			}
			switch line {
			case "bell":
				c.Send("bell %d", p.Bell.Len())
			case "alive":
				ok, err := p.PublisherAlive()
				c.Check(err)
				c.Send("alive %v", ok)
			case "leave":
				c.Check(m.Leave())
				c.Send("left")
			}
		}
	})
}

// names gives what stands in a directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// create makes a topic of this process, which is removed with the test.
func create(t testing.TB, dir, name string, sharing Sharing, gid int) *Owner {
	t.Helper()
	o, err := Create(name, createOptions(dir, sharing, gid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func openTopic(t testing.TB, dir, name string) *Peer {
	t.Helper()
	p, err := Open(name, &OpenOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func join(t testing.TB, p *Peer) *Membership {
	t.Helper()
	m, err := p.Join(func(r mem.Region) { le.PutUint64(r.Bytes()[MemberAsk:], 1) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Leave() })
	return m
}

func members(t testing.TB, o *Owner) []*Member {
	t.Helper()
	m, err := o.Members()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantErr checks what an error is, and that it says what is to be said.
func wantErr(t testing.TB, err, is error, says ...string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Errorf("error %v, want %v", err, is)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func hintOf(err error) string {
	var e *sys.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

func TestLife(t *testing.T) {
	for _, way := range []struct {
		name  string
		named bool
	}{{"unnamed", false}, {"renamed", true}} {
		t.Run(way.name, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			withoutUnnamed = way.named
			defer func() { withoutUnnamed = false }()
			for sharing := range Sharing(len(modesOf)) {
				t.Run(sharing.String(), func(t *testing.T) { testLife(t, sharing) })
			}
		})
	}
}

func testLife(t *testing.T, sharing Sharing) {
	dir := shmtest.Dir(t)
	o := create(t, dir, "a topic", sharing, os.Getegid())
	if o.TookOver || o.Named() != nil || o.Data.Len() != int(o.Layout.Size) || o.Bell.Len() != BellSize {
		t.Errorf("%+v, named %v", o, o.Named())
	}
	if got := o.Data.Bytes()[o.Layout.Hot+HotEpoch]; got != 1 {
		t.Errorf("epoch %d", got)
	}
	checkModes(t, o, sharing)

	p := openTopic(t, dir, "a topic")
	if p.TopicID != o.TopicID || p.Config != o.Config || p.Layout != o.Layout || p.Sharing != sharing {
		t.Errorf("the peer sees %+v", p)
	}
	if p.Bell.Len() != BellSize || p.BellErr != nil {
		t.Errorf("bell of %d bytes, %v", p.Bell.Len(), p.BellErr)
	}
	o.Bell.Bytes()[BellNews] = 1
	if p.Bell.Bytes()[BellNews] != 1 {
		t.Error("the bells are two")
	}
	if ok, err := p.PublisherAlive(); !ok || err != nil {
		t.Errorf("alive %v, %v", ok, err)
	}
	if m := p.Publisher(); m == nil || m.PID != os.Getpid() {
		t.Errorf("publisher %+v", m)
	}
	m := join(t, p)
	if err := m.Named(); err != nil {
		t.Error(err)
	}
	checkModes(t, o, sharing)
	ms := members(t, o)
	if len(ms) != 1 || ms[0].ID != m.ID || !ms[0].Alive() || !ms[0].Named() || ms[0].PID != os.Getpid() || ms[0].UID != uint32(os.Geteuid()) {
		t.Fatalf("members %+v", ms)
	}
	m.Region.Bytes()[MemberCursor] = 42
	if ms[0].Region.Bytes()[MemberCursor] != 42 {
		t.Error("the regions are two")
	}
	if again := members(t, o); again[0] != ms[0] {
		t.Error("a second scan gives another Member")
	}
	if err := m.Leave(); err != nil {
		t.Error(err)
	}
	if err := m.Leave(); err != nil {
		t.Errorf("second Leave: %v", err)
	}
	// The file stays, for the publisher to remove.
	if ms := members(t, o); len(ms) != 1 || ms[0].Alive() || !ms[0].Named() {
		t.Errorf("after Leave %+v", ms)
	}
	if err := ms[0].Unlink(); err != nil {
		t.Error(err)
	}
	if ms := members(t, o); len(ms) != 1 || ms[0].Named() {
		t.Errorf("after Unlink %+v", ms)
	}
	ms[0].Close()
	ms[0].Close()
	if ms := members(t, o); len(ms) != 0 {
		t.Errorf("after Close %+v", ms)
	}

	if _, err := Create("a topic", createOptions(dir, sharing, os.Getegid())); true {
		wantErr(t, err, sys.ErrBusy, "topic:a topic", fmt.Sprintf("process %d", os.Getpid()), "publishes it")
	}
	o.Data.Bytes()[o.Layout.Hot+HotHead] = 5
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if ok, err := p.PublisherAlive(); ok || err != nil {
		t.Errorf("closed, and alive %v, %v", ok, err)
	}
	exclusive := createOptions(dir, sharing, os.Getegid())
	exclusive.Exclusive = true
	if _, err := Create("a topic", exclusive); true {
		wantErr(t, err, fs.ErrExist)
	}
	next := create(t, dir, "a topic", sharing, os.Getegid())
	if !next.TookOver || next.TopicID != o.TopicID || next.ID == o.ID || next.Data.Bytes()[next.Layout.Hot+HotHead] != 5 || next.Config != o.Config {
		t.Errorf("taken over: %+v", next)
	}
	checkModes(t, next, sharing)
	if ok, err := p.PublisherAlive(); !ok || err != nil {
		t.Errorf("taken over, and alive %v, %v", ok, err)
	}
	if n := names(t, next.Path()); len(n) != 4 {
		t.Errorf("it holds %q", n)
	}
	if err := next.Remove(); err != nil {
		t.Error(err)
	}
	wantErr(t, p.Named(), sys.ErrRemoved)
	if p.Renewed() {
		t.Error("removed is not renewed")
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left behind: %q", n)
	}
	if _, err := p.Join(nil); true {
		wantErr(t, err, sys.ErrRemoved)
	}
	if _, err := Open("a topic", &OpenOptions{Dir: dir}); true {
		wantErr(t, err, fs.ErrNotExist, "topic:a topic")
	}
}

// checkModes holds the files to the table of the specification.
func checkModes(t *testing.T, o *Owner, sharing Sharing) {
	t.Helper()
	want := modesOf[sharing]
	check := func(path string, mode uint32) {
		st, err := sys.LstatPath(path)
		if err != nil {
			t.Error(err)
		} else if st.Mode&0o7777 != mode {
			t.Errorf("%s has mode %#o, want %#o", filepath.Base(path), st.Mode&0o7777, mode)
		}
	}
	check(o.Path(), want.dir)
	for _, name := range names(t, o.Path()) {
		switch {
		case name == lockFile:
			check(o.Path()+"/"+name, want.lock)
		case name == dataFile:
			check(o.Path()+"/"+name, want.data)
		case name == bellFile:
			check(o.Path()+"/"+name, want.bell)
		case strings.HasPrefix(name, publisherFile), strings.HasPrefix(name, memberFile):
			check(o.Path()+"/"+name, want.id)
		default:
			t.Errorf("what is %q?", name)
		}
	}
}

func TestNames(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	for _, name := range []string{"x", "with space", "\U0001F600 emoji", "%s%n", "a.topic", "-rf", strings.Repeat("y", 200), strings.Repeat("ü", 100)} {
		o := create(t, dir, name, Private, 0)
		p := openTopic(t, dir, name)
		p.Close()
		if got, err := List(dir); err != nil || len(got) != 1 || got[0] != name {
			t.Errorf("%q: the list is %q, %v", name, got, err)
		}
		o.Close()
		if err := Remove(name, &RemoveOptions{Dir: dir}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", ".x", "a/b", "../x", "x\n", "x\x00y", "\x1b[31m", "\xff", strings.Repeat("x", 201), strings.Repeat("x", 300)} {
		_, err := Create(name, createOptions(dir, Private, 0))
		wantErr(t, err, fs.ErrInvalid)
		_, err = Open(name, &OpenOptions{Dir: dir})
		wantErr(t, err, fs.ErrInvalid)
		_, err = Inspect(name, &OpenOptions{Dir: dir})
		wantErr(t, err, fs.ErrInvalid)
		wantErr(t, Remove(name, &RemoveOptions{Dir: dir}), fs.ErrInvalid)
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left behind: %q", n)
	}
}

func TestUmask(t *testing.T) {
	dir := shmtest.Dir(t)
	old := unix.Umask(0o777)
	defer unix.Umask(old)
	o := create(t, dir, "x", All, 0)
	p := openTopic(t, dir, "x")
	join(t, p)
	checkModes(t, o, All)
}
