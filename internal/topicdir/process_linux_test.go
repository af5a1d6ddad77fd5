package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

func startPublisher(t testing.TB, dir, name string, sharing Sharing, gid int) *shmtest.Process {
	t.Helper()
	return shmtest.Start(t, "publisher", dir, name, strconv.Itoa(int(sharing)), strconv.Itoa(gid))
}

func TestBusyAndTakeOver(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	p := startPublisher(t, dir, "x", Private, 0)
	p.Expect("publishes false")
	peer := openTopic(t, dir, "x")
	_, err := Create("x", createOptions(dir, Private, 0))
	wantErr(t, err, sys.ErrBusy, fmt.Sprintf("process %d (", p.PID()), "publishes it")
	wantErr(t, Remove("x", &RemoveOptions{Dir: dir}), sys.ErrBusy, strconv.Itoa(p.PID()))
	if ok, err := peer.PublisherAlive(); !ok || err != nil {
		t.Errorf("alive %v, %v", ok, err)
	}
	// A publisher that stands still is alive.
	p.Stop()
	if ok, err := peer.PublisherAlive(); !ok || err != nil {
		t.Errorf("stopped, and alive %v, %v", ok, err)
	}
	_, err = Create("x", createOptions(dir, Private, 0))
	wantErr(t, err, sys.ErrBusy)
	p.Kill()
	if ok, err := peer.PublisherAlive(); ok || err != nil {
		t.Errorf("killed, and alive %v, %v", ok, err)
	}

	other := createOptions(dir, Private, 0)
	other.Config.Slots = 16
	other.Config.TypeName = "other.Type"
	_, err = Create("x", other)
	wantErr(t, err, sys.ErrType, `type: "example.Point", asked for "other.Type"`, "slots: 8, asked for 16")
	_, err = Create("x", createOptions(dir, ObserveOnly, 0))
	wantErr(t, err, sys.ErrType, "sharing: private, asked for observe only")

	o := create(t, dir, "x", Private, 0)
	if !o.TookOver || o.TopicID != peer.TopicID {
		t.Errorf("taken over: %+v", o)
	}
	// Who was refused has left nothing.
	if n := names(t, o.Path()); len(n) != 4 {
		t.Errorf("it holds %q", n)
	}
	if ok, err := peer.PublisherAlive(); !ok || err != nil {
		t.Errorf("taken over, and alive %v, %v", ok, err)
	}
	if err := o.Remove(); err != nil {
		t.Error(err)
	}
}

// TestForkedChild: a child that the publisher has left behind holds its lock.
func TestForkedChild(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := shmtest.Command{Handler: "publisher", Args: []string{dir, "x", "0", "0"}, ExtraFiles: []*os.File{r}}.Start(t)
	r.Close()
	p.Expect("publishes false")
	peer := openTopic(t, dir, "x")
	p.Send("fork")
	child, ok := strings.CutPrefix(p.Recv(), "forked ")
	if !ok {
		t.Fatal("not forked")
	}
	if ok, _ := peer.PublisherAlive(); !ok {
		t.Error("the parent lives")
	}
	p.Kill()
	// Subscribers are told that the publisher is gone; who wants to be the
	// next is told who keeps it from that.
	if ok, err := peer.PublisherAlive(); ok || err != nil {
		t.Errorf("alive %v, %v", ok, err)
	}
	_, err = Create("x", createOptions(dir, Private, 0))
	wantErr(t, err, sys.ErrBusy, fmt.Sprintf("process %d, is gone, but process %s (cat) still holds its lock", p.PID(), child))
	info, err := Inspect("x", &OpenOptions{Dir: dir})
	if err != nil || info.Alive || info.Publisher == nil || info.Publisher.PID != p.PID() {
		t.Errorf("%+v, %v", info, err)
	}

	w.Close() // and so the child ends
	waitFor(t, "the lock", func() bool {
		o, err := Create("x", createOptions(dir, Private, 0))
		if errors.Is(err, sys.ErrBusy) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Remove(); err != nil {
			t.Error(err)
		}
		return true
	})
}

