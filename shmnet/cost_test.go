package shmnet

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
)

// status reads a number of /proc/PID/status.
func status(t failer, pid int, field string) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s", field)
	return 0
}

// cpuOf is the processor time that a process has had, in steps of a tick.
func cpuOf(t failer, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	// After the name, which may contain anything: utime and stime are fields
	// 14 and 15 of proc_pid_stat(5), and a tick is 10 ms wherever Go runs.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		must(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func init() {
	// Has many connections, whose readers all wait, and then reports.
	shmtest.Handle("crowd", func(c *shmtest.Child) {
		n, err := strconv.Atoi(c.Args[2])
		c.Check(err)
		runtime.GC()
		before := status(c, os.Getpid(), "VmRSS")
		var l *Listener
		if c.Args[1] == "server" {
			l, err = Listen(background, c.Args[0], nil)
			c.Check(err)
		}
		c.Send("ready")
		conns := make([]*Conn, n)
		ended, echoed := make(chan error, n), make(chan int)
		for i := range conns {
			if l != nil {
				conns[i], err = l.AcceptConn()
			} else {
				conns[i], err = Dial(background, c.Args[0], nil)
			}
			c.Check(err)
			talkOnce(c, conns[i], l != nil)
			go func() {
				var b [1]byte
				_, err := conns[i].Read(b[:])
				for ; err == nil; _, err = conns[i].Read(b[:]) {
					if l == nil {
						echoed <- i
					} else if _, err := conns[i].Write(b[:]); err != nil {
						c.Log(err)
					}
				}
				ended <- err
			}()
		}
		for _, conn := range conns {
			eventually(c, "it sleeps", func() bool { return asleep(&conn.bell.in) })
		}
		c.Send("asleep")
		c.Expect("report")
		runtime.GC()
		c.Send("%d %d %d", status(c, os.Getpid(), "VmRSS")-before, status(c, os.Getpid(), "Threads"), conns[0].memory.region.Len())
		// Nothing happens for a while, and that costs nothing; then some are
		// used.
		for {
			line, _ := c.Recv()
			if line == "end" {
				break
			}
			i, err := strconv.Atoi(line)
			c.Check(err)
			begun := time.Now()
			_, err = conns[i].Write([]byte("x"))
			c.Check(err)
			if j := <-echoed; j != i {
				c.Fatalf("an echo on %d of what was written on %d", j, i)
			}
			c.Send("%d", time.Since(begun).Microseconds())
		}
		if l == nil {
			for _, conn := range conns {
				c.Check(conn.Close())
			}
		}
		for range conns {
			<-ended
		}
		for _, conn := range conns {
			conn.Close()
		}
		if l != nil {
			c.Check(l.Close())
		}
	})
}

func talkOnce(t failer, c *Conn, server bool) {
	if !server {
		_, err := c.Write([]byte("hello"))
		must(t, err)
	}
	b := make([]byte, 5)
	_, err := io.ReadFull(c, b)
	must(t, err)
	if server {
		_, err := c.Write(b)
		must(t, err)
	}
}

// TestIdle has many connections at which readers wait, and looks what they
// cost each side.
func TestIdle(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	idle(t, n)
}

// TestStressIdle is TestIdle with ten thousand.
func TestStressIdle(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n = 500
	}
	idle(t, n)
}

func idle(t *testing.T, n int) {
	// A connection is one descriptor; some more are for the rest.
	files := uint64(n + 200)
	var lim syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim))
	need := shmtest.Rlimit{Resource: syscall.RLIMIT_NOFILE, Cur: files, Max: max(files, lim.Max)}
	path := socketPath(t)
	var sides []*shmtest.Process
	for _, side := range []string{"server", "client"} {
		p := shmtest.Command{Handler: "crowd", Args: []string{path, side, fmt.Sprint(n)}, Rlimits: []shmtest.Rlimit{need}}.Start(t)
		p.Expect("ready")
		sides = append(sides, p)
	}
	for _, p := range sides {
		p.Expect("asleep")
	}
	for _, p := range sides {
		p.Send("report")
		var rss, threads, size int
		fmt.Sscan(p.Recv(), &rss, &threads, &size)
		t.Logf("%d connections: %d KiB resident more, %d KiB each; %d threads; %d bytes of memory each", n, rss, rss/n, threads, size)
		if size > 64<<10 {
			t.Errorf("%d bytes of memory a connection", size)
		}
		if rss/n > 96 && !raceEnabled && !testing.Short() {
			t.Errorf("%d KiB resident a connection", rss/n)
		}
		if threads > 40 {
			t.Errorf("%d threads", threads)
		}
	}
	used := [2]time.Duration{cpuOf(t, sides[0].PID()), cpuOf(t, sides[1].PID())}
	const rest = time.Second
	time.Sleep(rest) // this is what is measured
	for i, p := range sides {
		took := cpuOf(t, p.PID()) - used[i]
		t.Logf("%v of rest took %v of a processor", rest, took)
		if took > 30*time.Millisecond {
			t.Errorf("%v of rest took %v of a processor", rest, took)
		}
	}
	best := time.Hour
	for i := range 10 {
		sides[1].Send("%d", i*(n-1)/9)
		var us int
		fmt.Sscan(sides[1].Recv(), &us)
		best = min(best, time.Duration(us)*time.Microsecond)
	}
	t.Logf("then there and back took %v on one of them", best)
	if best > 10*time.Millisecond {
		t.Errorf("the best of ten round trips took %v", best)
	}
	for _, p := range sides {
		p.Send("end")
	}
	for _, p := range sides {
		p.Wait()
	}
}

// TestAllocs: reading and writing allocate nothing, also where they sleep.
func TestAllocs(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates
	}
	a, b := pair(t, nil)
	text, got := make([]byte, 100), make([]byte, 100)
	go func() {
		b := b
		p := make([]byte, 100)
		for {
			if _, err := io.ReadFull(b, p); err != nil {
				return
			}
			if _, err := b.Write(p); err != nil {
				return
			}
		}
	}()
	v := make(net.Buffers, 0, 2)
	for name, do := range map[string]func(){
		"Write, Read": func() {
			a.Write(text)
			io.ReadFull(a, got)
		},
		"Reserve, Peek": func() {
			for n := 0; n < 100; {
				p, _ := a.Reserve(100 - n)
				a.Commit(len(p))
				n += len(p)
			}
			for n := 0; n < 100; {
				q, _ := a.Peek()
				n += len(q)
				a.Discard(len(q))
			}
		},
		"deadlines": func() {
			a.SetDeadline(time.Now().Add(time.Hour))
			a.Write(text)
			io.ReadFull(a, got)
			a.SetDeadline(time.Time{})
		},
		"WriteBuffers": func() {
			v := append(v[:0], text[:50], text[50:])
			a.WriteBuffers(&v)
			io.ReadFull(a, got)
		},
	} {
		do()
		if n := testing.AllocsPerRun(1000, do); n > 0.1 && name != "WriteBuffers" || n > 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if !bytes.Equal(text, got) {
		t.Error("other bytes")
	}
}
