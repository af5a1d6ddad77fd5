package shmtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
)

// keep holds what the inner tests leave behind, so that no garbage collection
// closes it.
var keep []any

func init() {
	leak := func(name string, f func(t *testing.T)) {
		inner["leak "+name] = func(t *testing.T) {
			if name != "nothing" {
				shmtest.SetGrace(50 * time.Millisecond)
			}
			f(t)
		}
	}
	leak("nothing", func(t *testing.T) {
		id := shmget(t, shmtest.Key(t), 4096)
		shmrm(t, id)
		f, err := os.Create(filepath.Join(shmtest.Dir(t), "object"))
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		shmtest.Start(t, "echo").Expect("ready")
	})
	leak("segment by creator", func(t *testing.T) { shmget(t, 0, 4096) })
	leak("segment by key", func(t *testing.T) {
		key := shmtest.Key(t)
		t.Logf("key %#x", uint32(key))
		shmget(t, key, 8192)
	})
	leak("segment of a child", func(t *testing.T) {
		p := shmtest.Start(t, "segment")
		p.Recv()
		p.Wait()
	})
	leak("semaphores", func(t *testing.T) { semget(t, shmtest.Key(t)) })
	leak("file", func(t *testing.T) {
		if err := os.WriteFile(shmtest.ShmMount+"/sem."+shmtest.Name(t), []byte("hello"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	leak("owned file", func(t *testing.T) {
		shmtest.Own("/shmtest-owned")
		if err := os.WriteFile(shmtest.ShmMount+"/shmtest-owned", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	leak("descriptor", func(t *testing.T) {
		f, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		keep = append(keep, f)
	})
	leak("pipe", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		keep = append(keep, r, w)
	})
	leak("closed descriptor", func(t *testing.T) { os.Stdin.Close() })
	leak("mapping", func(t *testing.T) { keep = append(keep, mapShared(t, nil)) })
	leak("mapped file", func(t *testing.T) {
		f, err := os.Create(filepath.Join(t.TempDir(), "mapped"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		keep = append(keep, mapShared(t, f))
	})
	leak("process", func(t *testing.T) {
		cmd := exec.Command("/bin/sh", "-c", "read line")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		keep = append(keep, cmd, in)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	leak("zombie", func(t *testing.T) {
		cmd := exec.Command("/bin/true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		keep = append(keep, cmd)
	})
	shmtest.Handle("segment", func(c *shmtest.Child) {
		c.Send("id %d", shmget(childTB{c: c}, 0, 4096))
	})
}

// childTB is a Child where a testing.TB is wanted, for shmget.
type childTB struct {
	testing.TB
	c *shmtest.Child
}

func (c childTB) Helper()                   {}
func (c childTB) Fatalf(f string, a ...any) { c.c.Fatalf(f, a...) }

var leaks = []struct {
	name string
	want []string // in the report; none: there is none
}{
	{"nothing", nil},
	{"segment by creator", []string{"left: segment id ", " key 0x0, 4096 bytes (created by process ", "ipcrm -m "}},
	{"segment by key", []string{"left: segment id ", ", 8192 bytes"}},
	{"segment of a child", []string{"left: segment id ", "4096 bytes (created by process "}},
	{"semaphores", []string{"left: semaphore set id ", ", 3 semaphores"}},
	{"file", []string{"left: file /dev/shm/sem.TestInner.st", "-rw-------", "5 bytes"}},
	{"owned file", []string{"left: file /dev/shm/shmtest-owned "}},
	{"descriptor", []string{"left: descriptor ", " -> /dev/null (O_RDWR|O_CLOEXEC)"}},
	{"pipe", []string{" -> pipe:[", "(O_RDONLY|O_NONBLOCK|O_CLOEXEC)", "(O_WRONLY|O_NONBLOCK|O_CLOEXEC)"}},
	{"closed descriptor", []string{"gone: descriptor 0 -> pipe:["}},
	{"mapping", []string{"left: mapping ", " of /dev/zero (deleted) (r--s"}},
	{"mapped file", []string{"left: mapping ", "/001/mapped (deleted) (r--s"}},
	{"process", []string{"left: child process ", "read line", "left: descriptor "}},
	{"zombie", []string{"left: child process ", "(true, ended, not waited for)"}},
}

func TestMainReports(t *testing.T) {
	vanishing := shmtest.Command{OwnIPC: true, OwnShm: true}
	for _, mode := range []struct {
		name     string
		isolated string
		in       func(t *testing.T) shmtest.Command
	}{
		// The binary isolates itself.
		{"isolated", "", func(t *testing.T) shmtest.Command {
			shmtest.NeedCap(t, shmtest.CapSysAdmin)
			return shmtest.Command{}
		}},
		// It is told not to, in surroundings that vanish with what it leaves.
		{"attributed", "0", func(t *testing.T) shmtest.Command {
			shmtest.NeedCap(t, shmtest.CapSysAdmin)
			return vanishing
		}},
		// It is refused.
		{"unprivileged", "", func(t *testing.T) shmtest.Command {
			if os.Geteuid() != 0 {
				return shmtest.Command{}
			}
			shmtest.NeedCap(t, shmtest.CapSysAdmin)
			c := vanishing
			c.User = shmtest.Other(t)
			return c
		}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			in := mode.in(t)
			for _, leak := range leaks {
				t.Run(leak.name, func(t *testing.T) {
					shmtest.CheckLeaks(t)
					c := testBinary("leak "+leak.name, mode.isolated, "-test.v")
					c.User, c.OwnIPC, c.OwnShm = in.User, in.OwnIPC, in.OwnShm
					p := c.Start(t)
					state := p.Exit()
					report := p.Stderr()
					if mode.name == "unprivileged" && !in.OwnIPC {
						sweep(t, report)
					}
					if leak.want == nil {
						if state.ExitCode() != 0 || report != "" {
							t.Fatalf("%v, said %q, for nothing", state, report)
						}
						return
					}
					if state.ExitCode() != 1 {
						t.Errorf("%v, want status 1", state)
					}
					if !strings.Contains(report, "the tests did not leave things as they were") {
						t.Errorf("said %q", report)
					}
					for _, want := range leak.want {
						if !strings.Contains(report, want) {
							t.Errorf("said %q, without %q", report, want)
						}
					}
				})
			}
		})
	}
}

// sweep removes what a report names, as a reader of it would.
func sweep(t *testing.T, report string) {
	for _, found := range regexp.MustCompile(`ipcrm -([ms]) (\d+)|left: file (\S+)`).FindAllStringSubmatch(report, -1) {
		id, _ := strconv.Atoi(found[2])
		switch {
		case found[1] == "m":
			shmrm(t, id)
		case found[1] == "s":
			semrm(t, id)
		default:
			if err := os.Remove(found[3]); err != nil {
				t.Error(err)
			}
		}
	}
}

// Without isolation what others do meanwhile does not count; the objects that
// are there before do not count either way.
func TestOthersDoNotCount(t *testing.T) {
	before := shmget(t, 0, 4096)
	defer shmrm(t, before)
	p := testBinary("line", "0").Start(t)
	p.Expect("running")
	meanwhile := shmget(t, shmtest.Key(t), 4096)
	defer shmrm(t, meanwhile)
	set := semget(t, shmtest.Key(t))
	defer semrm(t, set)
	name := filepath.Join(shmtest.ShmMount, shmtest.Name(t))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	p.Send("go on")
	p.Wait()
}

func init() {
	inner["line"] = func(t *testing.T) {
		os.Stdout.WriteString("running\n")
		os.Stdin.Read(make([]byte, 10))
	}
	inner["look"] = func(t *testing.T) {
		shmtest.NeedIsolation(t)
		entries, err := os.ReadDir(shmtest.ShmMount)
		if err != nil || len(entries) > 0 {
			t.Errorf("%s has %v, %v", shmtest.ShmMount, entries, err)
		}
		table, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil || strings.Count(string(table), "\n") > 1 {
			t.Errorf("segments: %s, %v", table, err)
		}
		os.Stdout.WriteString("looked\n")
	}
}

func TestIsolationHidesTheHost(t *testing.T) {
	shmtest.NeedCap(t, shmtest.CapSysAdmin)
	shmtest.CheckLeaks(t)
	id := shmget(t, 0, 4096)
	defer shmrm(t, id)
	name := filepath.Join(shmtest.ShmMount, shmtest.Name(t))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	p := testBinary("look", "").Start(t)
	p.Expect("looked")
	p.Wait()
	// And its mount has not spread to here.
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}

func TestCheckLeaks(t *testing.T) {
	shmtest.SetGrace(50 * time.Millisecond)
	defer shmtest.SetGrace(shmtest.Grace)
	var f *os.File
	r := record(t, time.Minute, func(t testing.TB) {
		shmtest.CheckLeaks(t)
		var err error
		if f, err = os.Open("/dev/null"); err != nil {
			t.Fatal(err)
		}
		// A later cleanup comes first, so this is no leak.
		g, err := os.Open("/dev/zero")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close() })
	})
	f.Close()
	r.has(t, "left: descriptor ", "/dev/null")
	if strings.Contains(r.text(), "/dev/zero") {
		t.Errorf("told of what was closed: %s", r.text())
	}
}

// Children that die by themselves after the test are waited for a little.
func TestCheckLeaksSettles(t *testing.T) {
	r := record(t, time.Minute, func(t testing.TB) {
		shmtest.CheckLeaks(t)
		cmd := exec.Command("/bin/sh", "-c", "read line")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(50 * time.Millisecond) // so that the check sees it
			in.Close()
			cmd.Wait()
		}()
	})
	if r.failed {
		t.Error(r.text())
	}
}
