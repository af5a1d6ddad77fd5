package shmtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("echo", func(c *shmtest.Child) {
		c.Send("ready")
		for {
			line, ok := c.Recv()
			if !ok {
				return
			}
			c.Send(line)
		}
	})
	shmtest.Handle("args", func(c *shmtest.Child) { c.Send("%q", c.Args) })
	shmtest.Handle("silent", func(c *shmtest.Child) { c.Hold() })
	// hanging says so, from aside, and then nothing.
	shmtest.Handle("hanging", func(c *shmtest.Child) {
		go func() {
			for stacks := make([]byte, 1<<16); !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*Child).Hold("); {
				time.Sleep(time.Millisecond)
			}
			c.Send("hangs")
		}()
		c.Hold()
	})
	// deaf does not notice the end of its standard input.
	shmtest.Handle("deaf", func(c *shmtest.Child) {
		c.Send("ready")
		for {
			time.Sleep(time.Hour)
		}
	})
	shmtest.Handle("fail", func(c *shmtest.Child) {
		c.Expect("go")
		c.Fatalf("it went %s", "wrong")
	})
	shmtest.Handle("file", func(c *shmtest.Child) {
		_, err := c.File(0).WriteString("from the child")
		c.Check(err)
	})
}

func TestTalk(t *testing.T) {
	shmtest.CheckLeaks(t)
	p := shmtest.Start(t, "echo")
	p.Expect("ready")
	for i := range 100 {
		p.Send("line %d", i)
	}
	p.Send("100 %s as they are: %d")
	for i := range 100 {
		p.Expect(fmt.Sprint("line ", i))
	}
	p.Expect("100 %s as they are: %d")
	p.Wait()
	p.Wait() // again
	p.Kill() // also no harm
}

func TestArgs(t *testing.T) {
	for _, c := range []shmtest.Command{
		{Handler: "args", Args: []string{"-test.v", "", "a b"}},
		{Handler: "args", Args: []string{"-test.v", "", "a b"}, Rlimits: []shmtest.Rlimit{{syscall.RLIMIT_CORE, 0, 0}}},
	} {
		p := c.Start(t)
		p.Expect(`["-test.v" "" "a b"]`)
		p.Wait()
	}
}

func TestEnvAndExtraFiles(t *testing.T) {
	shmtest.CheckLeaks(t)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		shmtest.Command{Handler: "file", ExtraFiles: []*os.File{f}}.Start(t).Wait()
	}
	if text, _ := os.ReadFile(f.Name()); string(text) != "from the childfrom the child" {
		t.Errorf("read %q", text)
	}
	p := shmtest.Command{Path: "/bin/sh", Args: []string{"-c", "echo $GREETING $0", "name"}, Env: []string{"GREETING=hello"}}.Start(t)
	p.Expect("hello name")
	p.Wait()
}

// What a child has started may hold the pipes; that keeps nobody waiting.
func TestGrandchild(t *testing.T) {
	shmtest.SetGrace(50 * time.Millisecond)
	defer shmtest.SetGrace(shmtest.Grace)
	p := shmtest.Exec(t, "/bin/sh", "-c", "sleep 100 & echo $!; wait")
	pid, err := strconv.Atoi(p.Recv())
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	p.Kill()
	if state := processState(t, pid); state == "" {
		t.Error("the grandchild has gone too soon for this test")
	}
}

func TestStop(t *testing.T) {
	p := shmtest.Start(t, "echo")
	p.Expect("ready")
	p.Stop()
	if state := processState(t, p.PID()); state != "T" {
		t.Errorf("state %s", state)
	}
	p.Send("x")
	p.Cont()
	p.Expect("x")
	p.Stop()
	p.Kill() // a stopped one dies too
	if state := processState(t, p.PID()); state != "" {
		t.Errorf("state %s after Kill", state)
	}
}

// processState returns the letter of /proc/pid/stat, "" if there is no such
// process.
func processState(t testing.TB, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, state, _, ok := shmtest.ParseStat(string(text))
	if !ok {
		t.Fatalf("stat %q", text)
	}
	return state
}

func TestFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		f    func(t testing.TB)
		want []string
	}{
		{"another line", func(t testing.TB) { shmtest.Start(t, "echo").Expect("steady") },
			[]string{`expected "steady", got "ready"`}},
		{"no line", func(t testing.TB) {
			p := shmtest.Start(t, "fail")
			p.Send("go")
			p.Expect("ready")
		}, []string{`waiting for "ready": it has ended: exit status 1`, "fatal: it went wrong"}},
		{"no end", func(t testing.TB) {
			hasten(t)
			shmtest.Exec(t, "/bin/sh", "-c", "exec >&-; exec sleep 100").Wait()
		}, []string{"waiting for its end: i/o timeout"}},
		{"silence", func(t testing.TB) {
			p := shmtest.Start(t, "hanging")
			p.Expect("hangs")
			hasten(t)
			p.Expect("ready")
		}, []string{`waiting for "ready": i/o timeout`, "SIGQUIT: quit", "(*Child).Hold"}},
		{"bad end", func(t testing.TB) {
			p := shmtest.Start(t, "fail")
			p.Send("gone")
			p.Wait()
		}, []string{`fatal: expected "go", got "gone"`, "exit status 1"}},
		{"bad end that nobody asks about", func(t testing.TB) {
			p := shmtest.Start(t, "fail")
			p.CloseInput()
			<-p.Done()
		}, []string{"but the parent has closed its end", "exit status 1"}},
		{"unknown", func(t testing.TB) { shmtest.Start(t, "nobody") }, []string{`no handler named "nobody"`}},
		{"no program", func(t testing.TB) { shmtest.Exec(t, "/no/such/program") }, []string{"no such file"}},
		{"no program after setting up", func(t testing.TB) {
			shmtest.Command{Path: "/no/such/program", Rlimits: []shmtest.Rlimit{{syscall.RLIMIT_CORE, 0, 0}}}.Start(t)
		}, []string{"to execute /no/such/program", "no such file"}},
		{"bad limit", func(t testing.TB) {
			shmtest.Command{Handler: "echo", Rlimits: []shmtest.Rlimit{{12345, 0, 0}}}.Start(t)
		}, []string{"resource limit 12345", "invalid argument"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			record(t, time.Minute, test.f).has(t, test.want...)
		})
	}
}

// hasten brings the deadline near, for what must not come to pass.
func hasten(t testing.TB) { t.(*recorder).timeout = 100 * time.Millisecond }

func init() {
	shmtest.Handle("who", func(c *shmtest.Child) {
		status, err := os.ReadFile("/proc/self/status")
		c.Check(err)
		var caps string
		for line := range strings.Lines(string(status)) {
			if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
				caps = strings.TrimSpace(hex)
			}
		}
		groups, err := os.Getgroups()
		c.Check(err)
		// Its own /proc must be open to it, or it could not check leaks.
		_, err = os.ReadDir("/proc/self/fd")
		c.Check(err)
		c.Send("%d %d %v %s", os.Getuid(), os.Getgid(), groups, caps)
	})
}

func TestOtherUser(t *testing.T) {
	shmtest.CheckLeaks(t)
	other := shmtest.Other(t)
	p := shmtest.Command{Handler: "who", User: other}.Start(t)
	p.Expect("65534 65534 [] 0000000000000000")
	p.Wait()

	p = shmtest.Command{Handler: "who", User: other, KeepCaps: []shmtest.Cap{shmtest.CapIPCOwner, shmtest.CapKill}}.Start(t)
	p.Expect("65534 65534 [] 0000000000008020")
	p.Wait()
}

func TestDropCaps(t *testing.T) {
	shmtest.NeedRoot(t)
	p := shmtest.Command{Handler: "who", DropCaps: []shmtest.Cap{shmtest.CapDACOverride, shmtest.CapIPCLock}}.Start(t)
	var uid, gid int
	var groups string
	var caps uint64
	if _, err := fmt.Sscanf(p.Recv(), "%d %d %s %x", &uid, &gid, &groups, &caps); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if uid != 0 || caps&(1<<1|1<<14) != 0 || caps == 0 {
		t.Errorf("uid %d, capabilities %#x", uid, caps)
	}
}

