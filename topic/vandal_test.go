package topic_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

var vandalism = flag.Duration("topic.vandalism", 0, "how long TestStressVandal scribbles; 0: a moment")

func init() {
	// A subscriber of another user that writes random bytes wherever it may,
	// as fast as it can; with Batch it does the same in memory of its own.
	shmtest.Handle("vandal", func(c *shmtest.Child) {
		j := jobOf(c)
		if j.Batch > 0 {
			c.Send("at work")
			scribble(make([]byte, 8192), make([]byte, 8192))
		}
		s, err := topic.Subscribe(context.Background(), j.Name, &topic.SubscribeOptions{WaitAdmission: true})
		c.Check(err)
		m, err := s.Next(context.Background())
		c.Check(err)
		if !faults(func() { m.Data[0]++ }) {
			c.Fatal("a subscriber can write the sample that it holds")
		}
		dir := filepath.Join(shmtest.ShmMount, j.Name+".topic")
		var bell, mine []byte
		files, err := os.ReadDir(dir)
		c.Check(err)
		for _, e := range files {
			path := filepath.Join(dir, e.Name())
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			switch {
			case e.Name() == "bell":
				c.Check(err)
				bell = mapFile(c, path)
			case os.Geteuid() != 0 && !errors.Is(err, fs.ErrPermission):
				c.Fatalf("%s can be opened for writing: %v", e.Name(), err)
			}
			f.Close()
			st, err := os.Stat(path)
			c.Check(err)
			if e.Name()[0] != 'r' || int(st.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
				continue
			}
			if b := mapFile(c, path); le.Uint64(b[56:]) == uint64(os.Getpid()) {
				mine = b
			}
		}
		// What looks like files of subscribers and is none.
		for i, name := range []string{"", "0", "00112233445566778899aabbccddeeff", "../r", "11112233445566778899aabbccddeeff"} {
			path := filepath.Join(dir, "r."+name)
			switch i % 3 {
			case 0:
				os.WriteFile(path, make([]byte, 100), 0o666)
			case 1:
				syscall.Mkfifo(path, 0o666)
			case 2:
				os.Symlink("/proc/self/mem", path)
			}
		}
		c.Send("at work")
		for k := range 8 {
			// All of them at random first, whole.
			for i := range mine {
				mine[i] = byte(rand.Uint32() >> k)
			}
			for i := range bell {
				bell[i] = byte(rand.Uint32() >> k)
			}
		}
		scribble(mine, bell)
	})
}

// faults reports whether f touches memory that may not be touched so.
func faults(f func()) (is bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { is = recover() != nil }()
	f()
	return
}

// TestStressVandal: a subscriber, of another user where that can be, that
// writes random bytes at full speed wherever it may harms neither the
// publisher nor others. The publisher is more than half as fast as beside a
// process that is as busy and shares nothing.
func TestStressVandal(t *testing.T) {
	needFaults(t)
	shmtest.CheckLeaks(t)
	name := shmtest.Name(t)
	j := job{Name: name, Policy: topic.DropOldest, Hold: 2}
	o := j.options()
	o.Sharing = topic.All
	p, err := topic.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	var other *shmtest.User
	if os.Geteuid() == 0 {
		// Not the one of shmtest.Other, by which the kernel shows users that a
		// namespace does not know: nobody trusts a file of that one.
		other = &shmtest.User{UID: 4242, GID: 4242}
	}
	child := func(handler string, batch int) *shmtest.Process {
		j.Batch = batch
		text, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		return shmtest.Command{Handler: handler, Args: []string{string(text)}, User: other}.Start(t)
	}
	good := start(t, "subscriber", j)
	bad := child("vandal", 0)
	busy := child("vandal", 1)
	busy.Expect("at work")
	busy.Stop()
	for begun := time.Now(); p.Stats().Subscribers < 2; {
		if err := p.Poll(); err != nil {
			t.Fatal(err)
		}
		if time.Since(begun) > watchdog {
			t.Fatalf("after %v: %+v", watchdog, p.Stats())
		}
	}
	until(good, "admitted")
	i := uint64(0)
	publish := func() {
		l, err := p.TryLoan(sizeOf(i, sampleMost))
		if err != nil {
			t.Fatal(err)
		}
		fill(l.Bytes(), i)
		if err := l.Publish(); err != nil {
			t.Fatal(err)
		}
		i++
	}
	publish()
	bad.Expect("at work")

	// Turn by turn, so that whatever else the machine does concerns both.
	limit, turn := *vandalism, 100*time.Millisecond
	if limit == 0 {
		limit = 2 * time.Second
		if testing.Short() {
			limit = 400 * time.Millisecond
		}
	}
	var rates [2]float64
	var longest time.Duration
	for begun := time.Now(); time.Since(begun) < limit; {
		for k, noisy := range []*shmtest.Process{busy, bad} {
			[]*shmtest.Process{bad, busy}[k].Stop()
			noisy.Cont()
			first, at := i, time.Now()
			for last := at; time.Since(at) < turn; {
				publish()
				now := time.Now()
				longest, last = max(longest, now.Sub(last)), now
			}
			rates[k] += float64(i-first) / time.Since(at).Seconds()
		}
	}
	ratio := rates[1] / rates[0]
	t.Logf("uid %v: %d published, the longest in %v, %.2f times as many a second as beside a busy process, %+v", other, i, longest, ratio, p.Stats())
	if ratio < 0.5 {
		t.Errorf("%.2f times as fast as beside a process that shares nothing", ratio)
	}
	if longest > 5*time.Second {
		t.Errorf("one sample took %v", longest)
	}
	bad.Kill()
	busy.Kill()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	t.Log(until(good, "took"))
	good.Wait()
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
}
