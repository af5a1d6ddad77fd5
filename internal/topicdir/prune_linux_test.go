package topicdir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	// newcomer DIR NAME N joins N times. While it has joined, the name must stand
	// for the topic that it has joined, or come back to it.
	shmtest.Handle("newcomer", func(c *shmtest.Child) {
		rounds, _ := strconv.Atoi(c.Args[2])
		refused := 0
		for joined := 0; joined < rounds; {
			p, err := Open(c.Args[1], &OpenOptions{Dir: c.Args[0]})
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			c.Check(err)
			m, err := p.Join(nil)
			switch {
			case errors.Is(err, sys.ErrRemoved):
				refused++
			default:
				c.Check(err)
				joined++
				for limit := time.Now().Add(10 * time.Second); p.Named() != nil; {
					if time.Now().After(limit) {
						c.Fatalf("round %d: pruned under a subscriber", joined)
					}
				}
				c.Check(m.Leave())
			}
			c.Check(p.Close())
		}
		c.Send("joined %d", refused)
	})
	// successor DIR NAME N creates or takes over N times, and leaves the topic
	// each time as one that was killed.
	shmtest.Handle("successor", func(c *shmtest.Child) {
		rounds, _ := strconv.Atoi(c.Args[2])
		tookOver := 0
		for range rounds {
			o, err := Create(c.Args[1], createOptions(c.Args[0], Private, 0))
			c.Check(err)
			c.Check(o.Named())
			if o.TookOver {
				tookOver++
			}
			c.Check(o.Close())
		}
		c.Send("done %d", tookOver)
	})
	// pruner DIR prunes until nothing is dead; without an end where a further
	// argument is given.
	shmtest.Handle("pruner", func(c *shmtest.Child) {
		c.Send("ready")
		c.Recv()
		removed := 0
		for {
			n, left := prune(c, c.Args[0])
			if removed += n; left == 0 && len(c.Args) == 1 {
				c.Send("removed %d", removed)
				return
			}
		}
	})
}

// prune removes what is dead in the directory; a race that is lost is no
// failure. left counts what somebody else was at.
func prune(c interface {
	Fatalf(format string, args ...any)
	Helper()
}, dir string) (removed, left int) {
	c.Helper()
	dead, _, err := Dead(dir)
	if err != nil {
		c.Fatalf("Dead: %v", err)
	}
	for i := range dead {
		if dead[i].InUse != "" {
			left++
			continue
		}
		switch err := dead[i].Remove(); {
		case err == nil:
			removed++
		case errors.Is(err, sys.ErrBusy), errors.Is(err, fs.ErrNotExist):
			left++
		default:
			c.Fatalf("%+v: %v", dead[i], err)
		}
	}
	return removed, left
}

// TestPruneAgainst: prune in a loop against a process that joins, and one
// that takes over. Neither ever fails, nor loses what it has.
func TestPruneAgainst(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for _, against := range []string{"newcomer", "successor"} {
		t.Run(against, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			dir := shmtest.Dir(t)
			p := shmtest.Start(t, against, dir, "x", strconv.Itoa(rounds))
			removed, left := 0, 0
			for limit := time.Now().Add(time.Minute); ; {
				if against == "newcomer" {
					create(t, dir, "x", Private, 0).Close()
				}
				n, m := prune(t, dir)
				removed, left = removed+n, left+m
				select {
				case <-p.Done():
					line := p.Recv()
					p.Wait()
					t.Logf("%s; %d pruned, %d left alone", line, removed, left)
					if removed == 0 && time.Now().Before(limit) {
						// On a busy machine it has had no turn in between.
						p = shmtest.Start(t, against, dir, "x", strconv.Itoa(rounds))
						continue
					}
					if removed == 0 {
						t.Error("nothing was pruned")
					}
					for n := range 3 {
						if prune(t, dir); n == 2 && len(names(t, dir)) != 0 {
							t.Errorf("left: %q", names(t, dir))
						}
					}
					return
				default:
				}
			}
		})
	}
}

// TestPruneBetween: who joins between the look at the subscribers and the end
// of the name gets the name back.
func TestPruneBetween(t *testing.T) {
	dir := shmtest.Dir(t)
	create(t, dir, "x", Private, 0).Close()
	dead, _, err := Dead(dir)
	if err != nil || len(dead) != 1 {
		t.Fatalf("%+v, %v", dead, err)
	}
	var m *Membership
	defer func(f func()) { beforePrune = f }(beforePrune)
	beforePrune = func() { m = join(t, openTopic(t, dir, "x")) }
	wantErr(t, dead[0].Remove(), sys.ErrBusy)
	if err := m.Named(); err != nil {
		t.Error(err)
	}
	o := create(t, dir, "x", Private, 0)
	if got := members(t, o); !o.TookOver || len(got) != 1 || got[0].ID != m.ID || !got[0].Alive() {
		t.Errorf("took over %v, members %+v", o.TookOver, got)
	}
	le.PutUint64(o.Data.Bytes()[o.Layout.Hot+HotEpoch:], 2)
	o.Close()
	m.Leave()
	beforePrune = func() {}
	// By now it has been taken over and has died again.
	wantErr(t, dead[0].Remove(), sys.ErrBusy)
	if prune(t, dir); len(names(t, dir)) != 0 {
		t.Errorf("left: %q", names(t, dir))
	}
}