// A program in a directory that is closed to the other user, which holds for
// t.TempDir, and one that is closed to the other user itself.
func TestOtherUserExecutes(t *testing.T) {
	shmtest.CheckLeaks(t)
	other := shmtest.Other(t)
	program := shmtest.CompileC(t, `
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) { printf("%d %s\n", (int)getuid(), argv[1]); return 0; }`)
	for _, mode := range []os.FileMode{0o755, 0o700} {
		if err := os.Chmod(program, mode); err != nil {
			t.Fatal(err)
		}
		p := shmtest.Command{Path: program, Args: []string{"hello"}, User: other}.Start(t)
		p.Expect("65534 hello")
		p.Wait()
	}
}

func init() {
	shmtest.Handle("limits", func(c *shmtest.Child) {
		for _, resource := range []int{syscall.RLIMIT_FSIZE, syscall.RLIMIT_NOFILE} {
			var l syscall.Rlimit
			c.Check(syscall.Getrlimit(resource, &l))
			c.Send("%d %d", l.Cur, l.Max)
		}
	})
	shmtest.Handle("surroundings", func(c *shmtest.Child) {
		tb := childTB{c: c}
		table, err := os.ReadFile("/proc/sysvipc/shm")
		c.Check(err)
		entries, err := os.ReadDir(shmtest.ShmMount)
		c.Check(err)
		c.Send("%d segments, %d files, %d bytes", strings.Count(string(table), "\n")-1, len(entries), shmSize(tb))
		shmget(tb, 0, 4096)
		c.Check(os.WriteFile(shmtest.ShmMount+"/left", nil, 0o600))
		c.Check(os.Mkdir(shmtest.ShmMount+"/dir", 0o700))
	})
}

func TestRlimits(t *testing.T) {
	p := shmtest.Command{Handler: "limits", Rlimits: []shmtest.Rlimit{
		{syscall.RLIMIT_FSIZE, 4096, 8192}, {syscall.RLIMIT_NOFILE, 64, 64},
	}}.Start(t)
	p.Expect("4096 8192")
	p.Expect("64 64")
	p.Wait()
}

func TestOwnNamespaces(t *testing.T) {
	shmtest.CheckLeaks(t)
	id := shmget(t, 0, 4096)
	defer shmrm(t, id)
	name := filepath.Join(shmtest.ShmMount, shmtest.Name(t))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	for _, user := range []*shmtest.User{nil, {UID: 65534, GID: 65534}} {
		p := shmtest.Command{Handler: "surroundings", User: user, OwnIPC: true, ShmSize: 1 << 20}.Start(t)
		p.Expect("0 segments, 0 files, 1048576 bytes")
		p.Wait()
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		name string
		c    shmtest.Command
		want string
	}{
		{"ipc", shmtest.Command{Handler: "echo", OwnIPC: true}, "needs CAP_SYS_ADMIN"},
		{"shm", shmtest.Command{Handler: "echo", OwnShm: true}, "needs CAP_SYS_ADMIN"},
		{"user", shmtest.Command{Handler: "echo", User: &shmtest.User{UID: 1, GID: 1}}, "needs root to run a process as uid 1"},
		{"limit", shmtest.Command{Handler: "echo", Rlimits: []shmtest.Rlimit{{syscall.RLIMIT_CORE, 0, 1}}}, "needs resource limit 4 at 0, 1: setrlimit: operation not permitted"},
	} {
		inner["refused "+test.name] = func(t *testing.T) {
			r := record(t, time.Minute, func(t testing.TB) { test.c.Start(t) })
			if !r.skipped || !strings.Contains(r.text(), test.want) {
				t.Errorf("skipped %v: %q", r.skipped, r.text())
			}
		}
		t.Run(test.name, func(t *testing.T) {
			c := testBinary("refused "+test.name, "")
			c.Rlimits = []shmtest.Rlimit{{syscall.RLIMIT_CORE, 0, 0}}
			c.User = shmtest.Other(t)
			c.Start(t).Wait()
		})
	}
}

