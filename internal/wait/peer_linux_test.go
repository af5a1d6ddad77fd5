package wait

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

// game is how two processes hand a number to and fro. Page 0 is the object of
// the one who serves, page 1 of the one who returns.
type game struct {
	Rounds   uint64
	Free     bool // wakers leave their fence out
	Strategy Strategy
	Bound    time.Duration
	Think    int // at most so many pauses before each move
	Watchers int // goroutines of the returning side that wait too
}

// side is one player.
type side struct {
	game
	mine, theirs *object
	waker        *Waker
	sleeper      *Sleeper
	next         uint64 // what is awaited
	ready        func() bool
}

func newSide(t testing.TB, g game, f *os.File, mine int) *side {
	p := &side{game: g}
	at := func(page, prot int) *object {
		return newObject(t, mapFile(t, f, page, prot))
	}
	p.mine = at(mine, sys.PROT_READ|sys.PROT_WRITE)
	p.theirs = at(1-mine, sys.PROT_READ|sys.PROT_WRITE)
	p.waker = p.mine.waker(t, g.Free)
	p.sleeper = p.theirs.sleeper(t, Config{Strategy: g.Strategy, Bound: g.Bound})
	p.ready = func() bool { return mem.LoadAcquire64(p.theirs.head) >= p.next }
	return p
}

func (p *side) think() {
	if p.Think > 0 {
		for range rand.IntN(p.Think) {
			mem.Pause()
		}
	}
}

// await waits for a number, for one goroutine.
func (p *side) await(n uint64) error {
	p.next = n
	return p.sleeper.Wait(context.Background(), p.ready)
}

// serve plays all rounds.
func (p *side) serve() error {
	for n := uint64(1); n <= p.Rounds; n++ {
		p.think()
		p.mine.publish(p.waker, n)
		p.think()
		if err := p.await(n); err != nil {
			return err
		}
	}
	return nil
}

// giveBack plays all rounds on the other side.
func (p *side) giveBack() error {
	for n := uint64(1); n <= p.Rounds; n++ {
		p.think()
		if err := p.await(n); err != nil {
			return err
		}
		p.think()
		p.mine.publish(p.waker, n)
	}
	return nil
}

// childT lets helpers that take a testing.TB run in a child.
type childT struct {
	testing.TB
	c *shmtest.Child
}

func (t childT) Helper()           {}
func (t childT) Cleanup(func())    {}
func (t childT) Fatal(args ...any) { t.c.Fatal(args...) }
func (t childT) Skip(args ...any)  { t.c.Fatal(args...) }

func init() {
	shmtest.Handle("server", func(c *shmtest.Child) {
		var g game
		c.Check(json.Unmarshal([]byte(os.Args[1]), &g))
		n, err := strconv.Atoi(os.Args[2])
		c.Check(err)
		c.Check(pin(n))
		p := newSide(childT{c: c}, g, c.File(0), 0)
		c.Send("ready")
		c.Check(p.serve())
		st, err := json.Marshal(p.sleeper.Stats())
		c.Check(err)
		c.Send("%s", st)
	})
	shmtest.Handle("returner", func(c *shmtest.Child) {
		var g game
		c.Check(json.Unmarshal([]byte(os.Args[1]), &g))
		if cpu := os.Args[2]; cpu != "" {
			n, err := strconv.Atoi(cpu)
			c.Check(err)
			c.Check(pin(n))
		}
		p := newSide(childT{c: c}, g, c.File(0), 1)
		watched := make(chan error, g.Watchers)
		for range g.Watchers {
			go func() {
				n := uint64(0)
				for n < g.Rounds {
					// Each wants another number, so that some stay.
					n = min(n+1+rand.Uint64N(4), g.Rounds)
					if err := p.sleeper.Wait(context.Background(), p.theirs.past(n)); err != nil {
						watched <- err
						return
					}
				}
				watched <- nil
			}()
		}
		c.Send("ready")
		c.Check(p.giveBack())
		for range g.Watchers {
			c.Check(<-watched)
		}
		st, err := json.Marshal(p.sleeper.Stats())
		c.Check(err)
		c.Send("%s", st)
	})
}

// play lets this process serve and a child return, and gives what both
// sleepers did.
func play(t testing.TB, g game, cpu string) (p *side, served, returned Stats) {
	t.Helper()
	f := memfd(t, 2)
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	child := shmtest.Command{Handler: "returner", Args: []string{string(text), cpu}, ExtraFiles: []*os.File{f}}.Start(t)
	p = newSide(t, g, f, 0)
	t.Cleanup(func() {
		sys.Munmap(p.mine.region.Addr(), objectSize)
		sys.Munmap(p.theirs.region.Addr(), objectSize)
	})
	t.Cleanup(func() { p.sleeper.Close() })
	child.Expect("ready")
	if b, ok := t.(*testing.B); ok {
		b.ResetTimer()
	}
	if err := p.serve(); err != nil {
		t.Fatal(err)
	}
	if b, ok := t.(*testing.B); ok {
		b.StopTimer()
	}
	line := child.Recv()
	if err := json.Unmarshal([]byte(line), &returned); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	return p, p.sleeper.Stats(), returned
}

// TestHandOver is the proof by trial that no wake-up is lost: sleeps may last
// long, and none may have to.
func TestHandOver(t *testing.T) {
	rounds := uint64(100_000)
	if testing.Short() {
		rounds = 10_000
	}
	for _, g := range []game{
		{Strategy: Sleep},
		{Strategy: Sleep, Think: 200},
		{Strategy: Sleep, Think: 200, Free: true},
		{Strategy: Adaptive, Think: 500, Free: true},
		{Strategy: Sleep, Think: 100, Watchers: 3},
		{Strategy: Adaptive, Think: 100, Watchers: 3, Free: true},
	} {
		g.Rounds, g.Bound = rounds, 10*time.Second
		if g.Watchers > 0 {
			g.Rounds /= 4
		}
		t.Run(fmt.Sprintf("%+v", g), func(t *testing.T) {
			p, a, b := play(t, g, "")
			if a.Late+a.Stolen+b.Late+b.Stolen > 0 {
				t.Errorf("wake-ups were lost: %+v, %+v", a, b)
			}
			t.Logf("%+v, %+v; %d rings, %d for nobody, %d skipped", a, b, p.waker.Rings, p.waker.Empty, p.waker.Skipped)
		})
	}
}

// TestSameProcessor lets two processes play that are bound to one processor
// and do not know it. To spin cannot pay there, and they find that out.
func TestSameProcessor(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("under emulation it is the emulator's threads that share a processor")
	}
	cpus, err := allowed()
	if err != nil {
		t.Fatal(err)
	}
	g := game{Strategy: Adaptive, Rounds: 20_000}
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	f := memfd(t, 2)
	var children []*shmtest.Process
	for _, name := range []string{"server", "returner"} {
		children = append(children, shmtest.Command{
			Handler: name, Args: []string{string(text), strconv.Itoa(cpus[0])}, ExtraFiles: []*os.File{f},
			Env: []string{"GOMAXPROCS=2"},
		}.Start(t))
	}
	for _, c := range children {
		c.Expect("ready")
	}
	for _, c := range children {
		var st Stats
		if err := json.Unmarshal([]byte(c.Recv()), &st); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		t.Logf("%+v", st)
		if st.SpinMisses > g.Rounds/20 && !shmtest.Emulated() { // where looks take any time
			t.Errorf("%d vain spins in %d rounds", st.SpinMisses, g.Rounds)
		}
	}
}
