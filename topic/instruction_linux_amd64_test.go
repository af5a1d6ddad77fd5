package topic_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/topic"
)

var everyInstruction = flag.Int("topic.instructions", 0, "kill a publisher after each `n`-th machine instruction; 0: at some")

func init() {
	// Publishes one sample between two calls of getppid(2).
	shmtest.Handle("stepped publisher", func(c *shmtest.Child) {
		debug.SetGCPercent(-1)
		go offMain(func() {
			var s stage
			c.Check(json.Unmarshal([]byte(c.Args[0]), &s))
			p, err := topic.Create(stageName, s.options())
			c.Check(err)
			c.Send("%d", syscall.Gettid())
			c.Expect("go")
			c.Check(p.Poll())
			i := uint64(0)
			for ; i < s.Warm; i++ {
				c.Check(sendSample(p, i))
			}
			c.Send("ready")
			c.Expect("go")
			b := make([]byte, sizeOf(i, stageSize))
			fill(b, i)
			ctx := context.Background()
			syscall.Getppid()
			err = p.Send(ctx, b)
			syscall.Getppid()
			c.Check(err)
			c.Hold()
		})
		select {}
	})
}

// threadStepper runs a thread instruction by instruction.
type threadStepper struct{ pid, tid int }

func (s *threadStepper) wait() (ws syscall.WaitStatus, err error) {
	const wall = 0x40000000
	for {
		_, err = syscall.Wait4(s.tid, &ws, wall, nil)
		if err != syscall.EINTR {
			return ws, err
		}
	}
}

// atMark reports whether the thread is about to call getppid(2).
func (s *threadStepper) atMark() (bool, error) {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(s.tid, &regs); err != nil || regs.Rax != syscall.SYS_GETPPID {
		return false, err
	}
	var code [2]byte
	_, err := syscall.PtracePeekText(s.tid, uintptr(regs.Rip), code[:])
	return code == [2]byte{0x0f, 0x05}, err // SYSCALL
}

// toMark lets the thread run to its call of getppid(2), and through it.
func (s *threadStepper) toMark() error {
	const sysGood = 1 // PTRACE_O_TRACESYSGOOD
	if err := syscall.PtraceSetOptions(s.tid, sysGood); err != nil {
		return err
	}
	sig, inside := 0, false
	for {
		if err := syscall.PtraceSyscall(s.tid, sig); err != nil {
			return err
		}
		ws, err := s.wait()
		switch {
		case err != nil:
			return err
		case !ws.Stopped():
			return fmt.Errorf("it ended: %#x", int(ws))
		case ws.StopSignal() != syscall.SIGTRAP|0x80:
			sig = int(ws.StopSignal())
			continue
		}
		sig = 0
		if inside {
			return nil
		}
		var regs syscall.PtraceRegs
		if err := syscall.PtraceGetRegs(s.tid, &regs); err != nil {
			return err
		}
		inside = regs.Orig_rax == syscall.SYS_GETPPID
	}
}

// steps lets the thread execute n instructions, or, with n negative, all
// before its next call of getppid(2), and tells how many that were.
func (s *threadStepper) steps(n int) (done int, err error) {
	for n < 0 || done < n {
		if n < 0 {
			if mark, err := s.atMark(); mark || err != nil {
				return done, err
			}
		}
		if err := syscall.PtraceSingleStep(s.tid); err != nil {
			return done, err
		}
		ws, err := s.wait()
		switch {
		case err != nil:
			return done, err
		case !ws.Stopped():
			return done, fmt.Errorf("it ended: %#x", int(ws))
		case ws.StopSignal() == syscall.SIGTRAP:
			done++ // else a signal to the Go runtime, which can do without it
		}
	}
	return done, nil
}

// kill kills the process, and waits for the thread that is traced: until that
// is done nobody can wait for the process.
func (s *threadStepper) kill() error {
	if err := syscall.Kill(s.pid, syscall.SIGKILL); err != nil {
		return err
	}
	for {
		ws, err := s.wait()
		if err != nil || !ws.Stopped() {
			return err
		}
	}
}

// TestStressInstructions kills a publisher after instructions of publishing,
// beside one subscriber that holds a sample and one that sleeps for the next.
func TestStressInstructions(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("needs the kernel's own answer: the emulator cannot trace a thread")
	}
	var total int
	t.Run("all", func(t *testing.T) { total = proveInstruction(t, -1) })
	if t.Failed() || total == 0 {
		return
	}
	every := *everyInstruction
	if every == 0 {
		every = max(total/24, 1)
	}
	work := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range work {
				t.Run(fmt.Sprint(n), func(t *testing.T) { proveInstruction(t, n) })
			}
		})
	}
	killed := 0
	for n := 0; n <= total; n += every {
		work <- n
		killed++
	}
	close(work)
	wg.Wait()
	t.Logf("%d instructions, killed after each %d-th: %d times", total, every, killed)
}

func proveInstruction(t *testing.T, n int) (total int) {
	s := stage{Dir: shmtest.Dir(t), Policy: topic.Block, Warm: 3, Patience: time.Minute}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	p := shmtest.Command{
		Handler: "stepped publisher", Args: []string{string(text)},
		Env: []string{"GODEBUG=asyncpreemptoff=1"}, // signals would come between
	}.Start(t)
	st := threadStepper{pid: p.PID()}
	if _, err := fmt.Sscan(p.Recv(), &st.tid); err != nil {
		t.Fatal(err)
	}
	holder := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 1, true)
	sleeper := follow(t, s.subscribe(t, topic.SubscribeOptions{}), 0, true)
	p.Send("go")
	p.Expect("ready")
	for _, f := range []*follower{holder, sleeper} {
		f.await(s.Warm, watchdog)
	}
	s.awaitSleep(t)
	func() {
		runtime.LockOSThread() // it is a thread that traces
		defer runtime.UnlockOSThread()
		if err = syscall.PtraceAttach(st.tid); err != nil {
			return
		}
		if _, err = st.wait(); err != nil {
			return
		}
		p.Send("go")
		if err = st.toMark(); err == nil {
			total, err = st.steps(n)
		}
		if e := st.kill(); err == nil {
			err = e
		}
	}()
	if os.IsPermission(err) {
		p.Kill()
		topic.Remove(stageName, &topic.RemoveOptions{Dir: s.Dir})
		t.Skip("needs ptrace(2): ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	head := s.look(t).Head
	if head != s.Warm && head != s.Warm+1 || n < 0 && head != s.Warm+1 {
		t.Errorf("the head is %d", head)
	}
	for _, f := range []*follower{holder, sleeper} {
		f.await(head, inTime)
	}
	next := s.create(t)
	i := next.Stats().Published
	if i != head {
		t.Errorf("the next publisher begins with %d after %d", i, head)
	}
	for range 20 {
		if err := sendSample(next, i); err != nil {
			t.Fatal(err)
		}
		i++
	}
	for _, f := range []*follower{holder, sleeper} {
		f.await(i, inTime)
	}
	if err := next.Remove(); err != nil {
		t.Error(err)
	}
	for _, f := range []*follower{holder, sleeper} {
		f.end(i)
	}
	s.empty(t)
	return total
}
