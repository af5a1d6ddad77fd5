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

// cpu is the processor time that this process has had.
func cpu(t failer) time.Duration {
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
		ended := make(chan error, n)
		for i := range conns {
			if l != nil {
				conns[i], err = l.AcceptConn()
			} else {
				conns[i], err = Dial(background, c.Args[0], nil)
			}
			c.Check(err)
			talkOnce(c, conns[i], l != nil)
			go func() {
				_, err := conns[i].Read(make([]byte, 1))
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
		// Nothing happens for a while, and that costs nothing.
		c.Expect("rest")
		used := cpu(c)
		time.Sleep(300 * time.Millisecond)
		c.Send("%d", (cpu(c) - used).Microseconds())
		c.Expect("end")
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
	path := socketPath(t)
	var sides []*shmtest.Process
	for _, side := range []string{"server", "client"} {
		p := shmtest.Start(t, "crowd", path, side, fmt.Sprint(n))
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
	for _, p := range sides {
		p.Send("rest")
	}
	for _, p := range sides {
		var used int
		fmt.Sscan(p.Recv(), &used)
		t.Logf("300 ms of rest took %d us of a processor", used)
		if used > 30_000 {
			t.Errorf("300 ms of rest took %d us of a processor", used)
		}
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
