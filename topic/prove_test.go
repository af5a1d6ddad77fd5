//go:build shmpoint

package topic_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/topicdir"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

// The proof that anybody may be killed at any step: for every operation of a
// publisher and of a subscriber a process is killed at each step that it
// takes, and those who live must go on as spec/topic.md says. docs/proof.md
// tells what is asked of them.

var everyStep = flag.Int("prove.every", 1, "kill at each `n`-th step only")

// settle polls until exactly those who live are admitted, and there are so
// many files of subscribers. Who was demoted notices that, and asks again, when
// there is something to be taken.
func (s *stage) settle(t *testing.T, p *topic.Publisher, alive, files int, n *uint64) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if err := p.Poll(); err != nil {
			t.Fatal(err)
		}
		st := p.Stats()
		if st.Subscribers == alive && s.members() == files {
			return
		}
		if time.Since(begun) > inTime {
			t.Fatalf("%d subscribers live: %+v, %d files", alive, st, s.members())
		}
		if err := sendSample(p, *n); err != nil {
			t.Fatal(err)
		}
		*n++
	}
}

// members counts the files of subscribers.
func (s *stage) members() int {
	files, _ := filepath.Glob(filepath.Join(s.Dir, stageName+".topic", "r.*"))
	return len(files)
}

// start starts the victim.
func (s *stage) start(t testing.TB, v *shmtest.Victim, handler string) {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	v.Start(handler, string(text))
}

// victim is a child that is to be killed, with its topic.
type victim struct {
	*shmtest.Child
	stage
	p *topic.Publisher
	s *topic.Subscriber
	n uint64 // the next sample
}

func newVictim(c *shmtest.Child) *victim {
	v := &victim{Child: c}
	c.Check(json.Unmarshal([]byte(c.Args[0]), &v.stage))
	return v
}

// send publishes a sample and says so when that is done.
func (v *victim) send() {
	v.Check(sendSample(v.p, v.n))
	v.acknowledge(1)
}

// acknowledge says that n more samples were published.
func (v *victim) acknowledge(n uint64) {
	v.n += n
	v.Send("published %d", v.n)
}

// loan lends memory and writes a sample into it, in two steps.
func (v *victim) loan(i uint64) *topic.Loan {
	l, err := v.p.Loan(context.Background(), sizeOf(i, stageSize))
	v.Check(err)
	b := l.Bytes()
	sample := make([]byte, len(b))
	fill(sample, i)
	for _, half := range [][2]int{{0, len(b) / 2}, {len(b) / 2, len(b)}} {
		v.Step("payload", b[half[0]:half[1]])
		copy(b[half[0]:half[1]], sample[half[0]:half[1]])
	}
	return l
}

// publisherOps are what a publisher does, after it has published stage.Warm
// samples to the subscribers that there are.
var publisherOps = map[string]func(v *victim){
	"publish": func(v *victim) { v.send() },
	"loan": func(v *victim) {
		l := v.loan(v.n)
		v.Check(l.Publish())
		v.acknowledge(1)
	},
	"discard": func(v *victim) {
		v.loan(v.n).Discard()
		v.send()
	},
	"queue": func(v *victim) {
		v.Check(v.loan(v.n).Queue())
		v.Check(v.loan(v.n + 1).Queue())
		v.Check(v.p.Flush())
		v.acknowledge(2)
	},
	"batch": func(v *victim) {
		var all [][]byte
		for i := range uint64(3) {
			b := make([]byte, sizeOf(v.n+i, stageSize))
			fill(b, v.n+i)
			all = append(all, b)
		}
		_, err := v.p.SendBatch(context.Background(), all)
		v.Check(err)
		v.acknowledge(3)
	},
	// Twice round the ring: over slots that somebody holds, too.
	"rounds": func(v *victim) {
		for range 16 {
			v.send()
		}
	},
	"poll":  func(v *victim) { v.Check(v.p.Poll()) },
	"close": func(v *victim) { v.Check(v.p.Close()) },
	"remove": func(v *victim) {
		v.Check(v.p.Remove())
	},
	// Until it has to wait, and then until it does not any more.
	"wait": func(v *victim) {
		waits := v.p.Stats().Waits
		for v.p.Stats().Waits == waits {
			v.send()
		}
	},
}

