package inspect_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	// topic NAME: opens a topic and holds it.
	shmtest.Handle("topic", func(c *shmtest.Child) {
		p, err := topicdir.Open(c.Args[0], nil)
		c.Check(err)
		c.Send("ready")
		c.Hold()
		c.Check(p.Close())
	})
}

// TestTopic: a topic is one object, whatever files it has, also when it was
// removed; what only looks like one is none.
func TestTopic(t *testing.T) {
	name := shmtest.Name(t)
	owner, err := topicdir.Create(name, &topicdir.CreateOptions{Config: topicdir.Config{
		Slots: 32, Capacity: 100, Subscribers: 8, Held: 2, Policy: topicdir.DropOldest,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	p := shmtest.Start(t, "topic", name)
	p.Expect("ready")

	mine := func() []inspect.Object {
		t.Helper()
		snap, err := inspect.Scan(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(snap.Objects, func(o inspect.Object) bool {
			// Others on the machine have removed objects too.
			return !strings.Contains(o.Name, name) &&
				!(o.Removed && slices.ContainsFunc(holders(&o), func(pid int) bool { return pid == os.Getpid() || pid == p.PID() }))
		})
	}
	list := mine()
	if len(list) != 1 {
		t.Fatalf("%d objects, want 1: %+v", len(list), list)
	}
	o := &list[0]
	if o.Kind != inspect.KindTopic || o.Name != name || o.Address != "topic:"+name || !slices.Equal(o.Names, []string{"/" + name + ".topic"}) {
		t.Errorf("kind %s, name %q, address %q, names %q", o.Kind, o.Name, o.Address, o.Names)
	}
	if o.Size < 32*100 || o.Used < o.Size || o.Mode != 0o700 || o.State() != inspect.StateUsed {
		t.Errorf("size %d, used %d, mode %v, state %s", o.Size, o.Used, o.Mode, o.State())
	}
	if pids := holders(o); !slices.Contains(pids, os.Getpid()) || !slices.Contains(pids, p.PID()) || len(pids) != 2 {
		t.Errorf("holders %v, want %d and %d", pids, os.Getpid(), p.PID())
	}
	if found, err := inspect.Find(context.Background(), "posix:/"+name+".topic", nil); err != nil || found.Kind != inspect.KindTopic {
		t.Errorf("Find: %+v, %v", found, err)
	}

	// Removed, its files are still those of a topic.
	if err := owner.Remove(); err != nil {
		t.Fatal(err)
	}
	if shmtest.Isolated() {
		list = slices.DeleteFunc(mine(), func(o inspect.Object) bool { return !slices.Contains(holders(&o), p.PID()) })
		if len(list) == 0 {
			t.Error("nobody is seen to have the removed topic")
		}
		for _, o := range list {
			if o.Kind != inspect.KindTopic || !o.Removed || o.Address != "" {
				t.Errorf("of a removed topic: %s %q, removed %v", o.Kind, o.Name, o.Removed)
			}
		}
	}
	p.Wait()

	// A file that is called so is a file, and a directory that no topic can
	// have a directory.
	file, dir := filepath.Join(shmtest.ShmMount, name+".topic"), filepath.Join(shmtest.ShmMount, "."+name+".topic")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	for _, o := range mine() {
		if o.Kind == inspect.KindTopic && !o.Removed {
			t.Errorf("%q is a topic", o.Names)
		}
	}
}