// TestPruneTakesNothing: pruning needs no memory, also where data has holes.
func TestPruneTakesNothing(t *testing.T) {
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	peer := openTopic(t, dir, "x")
	join(t, peer).Leave()
	m := join(t, peer)
	if err := unix.Fallocate(int(fileOf(t, o.Path()+"/data").Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, o.Layout.Payload, HeaderSize); err != nil {
		t.Fatal(err)
	}
	o.Close()
	before := inspect(t, dir)
	if removed, _ := prune(t, dir); removed != 1 {
		t.Errorf("%d were removed, want the dead subscriber", removed)
	}
	after := inspect(t, dir)
	if want := before.Size - int64(MemberSize(o.Config.Held)); after.Size != want || len(after.Members) != 1 || after.Members[0].ID != m.ID {
		t.Errorf("%d bytes after %d, want %d: %+v", after.Size, before.Size, want, after.Members)
	}
	m.Leave()
	prune(t, dir)
}

func fileOf(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestPruneCreator: a creator that prune takes for a dead one goes on, and
// what it has made stays its own.
func TestPruneCreator(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	p := shmtest.Start(t, "creator", dir, "x")
	p.Expect("ready")
	for limit := time.Now().Add(300 * time.Millisecond); time.Now().Before(limit); {
		prune(t, dir)
	}
	p.Kill() // which fails the test if it had ended by itself
	if s := p.Stderr(); strings.Contains(s, "fatal") {
		t.Error(s)
	}
	prune(t, dir)
	if n := names(t, dir); len(n) != 0 {
		t.Errorf("left behind: %q", n)
	}
}

// deadTopics makes n topics that nobody publishes, each with a dead
// subscriber, and one more that somebody subscribes to.
func deadTopics(t *testing.T, dir string, n int) (used *Membership) {
	t.Helper()
	for i := range n + 1 {
		o := create(t, dir, fmt.Sprintf("x%d", i), Private, 0)
		p := openTopic(t, dir, o.Name())
		for range 2 {
			m := join(t, p)
			if used == nil {
				used = m
				admit(o, m.ID, 0)
				continue
			}
			admit(o, m.ID, 1)
			m.Leave()
		}
		o.Close()
	}
	return used
}

// admit writes an entry of the table as the publisher does.
func admit(o *Owner, id ID, index int) {
	entry := o.Data.Bytes()[o.Layout.Entry(index):]
	copy(entry[EntryID:], id[:])
	le.PutUint64(entry[EntryState:], 5<<2|StateAdmitted)
}

// TestPruneTogether: several prune at once, and each dead thing goes once. Some
// are killed in the middle, and the next one finishes.
func TestPruneTogether(t *testing.T) {
	shmtest.CheckLeaks(t)
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	halfway := 0
	for round := range rounds {
		dir := shmtest.Dir(t)
		used := deadTopics(t, dir, 20)
		a, b := shmtest.Start(t, "pruner", dir, "for ever"), shmtest.Start(t, "pruner", dir, "for ever")
		a.Expect("ready")
		b.Expect("ready")
		a.Send("go")
		b.Send("go")
		// Not to wait for anything, but to hit another instruction.
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
		a.Kill()
		if round%2 == 0 {
			b.Kill()
		}
		for _, n := range names(t, dir) {
			if strings.HasPrefix(n, deadPrefix) {
				halfway++
			}
		}
		for limit := time.Now().Add(20 * time.Second); ; {
			prune(t, dir)
			if n := names(t, dir); len(n) == 1 && n[0] == "x0.topic" || time.Now().After(limit) {
				break
			}
		}
		b.Kill()
		prune(t, dir)
		if n := names(t, dir); len(n) != 1 || n[0] != "x0.topic" {
			t.Fatalf("left: %q", n)
		}
		// What is in use is as it was, but for what is dead in it.
		o := create(t, dir, "x0", Private, 0)
		if m := members(t, o); !o.TookOver || len(m) != 1 || m[0].ID != used.ID || !m[0].Alive() {
			t.Fatalf("took over %v, members %+v", o.TookOver, m)
		}
		kept, freed := o.Data.Bytes()[o.Layout.Entry(0):], o.Data.Bytes()[o.Layout.Entry(1):]
		if s := le.Uint64(kept[EntryState:]); s != 5<<2|StateAdmitted || ID(kept[EntryID:]) != used.ID {
			t.Errorf("the entry of who lives is in state %#x", s)
		}
		if s := le.Uint64(freed[EntryState:]); s != 6<<2|StateNone {
			t.Errorf("the entry of who is dead is in state %#x", s)
		}
		used.Leave()
		o.Remove()
	}
	t.Logf("%d kills, %d removals were half done", rounds+rounds/2, halfway)
}

// TestPruneWaited: a creator waits for who holds the lock and does not
// publish, but not for ever.
func TestPruneWaited(t *testing.T) {
	dir := shmtest.Dir(t)
	o := create(t, dir, "x", Private, 0)
	o.Close()
	hold := func() *sys.FD {
		d, st, err := openDir(dir + "/x.topic")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		lock, err := openLock(d, &st)
		if err == nil {
			err = sys.LockByte(lock.Int())
		}
		if err != nil {
			t.Fatal(err)
		}
		return lock
	}
	lock := hold()
	dead, _, err := Dead(dir)
	if err != nil || len(dead) != 1 || dead[0].InUse == "" {
		t.Errorf("%+v, %v", dead, err)
	}
	wantErr(t, dead[0].Remove(), sys.ErrBusy)
	_, err = Create("x", createOptions(dir, Private, 0))
	wantErr(t, err, sys.ErrBusy)
	done := make(chan error)
	go func() {
		o, err := Create("x", createOptions(dir, Private, 0))
		if err == nil {
			err = o.Remove()
		}
		done <- err
	}()
	lock.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