func init() {
	inner["holder"] = func(t *testing.T) {
		p := shmtest.Start(t, "deaf")
		p.Expect("ready")
		fmt.Println("child", p.PID())
		<-p.Done()
	}
	inner["other holder"] = func(t *testing.T) {
		p := shmtest.Command{Handler: "deaf", User: shmtest.Other(t), OwnIPC: true}.Start(t)
		p.Expect("ready")
		fmt.Println("child", p.PID())
		<-p.Done()
	}
}

func init() {
	inner["say"] = func(t *testing.T) { fmt.Println("said") }
}

// Whatever ends a test binary ends its children. The binary has isolated
// itself, or tried to, so what is killed is what go test would kill.
func TestChildrenDieWithTheParent(t *testing.T) {
	for _, test := range []struct {
		inner string
		sig   syscall.Signal
	}{
		{"holder", syscall.SIGKILL}, {"holder", syscall.SIGINT}, {"holder", syscall.SIGQUIT}, {"other holder", syscall.SIGKILL},
	} {
		t.Run(fmt.Sprint(test.inner, " ", test.sig), func(t *testing.T) {
			if strings.HasPrefix(test.inner, "other") {
				shmtest.NeedRoot(t)
				shmtest.NeedCap(t, shmtest.CapSysAdmin)
			}
			shmtest.CheckLeaks(t)
			p := testBinary(test.inner, "").Start(t)
			pid, err := strconv.Atoi(strings.TrimPrefix(p.Recv(), "child "))
			if err != nil {
				t.Fatal(err)
			}
			if state := processState(t, pid); state == "" {
				t.Fatal("there is no child")
			}
			p.Signal(test.sig)
			if state := p.Exit(); state.Success() {
				t.Errorf("the test binary: %v", state)
			}
			eventually(t, "the child is gone", func() bool {
				state := processState(t, pid)
				return state == "" || state == "Z" || state == "X"
			})
		})
	}
}

// The kernel sends the parent-death signal when the starting thread ends, so
// that must not be one that the test ends.
func TestChildrenSurviveTheThread(t *testing.T) {
	var p *shmtest.Process
	tid := make(chan int)
	var start func()
	start = func() {
		runtime.LockOSThread() // and never unlocked: the thread ends too
		if syscall.Gettid() == os.Getpid() {
			// The main thread does not end. Another one it is, then.
			go start()
			<-t.Context().Done()
			return
		}
		p = shmtest.Start(t, "echo")
		tid <- syscall.Gettid()
	}
	go start()
	task := fmt.Sprintf("/proc/self/task/%d", <-tid)
	p.Expect("ready")
	eventually(t, "the thread has ended", func() bool {
		_, err := os.Stat(task)
		return err != nil
	})
	p.Send("still here")
	p.Expect("still here")
	p.Wait()
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not so after 10 s: %s", what)
		}
	}
}

// The flags of go test reach the binary that runs the tests, and only that.
func TestFlags(t *testing.T) {
	dir := t.TempDir()
	profile := filepath.Join(dir, "cpu")
	c := testBinary("say", "", "-test.v=test2json", "-test.count=3", "-test.cpuprofile="+profile)
	p := c.Start(t)
	state := p.Exit()
	if !state.Success() {
		t.Fatal(state)
	}
	var ran int
	for range 100 {
		line := p.Recv()
		if line == "said" {
			ran++
		}
		if line == "PASS" || line == "\x16PASS" {
			break
		}
	}
	if want := 3; ran != want {
		t.Errorf("ran %d times, want %d", ran, want)
	}
	if info, err := os.Stat(profile); err != nil || info.Size() == 0 {
		t.Errorf("profile: %v, %v", info, err)
	}

	p = testBinary("", "", "-test.list=Inner").Start(t)
	p.Expect("TestInner")
	p.Wait()
}

func TestCompileAndPython(t *testing.T) {
	r := record(t, time.Minute, func(t testing.TB) { shmtest.CompileC(t, "int main( {") })
	if !r.skipped {
		r.has(t, "error")
	}
	out, err := exec.Command(shmtest.Python(t), "-c", "print(6 * 7)").Output()
	if string(out) != "42\n" {
		t.Errorf("%q, %v", out, err)
	}
}