func init() {
	shmtest.Handle("prove publisher", func(c *shmtest.Child) {
		v := newVictim(c)
		var err error
		v.p, err = topic.Create(stageName, v.options())
		c.Check(err)
		c.Send("there")
		c.Expect("go")
		c.Check(v.p.Poll())
		for v.n < v.Warm {
			c.Check(sendSample(v.p, v.n))
			v.n++
		}
		c.Send("ready")
		c.Expect("go")
		c.Steps(func() { publisherOps[v.Op](v) }, v.bell())
		c.Hold()
	})
	shmtest.Handle("prove create", func(c *shmtest.Child) {
		v := newVictim(c)
		c.Steps(func() {
			p, err := topic.Create(stageName, v.options())
			c.Check(err)
			v.p = p
		})
		c.Hold()
	})
	shmtest.Handle("prove removal", func(c *shmtest.Child) {
		v := newVictim(c)
		c.Steps(func() { c.Check(topic.Remove(stageName, &topic.RemoveOptions{Dir: v.Dir})) })
		c.Hold()
	})
	shmtest.Handle("prove holder", func(c *shmtest.Child) {
		v := newVictim(c)
		s, err := topic.Subscribe(context.Background(), stageName, &topic.SubscribeOptions{Dir: v.Dir})
		c.Check(err)
		c.Send("joined")
		_, err = s.Next(context.Background())
		c.Check(err)
		c.Send("holds")
		c.Hold()
	})
}

// toll adds up what was done, for the line at the end.
type toll struct {
	ops, steps, killed, escaped int
	sites                       map[string]bool
}

func (a *toll) add(t *testing.T, name string, b shmtest.Toll) {
	t.Logf("%-24s %3d steps of %d places, %d killed, %d escaped", name, len(b.Steps), b.Sites(), b.Killed, b.Escaped)
	a.ops++
	a.steps += len(b.Steps)
	a.killed += b.Killed
	a.escaped += b.Escaped
	for _, s := range b.Steps {
		a.sites[s.What+s.Site] = true
	}
}

// each runs a script for every step, and adds it to the toll.
func (a *toll) each(t *testing.T, name string, script func(t *testing.T, v *shmtest.Victim)) {
	t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
		a.add(t, name, shmtest.EachStep(t, *everyStep, script))
	})
}

func newToll(t *testing.T) *toll {
	a := &toll{sites: map[string]bool{}}
	t.Cleanup(func() {
		t.Logf("%d operations, %d steps of %d places: %d processes killed at one, %d were done before", a.ops, a.steps, len(a.sites), a.killed, a.escaped)
	})
	return a
}

// acknowledged is how many samples the victim has said are published.
func acknowledged(v *shmtest.Victim, warm uint64) uint64 {
	n := warm
	for _, line := range v.Said {
		fmt.Sscanf(line, "published %d", &n)
	}
	return n
}

// TestProvePublisher kills the publisher at every step of what it does, beside
// a subscriber that holds a sample, one that sleeps for the next, one that has
// just joined or has died, and an observer.
func TestProvePublisher(t *testing.T) {
	a := newToll(t)
	for _, policy := range policies {
		for _, c := range []struct {
			op    string
			third string // what else there is: a joiner, a dead, a laggard
			warm  uint64
		}{
			{"publish", "", 3}, {"loan", "", 3}, {"discard", "", 3}, {"queue", "", 3}, {"batch", "", 3},
			{"rounds", "", 3}, {"close", "", 3}, {"remove", "", 3},
			{"publish", "joiner", 1023}, {"poll", "joiner", 3}, {"poll", "dead", 3}, {"poll", "left", 3},
			{"rounds", "laggard", 3}, {"rounds", "dead", 3}, {"wait", "slow", 3},
		} {
			if policy == topic.DropOldest && c.third == "slow" {
				continue // it never waits
			}
			s := stage{Policy: policy, Op: c.op, Warm: c.warm, Patience: time.Minute}
			if c.third == "laggard" {
				s.Patience = time.Millisecond
			}
			name := fmt.Sprintf("%v %s %s", policy, c.op, c.third)
			a.each(t, strings.TrimSpace(name), func(t *testing.T, v *shmtest.Victim) { provePublisher(t, v, s, c.third) })
		}
	}
}

