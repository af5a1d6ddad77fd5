package topicdir

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

func smallConfig() Config {
	return Config{Slots: 8, Capacity: 100, Subscribers: 3, Held: 2, Policy: DropOldest, Patience: -1, TypeName: "x"}
}

func TestSmoke(t *testing.T) {
	shmtest.CheckLeaks(t)
	dir := shmtest.Dir(t)
	name := shmtest.Name(t)
	o, err := Create(name, &CreateOptions{Dir: dir, Config: smallConfig()})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.Named(); err != nil {
		t.Fatal(err)
	}
	_, err = Create(name, &CreateOptions{Dir: dir, Config: smallConfig()})
	t.Log(err)
	p, err := Open(name, &OpenOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if d := cmp.Diff(o.Config, p.Config); d != "" {
		t.Error(d)
	}
	if ok, err := p.PublisherAlive(); !ok || err != nil {
		t.Error(ok, err)
	}
	m, err := p.Join(func(r mem.Region) { le.PutUint64(r.Bytes()[MemberAsk:], 1) })
	if err != nil {
		t.Fatal(err)
	}
	ms, err := o.Members()
	if err != nil || len(ms) != 1 || !ms[0].Alive() || ms[0].ID != m.ID {
		t.Error(ms, err)
	}
	if err := m.Leave(); err != nil {
		t.Error(err)
	}
	ms, _ = o.Members()
	if len(ms) != 1 || ms[0].Alive() || ms[0].Named() {
		t.Error(ms)
	}
	o.Close()
	if ok, err := p.PublisherAlive(); ok || err != nil {
		t.Error(ok, err)
	}
	o2, err := Create(name, &CreateOptions{Dir: dir, Config: smallConfig()})
	if err != nil || !o2.TookOver {
		t.Fatal(err)
	}
	if err := o2.Remove(); err != nil {
		t.Fatal(err)
	}
	if p.Named() == nil {
		t.Error("still named")
	}
}