// forker is a publisher in C, as far as its lock goes: it locks the first byte
// of the files, forks, and ends when it is told; the child lives on until its
// input ends.
const forker = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		struct flock l = {.l_type = F_WRLCK, .l_len = 1};
		int fd = open(argv[i], O_RDWR);
		if (fd < 0 || fcntl(fd, F_OFD_SETLK, &l) != 0) { perror(argv[i]); return 1; }
	}
	int up[2];
	char c;
	if (pipe(up) != 0) return 1;
	if (fork() == 0) {
		close(up[1]);
		while (read(0, &c, 1) > 0) {}
		return 0;
	}
	printf("%d\n", getpid());
	fflush(stdout);
	pause();
	return 0;
}
`

// TestForkedSubscriber: the same for a subscriber, forked in C.
func TestForkedSubscriber(t *testing.T) {
	shmtest.CheckLeaks(t)
	shmtest.NeedRoot(t) // to open r.ID, which nobody may write, once more
	binary := shmtest.CompileC(t, forker)
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	// The file of a subscriber that has died, and whose header we let name
	// the C program.
	s := shmtest.Start(t, "subscriber", dir, "x")
	s.Expect("open ok")
	id, _ := strings.CutPrefix(s.Recv(), "join ")
	s.Kill()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	path := o.Path() + "/r." + id
	c := shmtest.Exec(t, "/bin/sh", "-c", `exec "$0" "$1" </proc/`+strconv.Itoa(os.Getpid())+`/fd/`+strconv.Itoa(int(r.Fd())), binary, path)
	pid, err := strconv.Atoi(c.Recv())
	if err != nil || pid != c.PID() {
		t.Fatal(pid, err)
	}
	st, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	start, err := strconv.ParseUint(strings.Fields(string(st[strings.LastIndexByte(string(st), ')'):]))[20], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [16]byte
	le.PutUint64(b[:], uint64(pid))
	le.PutUint64(b[8:], start)
	if _, err := f.WriteAt(b[:], OffPID); err != nil {
		t.Fatal(err)
	}
	m := members(t, o)
	if len(m) != 1 || m[0].PID != pid || !m[0].Alive() {
		t.Fatalf("%+v", m)
	}
	c.Kill()
	locked, err := sys.ByteLocked(m[0].fd.Int())
	if err != nil || !locked {
		t.Fatalf("the child does not hold the lock: %v", err)
	}
	if m[0].Alive() {
		t.Error("a child that was left behind makes a subscriber live")
	}
}

// waitFor polls for something that another process does in its own time.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func init() {
	// creator DIR NAME N makes and removes the topic for ever.
	shmtest.Handle("creator", func(c *shmtest.Child) {
		c.Send("ready")
		for {
			o, err := Create(c.Args[1], createOptions(c.Args[0], All, 0))
			c.Check(err)
			c.Check(o.Remove())
		}
	})
	// racer DIR NAME creates when it is told, as often as it is told.
	shmtest.Handle("racer", func(c *shmtest.Child) {
		c.Send("ready")
		for {
			if _, ok := c.Recv(); !ok {
				return
			}
			o, err := Create(c.Args[1], createOptions(c.Args[0], Private, 0))
			switch {
			case err == nil:
				c.Send("won %v", o.TookOver)
				c.Expect("end")
				c.Check(o.Remove())
				c.Send("removed")
			case errors.Is(err, sys.ErrBusy):
				c.Send("busy")
			default:
				c.Fatal(err)
			}
		}
	})
	// changer DIR NAME creates, closes, takes over and removes in turns with
	// others that do the same. Whoever has it looks whether anybody else has.
	shmtest.Handle("changer", func(c *shmtest.Child) {
		rounds, _ := strconv.Atoi(c.Args[2])
		had := 0
		for had < rounds {
			o, err := Create(c.Args[1], createOptions(c.Args[0], Private, 0))
			if errors.Is(err, sys.ErrBusy) {
				continue
			}
			c.Check(err)
			had++
			// A word of data that only who has the lock touches.
			word := o.Data.Bytes()[o.Layout.Hot+HotAlive:]
			if v := le.Uint64(word); v != 0 {
				c.Fatalf("process %d has it too", v)
			}
			le.PutUint64(word, uint64(os.Getpid()))
			c.Check(o.Named())
			if v := le.Uint64(word); v != uint64(os.Getpid()) {
				c.Fatalf("process %d has it too", v)
			}
			le.PutUint64(word, 0)
			if had%3 == 0 {
				c.Check(o.Remove())
			} else {
				c.Check(o.Close())
			}
		}
		c.Send("done")
	})
}

func TestRace(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	var racers []*shmtest.Process
	for range 3 {
		p := shmtest.Start(t, "racer", dir, "x")
		p.Expect("ready")
		racers = append(racers, p)
	}
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		for _, p := range racers {
			p.Send("go")
		}
		var winner *shmtest.Process
		for _, p := range racers {
			switch line := p.Recv(); line {
			case "busy":
			case "won false":
				if winner != nil {
					t.Fatal("two have won")
				}
				winner = p
			default:
				t.Fatal(line)
			}
		}
		if winner == nil {
			t.Fatal("nobody has won")
		}
		winner.Send("end")
		winner.Expect("removed")
		if n := names(t, dir); len(n) != 0 {
			t.Fatalf("left behind: %q", n)
		}
	}
	for _, p := range racers {
		p.Wait()
	}
}

func TestTakeOverRace(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	var changers []*shmtest.Process
	for range 3 {
		changers = append(changers, shmtest.Start(t, "changer", dir, "x", "200"))
	}
	for _, p := range changers {
		p.Expect("done")
		p.Wait()
	}
	if err := Remove("x", &RemoveOptions{Dir: dir}); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left behind: %q", n)
	}
}

// TestKilledCreator kills creators and removers at random moments. Whatever
// they leave, the next one is not kept from its work by it, and cleans up.
func TestKilledCreator(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	rounds := 60
	if testing.Short() {
		rounds = 8
	}
	seen := map[string]int{}
	for range rounds {
		p := shmtest.Start(t, "creator", dir, "x")
		p.Expect("ready")
		// Not to wait for anything, but to hit another instruction.
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		p.Kill()
		left := names(t, dir)
		for _, name := range left {
			switch {
			case name == "x.topic":
				// Whoever sees the name sees all of it.
				peer := openTopic(t, dir, "x")
				peer.Close()
				seen["topic"]++
			case isLeftover(name):
				seen[name[:4]]++
			default:
				t.Errorf("left behind: %q", name)
			}
		}
		dead, _, err := Dead(dir)
		if err != nil || len(dead) != len(left) {
			t.Errorf("of %q these are dead: %+v, %v", left, dead, err)
		}
		o, err := Create("x", createOptions(dir, All, 0))
		if err != nil {
			t.Fatalf("after %q: %v", left, err)
		}
		if n := names(t, dir); len(n) != 1 {
			t.Errorf("not cleaned up: %q", n)
		}
		if err := o.Remove(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d kills left %v", rounds, seen)
}

// TestSweptAway: a live creator whose directory somebody took for a dead
// one's begins anew.
func TestSweptAway(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	p := shmtest.Start(t, "creator", dir, "x")
	p.Expect("ready")
	mount, err := openMount(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer mount.Close()
	swept := 0
	for limit := time.Now().Add(500 * time.Millisecond); time.Now().Before(limit); {
		for _, name := range names(t, dir) {
			// Every second one may live, or it would never get on.
			if !strings.HasPrefix(name, newPrefix) || name[len(name)-1]%2 == 0 {
				continue
			}
			// The lock is not asked, as if it were always the moment before
			// it was taken.
			d, st, err := openDir(dir + "/" + name)
			if err != nil {
				continue
			}
			if buryAs(mount, name, d, &st) == nil {
				swept++
			}
			d.Close()
		}
	}
	p.Kill() // which fails the test if it had ended by itself
	if s := p.Stderr(); strings.Contains(s, "fatal") {
		t.Error(s)
	}
	o := create(t, dir, "x", All, 0)
	if err := o.Remove(); err != nil {
		t.Error(err)
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left behind: %q", n)
	}
	t.Logf("%d were swept away", swept)
}

// TestLeftovers: those of dead creators go, those of living ones and what
// only looks like one stay.
func TestLeftovers(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	dead, half, alive := NewID().String(), NewID().String(), NewID().String()
	for _, name := range []string{newPrefix + dead, deadPrefix + half, newPrefix + alive} {
		if err := os.Mkdir(dir+"/"+name, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name+"/data", make([]byte, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir+"/"+deadPrefix+half+"/sub", 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(dir+"/"+newPrefix+alive+"/lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := sys.LockByte(int(lock.Fd())); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{newPrefix + "x", ".new-", ".newer"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := newPrefix + NewID().String()
	if err := os.WriteFile(dir+"/"+file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found, _, err := Dead(dir)
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, c := range found {
		if c.Size != 8192 || c.InUse != "" || c.Topic != "" {
			t.Errorf("%+v", c)
		}
	}
	o := create(t, dir, "x", Private, 0)
	want := []string{".new-", newPrefix + alive, file, newPrefix + "x", ".newer", "x.topic"}
	got := strings.Join(names(t, dir), " ")
	for _, name := range want {
		if !strings.Contains(got, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if len(names(t, dir)) != len(want) {
		t.Errorf("left: %s", got)
	}
	o.Remove()
}

// TestSuccessor: a subscriber lives through a death and a take-over.
func TestSuccessor(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	p := startPublisher(t, dir, "x", Private, 0)
	p.Expect("publishes false")
	s := shmtest.Start(t, "subscriber", dir, "x")
	s.Expect("open ok")
	id, _ := strings.CutPrefix(s.Recv(), "join ")
	p.Kill()
	s.Send("alive")
	s.Expect("alive false")
	o := create(t, dir, "x", Private, 0)
	m := members(t, o)
	if len(m) != 1 || m[0].ID.String() != id || !m[0].Alive() || m[0].PID != s.PID() {
		t.Fatalf("%+v", m)
	}
	s.Send("alive")
	s.Expect("alive true")
	s.Kill()
	if m[0].Alive() || !m[0].Named() {
		t.Error("a subscriber that was killed lives, or has taken its file along")
	}
	if err := m[0].Unlink(); err != nil {
		t.Error(err)
	}
	if err := m[0].Unlink(); err != nil {
		t.Errorf("once more: %v", err)
	}
	m[0].Close()
	if m := members(t, o); len(m) != 0 {
		t.Errorf("%+v", m)
	}
	if err := o.Remove(); err != nil {
		t.Error(err)
	}
}

func init() {
	shmtest.Handle("full", func(c *shmtest.Child) {
		dir := shmtest.ShmMount
		opts := createOptions("", Private, 0)
		opts.Config.Slots, opts.Config.Capacity = 1024, 64<<10
		_, err := Create("x", opts)
		c.Send("%s %v %s", word(err), err, hintOf(err))
		entries, err := os.ReadDir(dir)
		c.Check(err)
		c.Send("%d left", len(entries))

		opts.Config.Slots, opts.Config.Capacity = 16, 1000
		o, err := Create("x", opts)
		c.Check(err)
		p, err := Open("x", nil)
		c.Check(err)
		f, err := os.Create(dir + "/filler")
		c.Check(err)
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		if !errors.Is(err, unix.ENOSPC) {
			c.Fatal(err)
		}
		_, err = p.Join(nil)
		c.Send("%s %v", word(err), err)
		entries, err = os.ReadDir(o.Path())
		c.Check(err)
		c.Send("%d files", len(entries))

		// A successor needs a page; without one the topic stays as it was.
		c.Check(o.Close())
		_, err = Create("x", opts)
		c.Send("%s", word(err))
		c.Check(f.Truncate(0))
		_, err = p.Join(nil)
		c.Check(err)
		o, err = Create("x", opts)
		c.Check(err)
		c.Send("took over %v", o.TookOver)
		c.Check(o.Remove())
		// Past the look: the reservation itself finds that it is too much.
		small := createOptions("", Private, 0)
		small.Config.Slots, small.Config.Capacity = 16, 50<<10
		c.Check(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100 << 10, Max: 100 << 10}))
		_, err = Create("y", small)
		c.Send("%v", err)
		entries, err = os.ReadDir(dir)
		c.Check(err)
		c.Send("%d left", len(entries))
	})
}

func TestFull(t *testing.T) {
	shmtest.CheckLeaks(t)
	p := shmtest.Command{Handler: "full", ShmSize: 2 << 20}.Start(t)
	line := p.Recv()
	for _, want := range []string{"room ", "1024 slots x 65536 bytes need", "are free there", "no space left", "use 16 slots", "or at most 1"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q does not say %q", line, want)
		}
	}
	p.Expect("0 left")
	if line := p.Recv(); !strings.HasPrefix(line, "room ") || !strings.Contains(line, "a subscriber needs 8192 bytes, and 0 are free there") {
		t.Errorf("joining: %q", line)
	}
	p.Expect("4 files")
	p.Expect("room")
	p.Expect("took over true")
	if line := p.Recv(); !strings.Contains(line, "RLIMIT_FSIZE") {
		t.Errorf("too large a file: %q", line)
	}
	p.Expect("1 left")
	p.Wait()
}

func TestRemovedUnderUs(t *testing.T) {
	shmtest.CheckLeaks(t)
	for _, tt := range []struct {
		name          string
		do            func(*Owner)
		owner, member error // of Named
		peer          error
	}{
		{"nothing", func(*Owner) {}, nil, nil, nil},
		{"everything", func(o *Owner) { os.RemoveAll(o.Path()) }, sys.ErrRemoved, sys.ErrRemoved, sys.ErrRemoved},
		{"data", func(o *Owner) { os.Remove(o.Path() + "/data") }, sys.ErrRemoved, nil, nil},
		{"p.ID", func(o *Owner) { os.Remove(o.Path() + "/p." + o.ID.String()) }, sys.ErrRemoved, nil, nil},
		{"moved", func(o *Owner) { os.Rename(o.Path(), o.Path()+"2") }, sys.ErrRemoved, nil, sys.ErrRemoved},
		{"by force", func(o *Owner) {
			if err := Remove("x", &RemoveOptions{Dir: o.place.dir, Force: true}); err != nil {
				t.Error(err)
			}
		}, sys.ErrRemoved, sys.ErrRemoved, sys.ErrRemoved},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := shmtest.Dir(t)
			o := create(t, dir, "x", Private, 0)
			p := openTopic(t, dir, "x")
			m := join(t, p)
			members(t, o)
			tt.do(o)
			for _, look := range []struct {
				who  string
				got  error
				want error
			}{{"owner", o.Named(), tt.owner}, {"peer", p.Named(), tt.peer}, {"member", m.Named(), tt.member}} {
				if !errors.Is(look.got, look.want) {
					t.Errorf("%s: %v, want %v", look.who, look.got, look.want)
				}
			}
			if p.Renewed() {
				t.Error("renewed")
			}
			if _, err := o.Members(); err != nil {
				t.Errorf("a scan afterwards: %v", err)
			}
			if tt.peer != nil {
				next := create(t, dir, "x", Private, 0)
				if next.TookOver || !p.Renewed() {
					t.Errorf("took over %v, renewed %v", next.TookOver, p.Renewed())
				}
				wantErr(t, p.Named(), sys.ErrRemoved)
				wantErr(t, o.Remove(), sys.ErrRemoved)
				if err := next.Named(); err != nil {
					t.Errorf("the old one's Remove hit the new one: %v", err)
				}
			}
			if err := m.Leave(); err != nil {
				t.Errorf("leaving: %v", err)
			}
		})
	}
}

// TestDamaged: what a topic cannot be without.
func TestDamaged(t *testing.T) {
	shmtest.CheckLeaks(t)
	for _, tt := range []struct {
		name string
		do   func(path string) error
		want error
		says string
	}{
		{"no lock", func(p string) error { return os.Remove(p + "/lock") }, sys.ErrCorrupt, "lock is missing"},
		{"no data", func(p string) error { return os.Remove(p + "/data") }, sys.ErrCorrupt, "data is missing"},
		{"short", func(p string) error { return os.Truncate(p+"/data", 5000) }, sys.ErrCorrupt, "says that the file has"},
		{"empty", func(p string) error { return os.Truncate(p+"/data", 0) }, sys.ErrCorrupt, "data has 0 bytes"},
		{"zeros", func(p string) error { return os.WriteFile(p+"/data", make([]byte, 100000), 0) }, sys.ErrCorrupt, "starts with"},
		{"open to others", func(p string) error { return os.Chmod(p+"/data", 0o622) }, sys.ErrCorrupt, "written by others"},
		{"lock open to others", func(p string) error { return os.Chmod(p+"/lock", 0o666) }, sys.ErrCorrupt, "written by others"},
		{"strange mode", func(p string) error { return os.Chmod(p, 0o777) }, sys.ErrCorrupt, "mode 0777"},
		{"bell gone", func(p string) error { return os.Remove(p + "/bell") }, nil, ""},
		{"bell short", func(p string) error { return os.Truncate(p+"/bell", 1) }, nil, ""},
		{"bell scribbled on", func(p string) error {
			return os.WriteFile(p+"/bell", []byte(strings.Repeat("x", 9000)), 0)
		}, nil, ""},
		{"bell is a link", func(p string) error {
			return errors.Join(os.Remove(p+"/bell"), os.Symlink("data", p+"/bell"))
		}, nil, ""},
		{"bell with two names", func(p string) error { return os.Link(p+"/bell", p+"/bell2") }, nil, ""},
		{"holes", func(p string) error {
			f, err := os.OpenFile(p+"/data", os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 8192, 4096)
		}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := shmtest.Dir(t)
			o := create(t, dir, "x", Private, 0)
			o.Close()
			if err := tt.do(o.Path()); err != nil {
				t.Fatal(err)
			}
			next, err := Create("x", createOptions(dir, Private, 0))
			if tt.want != nil {
				wantErr(t, err, tt.want, tt.says)
				if strings.Contains(err.Error(), "is missing") && hintOf(err) == "" {
					t.Error("no hint")
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				p := openTopic(t, dir, "x")
				if p.Bell.Len() != BellSize || p.BellErr != nil {
					t.Errorf("bell: %d bytes, %v", p.Bell.Len(), p.BellErr)
				}
				st, err := os.Stat(o.Path() + "/data")
				if blocks := st.Sys().(*syscall.Stat_t).Blocks; err != nil || blocks*512 < next.Layout.Size {
					t.Errorf("%d blocks are reserved", blocks)
				}
				next.Close()
			}
			// Whatever it is, it can be removed.
			if err := Remove("x", &RemoveOptions{Dir: dir}); err != nil {
				t.Error(err)
			}
			if n := names(t, dir); len(n) != 0 {
				t.Errorf("left behind: %q", n)
			}
		})
	}
}

func TestTopicOfAnotherVersion(t *testing.T) {
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	le.PutUint32(o.Data.Bytes()[OffVersion:], 3)
	le.PutUint32(o.Data.Bytes()[OffLeast:], 2)
	o.Close()
	_, err := Create("x", createOptions(dir, Private, 0))
	wantErr(t, err, sys.ErrVersion, "version 3", "version 2", "knows version 1", "topic:x")
	_, err = Open("x", &OpenOptions{Dir: dir})
	wantErr(t, err, sys.ErrVersion)
}

func init() {
	// joiner DIR NAME NAMED joins and leaves for ever, and removes its file
	// itself, or there would be thousands.
	shmtest.Handle("joiner", func(c *shmtest.Child) {
		withoutUnnamed = c.Args[2] == "true"
		p, err := Open(c.Args[1], &OpenOptions{Dir: c.Args[0]})
		c.Check(err)
		c.Send("ready")
		for {
			m, err := p.Join(nil)
			c.Check(err)
			c.Check(unlinkIf(p.dir, memberFile+m.ID.String(), &m.stat))
			c.Check(m.Leave())
		}
	})
}

// TestKilledJoiner kills subscribers at random moments: what they leave is at
// most a complete file whose lock is gone, and where unnamed files cannot be
// had, one that the next publisher removes.
func TestKilledJoiner(t *testing.T) {
	shmtest.CheckLeaks(t)
	for _, renamed := range []bool{false, true} {
		t.Run(fmt.Sprintf("renamed=%v", renamed), func(t *testing.T) {
			dir := shmtest.Dir(t)
			o := create(t, dir, "x", Private, 0)
			rounds, seen := 30, map[string]int{}
			if testing.Short() {
				rounds = 5
			}
			for range rounds {
				p := shmtest.Start(t, "joiner", dir, "x", strconv.FormatBool(renamed))
				p.Expect("ready")
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // as above
				p.Kill()
				for _, m := range members(t, o) {
					if m.Alive() {
						t.Error("a dead one lives")
					}
					if m.Named() {
						seen["r."]++
					}
					if err := m.Unlink(); err != nil {
						t.Error(err)
					}
					m.Close()
				}
				if r := o.Refused(); len(r) != 0 {
					t.Errorf("half made: %v", r[0].Err)
				}
			}
			for _, name := range names(t, o.Path()) {
				if strings.HasPrefix(name, tempPrefix) && renamed {
					seen[tempPrefix]++
				}
			}
			if n := len(names(t, o.Path())); n != 4+seen[tempPrefix] {
				t.Errorf("it holds %q", names(t, o.Path()))
			}
			o.Close()
			next := create(t, dir, "x", Private, 0)
			if n := names(t, next.Path()); len(n) != 4 {
				t.Errorf("after the take-over it holds %q", n)
			}
			t.Logf("%d kills left %v", rounds, seen)
		})
	}
}