func provePublisher(t *testing.T, v *shmtest.Victim, s stage, third string) {
	s.Dir = shmtest.Dir(t)
	s.start(t, v, "prove publisher")
	v.Expect("there")
	all := s.Policy == topic.Block && third != "laggard" // whose patience is short
	holder := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 1, all)
	sleeper := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 0, all)
	observer, err := topic.Observe(ctx(t), stageName, &topic.SubscribeOptions{Dir: s.Dir})
	if err != nil {
		t.Fatal(err)
	}
	watcher := follow(t, observer, 0, false)
	var other *topic.Subscriber
	switch third {
	case "dead":
		dead := s.child(t, "prove holder")
		dead.Expect("joined")
		v.Send("go")
		v.Expect("ready")
		dead.Expect("holds")
		dead.Kill()
	case "laggard", "slow":
		other = s.subscribe(t, topic.SubscribeOptions{})
		v.Send("go")
		v.Expect("ready")
	case "left":
		other = s.subscribe(t, topic.SubscribeOptions{})
		v.Send("go")
		v.Expect("ready")
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		other = nil
	default:
		v.Send("go")
		v.Expect("ready")
	}
	if third == "joiner" {
		other = s.subscribe(t, topic.SubscribeOptions{})
	}
	// Everybody has taken what was there, and sleeps for more.
	for _, f := range []*follower{holder, sleeper, watcher} {
		f.await(s.Warm, watchdog)
	}
	if s.Op == "publish" {
		s.awaitSleep(t)
	}
	v.Send("go")
	var rest *follower
	if third == "slow" {
		// It takes when the publisher waits for it.
		for !v.Stands() && s.look(t).Counters[topicdir.CountWaits] == 0 {
			time.Sleep(time.Millisecond)
		}
		rest = follow(t, other, 0, all)
	}
	v.Kill()
	removed := s.Op == "remove"
	published := acknowledged(v, s.Warm)
	if !removed {
		// What was shown is there for those who live, though nobody publishes.
		info := s.look(t)
		if info.Alive {
			t.Error("the publisher is taken for alive")
		}
		if info.Head < published {
			t.Errorf("%d samples are acknowledged, and the head is %d", published, info.Head)
		}
		for _, f := range []*follower{holder, sleeper, watcher} {
			f.await(published, inTime)
		}
	}
	ended := false
	select {
	case <-sleeper.ended:
		ended = true
	case <-holder.ended:
		ended = true
	default:
	}
	if s.Op == "close" || removed {
		// Its end may have been shown or not: a successor would be the
		// topic's next life, that these followers may not see any more.
		s.finishEnded(t, published, holder, sleeper, watcher)
		return
	}
	if ended {
		t.Fatalf("it ended: %v, %v", sleeper.err, holder.err)
	}
	// The next one goes on where this one ended.
	begun := time.Now()
	p := s.create(t)
	if took := time.Since(begun); took > inTime {
		t.Errorf("taking over took %v", took)
	}
	if end, want := s.word(t, topicdir.HotEnd), s.word(t, topicdir.HotWant); end != 0 || want != 0 {
		t.Errorf("after the take-over end is %d and want %d", end, want)
	}
	n := p.Stats().Published
	if n < published || n > published+16 {
		t.Errorf("%d samples are acknowledged, and the next publisher begins with %d", published, n)
	}
	if third == "laggard" || third == "joiner" {
		rest = follow(t, other, 0, all)
	}
	for range 24 {
		if err := sendSample(p, n); err != nil {
			t.Fatal(err)
		}
		n++
	}
	alive := 2
	for _, f := range []*follower{holder, sleeper, watcher} {
		f.await(n, inTime)
	}
	if rest != nil {
		rest.await(n, inTime)
		alive++
	}
	// Places and files of the dead are free again.
	holder.release() // who was demoted is not admitted before
	s.settle(t, p, alive, alive, &n)
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	for _, f := range []*follower{holder, sleeper, watcher, rest} {
		if f != nil {
			f.end(n)
		}
	}
	s.empty(t)
}

// finishEnded is the rest after a publisher was killed while it closed or
// removed its topic.
func (s *stage) finishEnded(t *testing.T, published uint64, followers ...*follower) {
	t.Helper()
	p, err := topic.Create(stageName, s.options())
	if err != nil {
		t.Fatal(err)
	}
	// The same topic, or a new one where the name was gone already.
	if n := p.Stats().Published; n != published && n != 0 {
		t.Errorf("%d samples are acknowledged, and the next publisher begins with %d", published, n)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	for _, f := range followers {
		select {
		case <-f.ended:
		case <-time.After(inTime):
			t.Fatalf("it goes on after the end")
		}
		if f.err != nil && !errors.Is(f.err, topic.ErrRemoved) {
			t.Errorf("it ended with %v", f.err)
		}
		if f.next != published {
			t.Errorf("it ended at %d of %d", f.next, published)
		}
		f.release()
		if err := f.s.Close(); err != nil {
			t.Error(err)
		}
	}
	s.empty(t)
}

// word reads one of the hot words.
func (s *stage) word(t *testing.T, off int64) uint64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Dir, stageName+".topic", "data"))
	if err != nil {
		t.Fatal(err)
	}
	return le.Uint64(b[s.look(t).Layout.Hot+off:])
}

// child starts a process that is no victim.
func (s *stage) child(t testing.TB, handler string) *shmtest.Process {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return shmtest.Start(t, handler, string(text))
}

