package topic

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/wait"
	"github.com/seed-298b2b26/shm/shmtest"
)

// handovers makes TestStressHandOver as long as one wishes:
//
//	go test ./topic -run StressHandOver -handovers 100000000 -timeout 2h -v
var handovers = flag.Uint64("handovers", 0, "how many samples TestStressHandOver hands over in all; 0: for seven seconds")

// handOver is a game of two processes, each with a topic: a number goes to and
// fro, and each time one of them waits for it.
type handOver struct {
	Name   string // of the topics, without -there and -back
	Policy Policy
	Wait   Wait
	Think  int // pauses before a move, at most; now and then many times as many
}

const (
	handOverBound = 10 * time.Second
	lastMove      = ^uint64(0) // goes once there and once back
)

// player is one side of the game.
type player struct {
	handOver
	p     *Publisher
	s     *Subscriber
	moves uint64 // numbers that came
	b     [8]byte
}

func (p *player) create(suffix string) (err error) {
	p.p, err = Create(p.Name+suffix, &Options{Size: 8, Slots: 8, Subscribers: 1, Policy: p.Policy})
	return err
}

func (p *player) subscribe(suffix string) (err error) {
	p.s, err = Subscribe(context.Background(), p.Name+suffix, &SubscribeOptions{Wait: p.Wait})
	return err
}

// think lets time pass, so that the other side is now looking, now about to
// sleep, now asleep.
func (p *player) think() {
	most := p.Think
	if most == 0 {
		return
	}
	if rand.IntN(64) == 0 {
		most *= 200
	}
	for range rand.IntN(most) {
		mem.Pause()
	}
}

func (p *player) send(n uint64) error {
	p.think()
	binary.LittleEndian.PutUint64(p.b[:], n)
	return p.p.Send(context.Background(), p.b[:])
}

func (p *player) receive() (uint64, error) {
	p.think()
	m, err := p.s.Next(context.Background())
	if err != nil {
		return 0, err
	}
	defer m.Release()
	if m.Missed != 0 {
		return 0, fmt.Errorf("%d were lost before %d", m.Missed, m.Seq)
	}
	p.moves++
	return binary.LittleEndian.Uint64(m.Data), nil
}

func (p *player) stats() wait.Stats { return p.s.sleeper.Stats() }

func (p *player) close() {
	if p.s != nil {
		p.s.Close()
	}
	if p.p != nil {
		p.p.Remove()
	}
}

func init() {
	shmtest.Handle("handover", func(c *shmtest.Child) {
		sleepBound = handOverBound
		var p player
		c.Check(json.Unmarshal([]byte(c.Args[0]), &p.handOver))
		c.Check(p.create("-back"))
		c.Check(p.subscribe("-there"))
		c.Send("ready")
		c.Expect("subscribed")
		c.Check(p.p.Poll())
		c.Send("go")
		for want := uint64(1); ; want++ {
			n, err := p.receive()
			c.Check(err)
			if n != want && n != lastMove {
				c.Fatalf("%d came, and not %d", n, want)
			}
			c.Check(p.send(n))
			if n == lastMove {
				break
			}
		}
		text, err := json.Marshal(p.stats())
		c.Check(err)
		c.Send("%s", text)
		c.Expect("end") // what was sent last is received before the topic goes
		p.close()
	})
}

// play plays until so many were handed over, or, where that is 0, for a time.
// It gives how many there were and what the sleepers of both sides did.
func (g handOver) play(t *testing.T, count uint64, limit time.Duration) (n uint64, stats [2]wait.Stats) {
	t.Helper()
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	p := player{handOver: g}
	defer p.close()
	if err := p.create("-there"); err != nil {
		t.Fatal(err)
	}
	child := shmtest.Start(t, "handover", string(text))
	child.Expect("ready")
	if err := p.subscribe("-back"); err != nil {
		t.Fatal(err)
	}
	if err := p.p.Poll(); err != nil {
		t.Fatal(err)
	}
	child.Send("subscribed")
	child.Expect("go")
	for end := time.Now().Add(limit); ; {
		n++
		if count > 0 && 2*n >= count || count == 0 && time.Now().After(end) {
			break
		}
		p.move(t, n)
	}
	p.move(t, lastMove)
	if err := json.Unmarshal([]byte(child.Recv()), &stats[1]); err != nil {
		t.Fatal(err)
	}
	child.Send("end")
	child.Wait()
	stats[0] = p.stats()
	return 2 * p.moves, stats
}

// move hands one over and waits for it to come back.
func (p *player) move(t *testing.T, n uint64) {
	t.Helper()
	if err := p.send(n); err != nil {
		t.Fatal(err)
	}
	switch got, err := p.receive(); {
	case err != nil:
		t.Fatal(err)
	case got != n:
		t.Fatalf("%d came back, and not %d", got, n)
	}
}

// TestStressHandOver is the proof by trial that no wake-up is lost, between
// two processes and through everything that a topic is: sleeps may last ten
// seconds, and not one may end because its time was over while there was
// something to take.
func TestStressHandOver(t *testing.T) {
	limit := 7 * time.Second // three times in a run of CI's stress
	if testing.Short() {
		limit = time.Second
	}
	defer func(d time.Duration) { sleepBound = d }(sleepBound)
	sleepBound = handOverBound
	games := []struct {
		handOver
		part float64 // of all
	}{
		{handOver{Policy: DropOldest, Wait: Sleep}, 0.01},
		{handOver{Policy: Block, Wait: Sleep, Think: 50}, 0.01},
		{handOver{Policy: DropOldest, Wait: Adaptive, Think: 10}, 0.49},
		{handOver{Policy: Block, Wait: Adaptive, Think: 25}, 0.49},
	}
	var all, slept uint64
	for i, g := range games {
		g.Name = fmt.Sprintf("handover-%d-%d", time.Now().UnixNano(), i)
		t.Run(fmt.Sprintf("%v,%s,think=%d", g.Policy, map[Wait]string{Sleep: "sleep", Adaptive: "adaptive"}[g.Wait], g.Think), func(t *testing.T) {
			n, stats := g.play(t, uint64(float64(*handovers)*g.part), limit/time.Duration(len(games)))
			for _, st := range stats {
				if st.Late+st.Stolen > 0 {
					t.Errorf("a sleep timed out with a sample there: %+v", st)
				}
				slept += st.Sleeps
			}
			all += n
			t.Logf("%d handed over, here %+v, there %+v", n, stats[0], stats[1])
		})
	}
	if slept == 0 || *handovers > 0 && slept < *handovers/100 {
		t.Errorf("of %d handed over %d slept", all, slept)
	}
	t.Logf("%d handed over, of which %d slept", all, slept)
}
