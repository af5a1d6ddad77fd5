package topicdir

import (
	"os"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func benchTopic(b testing.TB, n int) (*Owner, *Peer) {
	dir := shmtest.Dir(b)
	opts := createOptions(dir, Private, 0)
	opts.Config.Slots, opts.Config.Subscribers = 64, 16
	o, err := Create("x", opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { o.Close() })
	p := openTopic(b, dir, "x")
	for range n {
		join(b, p)
	}
	if len(members(b, o)) != n {
		b.Fatal("not all are members")
	}
	return o, p
}

// TestRescanAllocates nothing, for a publisher does it while it publishes.
func TestRescanAllocates(t *testing.T) {
	o, p := benchTopic(t, 8)
	for what, fn := range map[string]func(){
		"Members":        func() { o.Members() },
		"PublisherAlive": func() { p.PublisherAlive() },
	} {
		most := 0.0
		if what == "PublisherAlive" {
			most = 60 // it reads /proc/PID/stat
		}
		if n := testing.AllocsPerRun(100, fn); n > most {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

func BenchmarkMembers(b *testing.B) {
	o, _ := benchTopic(b, 8)
	for b.Loop() {
		o.Members()
	}
}

// BenchmarkMembersCrowd: somebody has filled the directory.
func BenchmarkMembersCrowd(b *testing.B) {
	o, _ := benchTopic(b, 8)
	for range scanMost {
		if err := os.WriteFile(o.Path()+"/r."+NewID().String(), nil, 0o444); err != nil {
			b.Fatal(err)
		}
	}
	o.Members()
	for b.Loop() {
		o.Members()
	}
}

func BenchmarkAlive(b *testing.B) {
	o, _ := benchTopic(b, 1)
	m := members(b, o)[0]
	for b.Loop() {
		m.Alive()
	}
}

func BenchmarkNamed(b *testing.B) {
	o, _ := benchTopic(b, 1)
	for b.Loop() {
		o.Named()
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	_, p := benchTopic(b, 0)
	for b.Loop() {
		m, err := p.Join(nil)
		if err != nil {
			b.Fatal(err)
		}
		unlinkIf(p.dir, memberFile+m.ID.String(), &m.stat)
		m.Leave()
	}
}

func BenchmarkCreateRemove(b *testing.B) {
	dir := shmtest.Dir(b)
	for b.Loop() {
		o, err := Create("x", createOptions(dir, Private, 0))
		if err != nil {
			b.Fatal(err)
		}
		o.Remove()
	}
}