// TestProveCreate kills whoever makes, takes over or removes a topic.
func TestProveCreate(t *testing.T) {
	a := newToll(t)
	for _, policy := range policies {
		s := stage{Policy: policy, Patience: time.Minute}
		a.each(t, fmt.Sprintf("%v create", policy), func(t *testing.T, v *shmtest.Victim) { proveCreate(t, v, s) })
		a.each(t, fmt.Sprintf("%v take over", policy), func(t *testing.T, v *shmtest.Victim) { proveTakeOver(t, v, s) })
	}
	a.each(t, "remove", func(t *testing.T, v *shmtest.Victim) { proveRemoval(t, v, stage{Policy: topic.Block}) })
}

// proveCreate: a topic that was not made is not there, and the next one makes
// it and sweeps up.
func proveCreate(t *testing.T, v *shmtest.Victim, s stage) {
	s.Dir = shmtest.Dir(t)
	s.start(t, v, "prove create")
	v.Kill()
	early, err := topic.Subscribe(ctx(t), stageName, &topic.SubscribeOptions{Dir: s.Dir})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	p := s.create(t)
	var followers []*follower
	if early != nil {
		followers = append(followers, follow(t, early, 1, true))
	}
	late := s.subscribe(t, topic.SubscribeOptions{})
	if err := p.Poll(); err != nil {
		t.Fatal(err)
	}
	followers = append(followers, follow(t, late, 1, true))
	const n = 20
	for i := range uint64(n) {
		if err := sendSample(p, i); err != nil {
			t.Fatal(err)
		}
		for _, f := range followers {
			f.await(i+1, inTime)
		}
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	for _, f := range followers {
		f.end(n)
	}
	s.empty(t)
}

// proveTakeOver: the successor of a dead publisher is killed as well, and the
// next one takes over what both have left: somebody who holds, somebody who
// sleeps, a laggard that was demoted, one that has just joined, and one that
// has died and held something.
func proveTakeOver(t *testing.T, v *shmtest.Victim, s stage) {
	s.Dir = shmtest.Dir(t)
	all := s.Policy == topic.Block
	s.Warm = 3
	if !all {
		s.Warm = 19 // the laggard is demoted
	}
	n := s.Warm
	first := s.child(t, "prove publisher")
	first.Expect("there")
	holder := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 1, all)
	dead := s.child(t, "prove holder")
	dead.Expect("joined")
	laggard := s.subscribe(t, topic.SubscribeOptions{})
	first.Send("go")
	first.Expect("ready")
	holder.await(n, watchdog)
	dead.Expect("holds")
	joiner := s.subscribe(t, topic.SubscribeOptions{})
	dead.Kill()
	first.Kill()
	s.start(t, v, "prove create")
	v.Kill()
	begun := time.Now()
	p := s.create(t)
	if took := time.Since(begun); took > inTime {
		t.Errorf("taking over took %v", took)
	}
	if got := p.Stats().Published; got != n {
		t.Errorf("%d are published, and the next publisher begins with %d", n, got)
	}
	followers := []*follower{holder, follow(t, joiner, 0, all), follow(t, laggard, 0, all)}
	for range 24 {
		if err := sendSample(p, n); err != nil {
			t.Fatal(err)
		}
		n++
	}
	for _, f := range followers {
		f.await(n, inTime)
	}
	holder.release()
	s.settle(t, p, 3, 3, &n)
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	for _, f := range followers {
		f.end(n)
	}
	s.empty(t)
}

// proveRemoval: a topic of a dead publisher is removed, or is there still;
// whoever has it goes on reading.
func proveRemoval(t *testing.T, v *shmtest.Victim, s stage) {
	s.Dir = shmtest.Dir(t)
	s.Warm = 5
	first := s.child(t, "prove publisher")
	first.Expect("there")
	held := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 1, true)
	first.Send("go")
	first.Expect("ready")
	held.await(s.Warm, watchdog)
	first.Kill()
	s.start(t, v, "prove removal")
	v.Kill()
	held.s.Stats()
	p := s.create(t)
	n := p.Stats().Published
	if n != 0 && n != s.Warm {
		t.Errorf("it begins with %d", n)
	}
	late := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 1, true)
	if err := p.Poll(); err != nil {
		t.Error(err)
	}
	fresh := n == 0
	for range 20 {
		if err := sendSample(p, n); err != nil {
			t.Fatal(err)
		}
		n++
		late.await(n, inTime)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	late.end(n)
	if !fresh {
		held.end(n)
	} else {
		// It finds out that the name is gone.
		select {
		case <-held.ended:
		case <-time.After(inTime):
			t.Fatal("it goes on after the removal")
		}
		if !errors.Is(held.err, topic.ErrRemoved) || held.next != s.Warm {
			t.Errorf("%v, at %d", held.err, held.next)
		}
		held.release()
		if err := held.s.Close(); err != nil {
			t.Error(err)
		}
	}
	s.empty(t)
}
