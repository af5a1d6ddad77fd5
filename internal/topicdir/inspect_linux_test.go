package topicdir

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

func inspect(t *testing.T, dir string) *Info {
	t.Helper()
	info, err := Inspect("x", &OpenOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestInspect(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	p := startPublisher(t, dir, "x", ObserveOnly, 0)
	p.Expect("publishes false")
	s := shmtest.Start(t, "subscriber", dir, "x")
	s.Expect("open ok")
	id, _ := ParseID(strings.TrimPrefix(s.Recv(), "join "))

	info := inspect(t, dir)
	want := smallConfig()
	if d := cmp.Diff(want, info.Config); d != "" {
		t.Error(d)
	}
	if !info.Alive || info.Publisher == nil || info.Publisher.PID != p.PID() || info.Maker.PID != p.PID() || info.Epoch != 1 ||
		info.Sharing != ObserveOnly || info.Mode != 0o755 || info.UID != uint32(os.Geteuid()) || info.TopicID == (ID{}) {
		t.Errorf("%+v", info)
	}
	// lock takes nothing; data is 5 pages, p.ID 1, r.ID and bell 2 each.
	if want := info.Layout.Size + PublisherSize + BellSize + int64(MemberSize(want.Held)); info.Size != want {
		t.Errorf("%d bytes, want %d", info.Size, want)
	}
	if len(info.Members) != 1 || info.Members[0].ID != id || !info.Members[0].Alive || info.Members[0].Ask != 7 || info.Members[0].Maker.PID != s.PID() {
		t.Errorf("%+v", info.Members)
	}
	if dead, _, err := Dead(dir); err != nil || len(dead) != 0 {
		t.Errorf("dead: %+v, %v", dead, err)
	}

	p.Kill()
	info = inspect(t, dir)
	if info.Alive || info.Publisher == nil || info.Publisher.PID != p.PID() {
		t.Errorf("%+v", info)
	}
	dead, _, err := Dead(dir)
	if err != nil || len(dead) != 1 || dead[0].Topic != "x" || dead[0].Size != info.Size || dead[0].Kind != DeadTopic || dead[0].Kept ||
		dead[0].InUse != fmt.Sprintf("process %d subscribes", s.PID()) || dead[0].Maker.PID != p.PID() || dead[0].Heard.IsZero() ||
		dead[0].Why != fmt.Sprintf("its publisher, process %d, is gone, and its lock with it", p.PID()) {
		t.Errorf("%+v, %v", dead, err)
	}

	// As the algorithm would leave it.
	o := create(t, dir, "x", ObserveOnly, 0)
	hot, entry := o.Data.Bytes()[o.Layout.Hot:], o.Data.Bytes()[o.Layout.Entry(1):]
	le.PutUint64(hot[HotHead:], 20)
	le.PutUint64(hot[HotSince:], 2<<52|10<<2)
	le.PutUint64(hot[HotEnd:], 21)
	le.PutUint64(hot[HotCounters+8*CountPublished:], 19)
	copy(entry[EntryID:], id[:])
	le.PutUint64(entry[EntryState:], 5<<2|StateDemoted)
	le.PutUint64(entry[EntryFrom:], 12)
	peer := openTopic(t, dir, "x")
	m := join(t, peer)
	r := m.Region.Bytes()
	le.PutUint64(r[MemberCursor:], 17)
	le.PutUint64(r[MemberPins+8:], 1+16)
	le.PutUint64(r[MemberCounters(2)+8*MemberSleeps:], 4)
	le.PutUint64(r[MemberCounters(2)+8*MemberTaken:], 3)
	info = inspect(t, dir)
	slices.SortFunc(info.Members, func(a, b MemberInfo) int { return int(a.Sleeps) - int(b.Sleeps) })
	if info.Head != 20 || info.Since != 10 || info.End != 21 || info.Counters[CountPublished] != 19 || len(info.Members) != 2 {
		t.Fatalf("%+v", info)
	}
	if a := info.Members[0]; a.State != StateDemoted || a.From != 12 || len(a.Pins) != 0 {
		t.Errorf("%+v", a)
	}
	if b := info.Members[1]; b.State != StateNone || b.Cursor != 17 || !slices.Equal(b.Pins, []uint64{16}) || b.Taken != 3 || b.Sleeps != 4 || !b.Alive {
		t.Errorf("%+v", b)
	}
	m.Leave()
	s.Kill()
	o.Close()
	dead, _, err = Dead(dir)
	if err != nil || len(dead) != 3 || dead[0].InUse != "" || !dead[0].Kept || dead[1].Kind != DeadSubscriber || dead[2].Kind != DeadSubscriber ||
		dead[0].Why != "its publisher has ended it after 19 samples and left it to be read; 2 subscribers died too" {
		t.Fatalf("%+v, %v", dead, err)
	}
	if err := dead[0].Remove(); err != nil {
		t.Error(err)
	}
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left: %q", n)
	}
}

// TestDeadComesBack: a candidate that lives again is not removed.
func TestDeadComesBack(t *testing.T) {
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	o.Close()
	dead, _, err := Dead(dir)
	if err != nil || len(dead) != 1 {
		t.Fatalf("%+v, %v", dead, err)
	}
	o = create(t, dir, "x", Private, 0)
	wantErr(t, dead[0].Remove(), sys.ErrBusy)
	if err := o.Named(); err != nil {
		t.Error(err)
	}
}

func TestInspectOthers(t *testing.T) {
	shmtest.NeedRoot(t)
	dir := shmtest.Dir(t)
	create(t, dir, "x", Private, 0)
	p := as(strangerUID, strangerUID, "inspector", dir, "x").Start(t)
	p.Expect("permission 0 700 false")
	p.Expect("0 dead, 1 closed")
	p.Wait()
}

func init() {
	shmtest.Handle("inspector", func(c *shmtest.Child) {
		info, err := Inspect(c.Args[1], &OpenOptions{Dir: c.Args[0]})
		c.Send("%s %d %o %v", word(err), info.UID, info.Mode, info.Alive)
		dead, closed, err := Dead(c.Args[0])
		c.Check(err)
		c.Send("%d dead, %d closed", len(dead), closed)
	})
}

func TestDamagedIsDead(t *testing.T) {
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	o.Close()
	if err := os.Truncate(o.Path()+"/data", 100); err != nil {
		t.Fatal(err)
	}
	info, err := Inspect("x", &OpenOptions{Dir: dir})
	if !errors.Is(err, sys.ErrCorrupt) || info.Name != "x" || info.Publisher == nil {
		t.Errorf("%+v, %v", info, err)
	}
	dead, _, err := Dead(dir)
	if err != nil || len(dead) != 1 || dead[0].InUse == "" || !strings.HasPrefix(dead[0].Why, "it is damaged: data has 100 bytes") {
		t.Fatalf("%+v, %v", dead, err)
	}
	wantErr(t, dead[0].Remove(), sys.ErrCorrupt)
	if err := Remove("x", &RemoveOptions{Dir: dir}); err != nil {
		t.Error(err)
	}
}

func TestMissingMount(t *testing.T) {
	dir := t.TempDir() + "/none"
	if _, err := List(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("list: %v", err)
	}
	if _, err := Create("x", createOptions(dir, Private, 0)); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("create: %v", err)
	}
	// A directory that is a symbolic link is followed, and one on another
	// file system than a tmpfs does.
	link := t.TempDir() + "/link"
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	o := create(t, link, "x", Private, 0)
	p := openTopic(t, link, "x")
	join(t, p)
	if len(members(t, o)) != 1 {
		t.Error("no member")
	}
}
