package topic_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

func init() {
	// Publishes on one thread, between two calls of getppid(2).
	shmtest.Handle("quiet publisher", func(c *shmtest.Child) {
		debug.SetGCPercent(-1)
		done := make(chan bool)
		go offMain(func() {
			publishQuietly(c)
			done <- true
		})
		<-done
	})

	// Takes without ever sleeping, until the topic ends.
	shmtest.Handle("taker", func(c *shmtest.Child) {
		j := jobOf(c)
		s, err := topic.Subscribe(context.Background(), j.Name, &topic.SubscribeOptions{WaitTopic: true, Wait: topic.Spin})
		c.Check(err)
		for m, err := range s.Samples(context.Background()) {
			c.Check(err)
			m.Release()
		}
		c.Check(s.Close())
	})
}

// offMain calls f on a thread that is not the process's first: of that one,
// whoever waits for the process gets the stops before the tracer does.
func offMain(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if syscall.Gettid() != syscall.Getpid() {
		f()
		return
	}
	done := make(chan bool)
	go offMain(func() { f(); done <- true })
	<-done
}

func publishQuietly(c *shmtest.Child) {
	j := jobOf(c)
	p, err := topic.Create(j.Name, j.options())
	c.Check(err)
	for p.Stats().Subscribers == 0 {
		c.Check(p.Poll())
	}
	c.Send("%d", syscall.Gettid())
	c.Expect("go")
	data := make([]byte, 64)
	send := func() { c.Check(p.Send(context.Background(), data)) }
	for range 1000 {
		send()
	}
	syscall.Getppid()
	begun := time.Now()
	for range j.Count {
		send()
	}
	took := time.Since(begun)
	syscall.Getppid()
	c.Send("%d", took.Milliseconds())
	c.Check(p.Close())
}

// tracer counts the system calls of one thread.
type tracer struct {
	tid    int
	counts map[string]int // by their numbers
	total  int
	shared int // of futexes that are not private, as the Go runtime's are
}

func (tr *tracer) run() error {
	const wall = 0x40000000
	var ws syscall.WaitStatus
	wait := func() error {
		for {
			_, err := syscall.Wait4(tr.tid, &ws, wall, nil)
			if err != syscall.EINTR {
				return err
			}
		}
	}
	if err := wait(); err != nil {
		return err
	}
	const sysGood = 1 // PTRACE_O_TRACESYSGOOD
	if err := syscall.PtraceSetOptions(tr.tid, sysGood); err != nil {
		return err
	}
	marks, entering, sig := 0, true, 0
	getppid, futex := fmt.Sprint(syscall.SYS_GETPPID), fmt.Sprint(syscall.SYS_FUTEX)
	const private = 128 // FUTEX_PRIVATE_FLAG
	for {
		if err := syscall.PtraceSyscall(tr.tid, sig); err != nil {
			return err
		}
		if err := wait(); err != nil {
			return err
		}
		switch sig = 0; {
		case ws.Exited() || ws.Signaled():
			return fmt.Errorf("it ended: %v", ws)
		case ws.StopSignal() == syscall.SIGTRAP|0x80:
			if entering {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", tr.tid))
				if err != nil {
					return err
				}
				call := strings.Fields(string(b))
				var op int
				if len(call) > 2 {
					fmt.Sscanf(call[2], "0x%x", &op)
				}
				switch nr := call[0]; {
				case nr == getppid:
					marks++
				case marks != 1:
				case nr == futex && op&private == 0:
					tr.shared++
					fallthrough
				default:
					tr.counts[nr]++
					tr.total++
				}
			} else if marks == 2 {
				return syscall.PtraceDetach(tr.tid)
			}
			entering = !entering
		default:
			sig = int(ws.StopSignal())
		}
	}
}

// TestNoSystemCall counts: while nobody sleeps, publishing makes no system
// call but the housekeeping's.
func TestNoSystemCall(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("needs the kernel's own answer: the emulator cannot trace a thread")
	}
	shmtest.CheckLeaks(t)
	j := job{Name: shmtest.Name(t), Policy: topic.DropOldest, Count: 1_000_000}
	if testing.Short() {
		j.Count = 200_000
	}
	taker := start(t, "taker", j)
	p := start(t, "quiet publisher", j)
	tr := &tracer{counts: map[string]int{}}
	if _, err := fmt.Sscan(p.Recv(), &tr.tid); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // it is a thread that traces
	defer runtime.UnlockOSThread()
	if err := syscall.PtraceAttach(tr.tid); err != nil {
		p.Kill()
		taker.Kill()
		topic.Remove(j.Name, nil)
		t.Skip("needs ptrace(2): ", err)
	}
	p.Send("go")
	if err := tr.run(); err != nil {
		t.Fatal(err)
	}
	var ms int
	if _, err := fmt.Sscan(p.Recv(), &ms); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	taker.Wait()
	if err := topic.Remove(j.Name, nil); err != nil {
		t.Error(err)
	}
	t.Logf("%d system calls for %d samples in %d ms; by number: %v", tr.total, j.Count, ms, tr.counts)
	if tr.shared > 0 {
		t.Errorf("%d calls of futex(2) for nobody who sleeps", tr.shared)
	}
	// A look at the files is about ten calls; signals of the Go runtime come
	// on top.
	if most := 20 + 200*(ms+999)/1000; tr.total > most {
		t.Errorf("%d system calls for %d samples in %d ms, by number: %v", tr.total, j.Count, ms, tr.counts)
	}
}
