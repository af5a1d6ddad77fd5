package posix_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// lacking names what a filter takes from the kernel in this process: nothing,
// or what TestWithout passed.
var lacking = os.Getenv("POSIX_TEST_WITHOUT")

// unnamed tells whether CreateSized works without a temporary name here.
func unnamed() bool { return lacking == "" }

func init() {
	// racer BARRIER DIR NAME ROUNDS SIZE creates NAME.0, NAME.1 ... at the
	// same moments as another one, and says which it won.
	shmtest.Handle("racer", func(c *shmtest.Child) {
		rounds, size := number(c, c.Args[3]), number(c, c.Args[4])
		opts := &posix.Options{Dir: c.Args[1]}
		gate := newBarrier(c, c.Args[0])
		won := make([]byte, rounds)
		for i := range rounds {
			gate.meet(2, i)
			o, err := posix.CreateSized(fmt.Sprintf("%s.%d", c.Args[2], i), int64(size), 0o600, opts)
			switch {
			case err == nil:
				won[i] = 'x'
				c.Check(o.Close())
			case errors.Is(err, syscall.EEXIST):
				won[i] = '-'
			default:
				c.Fatal(err)
			}
		}
		c.Send("%s", won)
	})
	// watcher DIR NAME ROUNDS SIZE opens each of them as soon as it exists.
	shmtest.Handle("watcher", func(c *shmtest.Child) {
		rounds, size := number(c, c.Args[2]), int64(number(c, c.Args[3]))
		opts := &posix.Options{Dir: c.Args[0]}
		c.Send("watching")
		for i := range rounds {
			for {
				o, err := posix.Open(fmt.Sprintf("%s.%d", c.Args[1], i), posix.O_RDWR, 0, opts)
				if errors.Is(err, syscall.ENOENT) {
					continue
				}
				c.Check(err)
				st := stat(c, o)
				if st.Size != size || st.Used < size || st.Mode != 0o600 {
					c.Fatalf("round %d: seen half-made: %+v", i, st)
				}
				b := make([]byte, 1)
				_, err = o.ReadAt(b, size-1)
				c.Check(err)
				c.Check(o.Close())
				break
			}
		}
		c.Send("all were whole")
	})
	shmtest.Handle("create for ever", func(c *shmtest.Child) {
		opts := &posix.Options{Dir: c.Args[0]}
		c.Send("going")
		for i := 0; ; i++ {
			if i >= 4 {
				c.Check(posix.Unlink(fmt.Sprint("x", i-4), opts))
			}
			o, err := posix.CreateSized(fmt.Sprint("x", i), killSize, 0o600, opts)
			c.Check(err)
			c.Check(o.Close())
		}
	})
	shmtest.Handle("full mount", func(c *shmtest.Child) {
		free := func() (bytes, files uint64) {
			st, err := sys.StatfsPath(posix.DefaultDir)
			c.Check(err)
			return st.Free, st.FilesFree
		}
		bytes, files := free()
		for _, size := range []int64{64 << 20, 2 << 20, 1<<20 + 1} {
			_, err := posix.CreateSized("/big", size, 0o600, nil)
			wantErrno(c, err, syscall.ENOSPC)
			if !errors.Is(err, sys.ErrNoSpace) {
				c.Fatalf("%v is not ErrNoSpace", err)
			}
			wantHint(c, err, "/dev/shm is full")
			equal(c, "names left", strings.Join(dirNames(c, posix.DefaultDir), " "), "")
			b, f := free()
			equal(c, "room", b, bytes)
			equal(c, "inodes", f, files)
		}
		// What fits, fits: also all that is left, after the failures.
		half, err := posix.CreateSized("/half", 512<<10, 0o600, nil)
		c.Check(err)
		_, err = posix.CreateSized("/rest", 768<<10, 0o600, nil)
		wantErrno(c, err, syscall.ENOSPC)
		absent(c, "/rest")
		equal(c, "size of what was there", stat(c, half).Size, 512<<10)
		c.Check(half.Close())
		// A size without memory is there for who asks for it.
		o, err := posix.CreateSized("/sparse", 64<<20, 0o600, &posix.Options{Sparse: true})
		c.Check(err)
		equal(c, "used by sparse", stat(c, o).Used, 0)
		c.Check(o.Close())
		c.Check(posix.Unlink("/sparse", nil))
		c.Check(posix.Unlink("/half", nil))

		// No room for another file.
		c.Check(syscall.Mount("", posix.DefaultDir, "", syscall.MS_REMOUNT, "nr_inodes=3"))
		var last error
		for i := range 4 {
			o, err := posix.CreateSized(fmt.Sprintf("/file%d", i), 1, 0o600, nil)
			if err != nil {
				last = err
				break
			}
			c.Check(o.Close())
		}
		wantErrno(c, last, syscall.ENOSPC)
		wantHint(c, last, "full")
		c.Send("full")
	})
	shmtest.Handle("no right to create", func(c *shmtest.Child) {
		opts := &posix.Options{Dir: c.Args[0]}
		_, err := posix.CreateSized("x", 1, 0o600, opts)
		wantErrno(c, err, syscall.EACCES)
		wantHint(c, err, "may not create")
		_, err = posix.Open("x", fresh, 0o600, opts)
		wantErrno(c, err, syscall.EACCES)
		wantHint(c, err, "may not create")
		c.Send("refused")
	})
}

const killSize = 4 << 20

func number(t tester, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// barrier is a counter in shared memory at which processes meet.
type barrier struct{ count *atomic.Uint64 }

func newBarrier(c *shmtest.Child, name string) barrier {
	o, err := posix.Open(name, posix.O_RDWR, 0, nil)
	c.Check(err)
	m, err := mappingOf(o, 8)
	c.Check(err)
	c.Check(o.Close())
	count, err := mem.Atomic[atomic.Uint64](mem.Of(m.Bytes()), 0)
	c.Check(err)
	return barrier{count}
}

// meet returns when n processes have called it for the round.
func (b barrier) meet(n, round int) {
	b.count.Add(1)
	for b.count.Load() < uint64(n*(round+1)) {
		runtime.Gosched()
	}
}

func TestCreateSized(t *testing.T) {
	for _, size := range []int64{0, 1, int64(page) - 1, int64(page), 3*int64(page) + 7, 20 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			name := newName(t)
			o, err := posix.CreateSized(name, size, 0o640, nil)
			check(t, err)
			defer o.Close()
			equal(t, "name", o.Name(), name)
			equal(t, "path", o.Path(), file(name))
			st := stat(t, o)
			equal(t, "size", st.Size, size)
			equal(t, "used", st.Used, (size+int64(page)-1)/int64(page)*int64(page))
			equal(t, "mode", st.Mode, 0o640)
			equal(t, "links", st.Links, 1)
			equal(t, "inode by name", named(t, name).Inode, st.Inode)
			flags, err := unix.FcntlInt(uintptr(o.FD()), unix.F_GETFD, 0)
			check(t, err)
			equal(t, "close-on-exec", flags&unix.FD_CLOEXEC, unix.FD_CLOEXEC)
			if size == 0 {
				return
			}
			m, err := mappingOf(o, int(size))
			check(t, err)
			defer m.Unmap()
			for _, i := range []int{0, int(size) / 2, int(size) - 1} {
				equal(t, "byte", wantNoFault(t, m.Bytes(), i), 0)
			}
			m.Bytes()[size-1] = 1
		})
	}
	t.Run("sparse", func(t *testing.T) {
		const size = 1 << 40
		o, err := posix.CreateSized(newName(t), size, 0o600, &posix.Options{Sparse: true})
		check(t, err)
		defer o.Close()
		equal(t, "size", stat(t, o).Size, size)
		equal(t, "used", stat(t, o).Used, 0)
	})
	t.Run("umask", func(t *testing.T) {
		for mask, want := range map[int]os.FileMode{0: 0o666, 0o022: 0o644, 0o077: 0o600, 0o777: 0} {
			old := syscall.Umask(mask)
			o, err := posix.CreateSized(newName(t), 1, 0o666, nil)
			plain, errPlain := posix.Open(newName(t), fresh, 0o666, nil)
			syscall.Umask(old)
			check(t, errors.Join(err, errPlain))
			equal(t, fmt.Sprintf("mode under %#o", mask), stat(t, o).Mode, want)
			equal(t, fmt.Sprintf("shm_open's mode under %#o", mask), stat(t, plain).Mode, want)
			check(t, errors.Join(o.Close(), plain.Close()))
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		// Signals that come all the time do not keep it from its end, nor
		// make it fail.
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGALRM)
		defer signal.Stop(got)
		every := unix.Itimerval{Interval: unix.Timeval{Usec: 200}, Value: unix.Timeval{Usec: 200}}
		_, err := unix.Setitimer(unix.ITIMER_REAL, every)
		check(t, err)
		o, err := posix.CreateSized(newName(t), 64<<20, 0o600, nil)
		_, stop := unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{})
		check(t, errors.Join(err, stop))
		defer o.Close()
		equal(t, "used", stat(t, o).Used, 64<<20)
		<-got
	})
}

// TestCreateSizedRefused: each cause has its errno, and nothing is left.
func TestCreateSizedRefused(t *testing.T) {
	t.Run("taken", func(t *testing.T) {
		o := newObject(t, 10)
		_, err := posix.CreateSized(o.Name(), 1<<50, 0o600, nil)
		wantErrno(t, err, syscall.EEXIST)
		wantHint(t, err, "remove the object first")
		equal(t, "size", stat(t, o).Size, 10)
		equal(t, "text", err.Error(), "shm: create posix:"+o.Name()+": file exists")
	})
	t.Run("size", func(t *testing.T) {
		name := newName(t)
		_, err := posix.CreateSized(name, -1, 0o600, nil)
		wantErrno(t, err, syscall.EINVAL)
		equal(t, "text", err.Error(), "shm: create posix:"+name+": -1 is no size: invalid argument")
		// What cannot fit is refused before any memory is taken: the mount
		// is everybody's.
		st, err := sys.StatfsPath(posix.DefaultDir)
		check(t, err)
		for _, size := range []int64{1<<63 - 1, 1 << 62, int64(st.Free)*st.BlockSize + 1<<30} {
			_, err = posix.CreateSized(name, size, 0o600, nil)
			wantErrno(t, err, syscall.ENOSPC)
			absent(t, name)
			if !strings.Contains(err.Error(), "are free") {
				t.Errorf("%v does not say how much is free", err)
			}
		}
	})
	t.Run("missing directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "gone")
		_, err := posix.CreateSized("/x", 1, 0o600, &posix.Options{Dir: dir})
		wantErrno(t, err, syscall.ENOENT)
		wantHint(t, err, "mount a tmpfs there")
		equal(t, "text", err.Error(), "shm: create posix:/x: there is no "+dir+": no such file or directory")
	})
	t.Run("no directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		check(t, os.WriteFile(dir, nil, 0o600))
		_, err := posix.CreateSized("/x", 1, 0o600, &posix.Options{Dir: dir})
		wantErrno(t, err, syscall.ENOTDIR)
	})
	t.Run("no permission", func(t *testing.T) {
		dir := shmtest.Dir(t)
		check(t, os.Chmod(dir, 0o755))
		p := shmtest.Command{Handler: "no right to create", Args: []string{dir}, User: shmtest.Other(t)}.Start(t)
		p.Expect("refused")
		p.Wait()
		equal(t, "files", len(dirNames(t, dir)), 0)
	})
	t.Run("full", func(t *testing.T) {
		p := shmtest.Command{Handler: "full mount", ShmSize: 1 << 20}.Start(t)
		p.Expect("full")
		p.Wait()
	})
	for handler, answer := range map[string]string{"no mount": "nothing there", "read-only mount": "refused"} {
		t.Run(handler, func(t *testing.T) {
			p := shmtest.Command{Handler: handler, OwnShm: true}.Start(t)
			p.Expect(answer)
			p.Wait()
		})
	}
	t.Run("file size limit", func(t *testing.T) {
		p := shmtest.Command{
			Handler: "file size limit", Args: []string{newName(t), "plain"},
			Rlimits: []shmtest.Rlimit{{Resource: syscall.RLIMIT_FSIZE, Cur: 8192, Max: 8192}},
		}.Start(t)
		p.Recv()
		p.Wait()
	})
}

// TestCreateSizedRace: of two processes that create the same name at the same
// moment exactly one wins, and a third that opens it at the first possible
// moment sees it whole.
func TestCreateSizedRace(t *testing.T) {
	rounds, size := 200, 256<<10
	if testing.Short() {
		rounds = 50
	}
	gate, dir, name := newObject(t, 8), shmtest.Dir(t), "x"
	watcher := shmtest.Start(t, "watcher", dir, name, fmt.Sprint(rounds), fmt.Sprint(size))
	watcher.Expect("watching")
	var racers [2]*shmtest.Process
	for i := range racers {
		racers[i] = shmtest.Start(t, "racer", gate.Name(), dir, name, fmt.Sprint(rounds), fmt.Sprint(size))
	}
	one, two := racers[0].Recv(), racers[1].Recv()
	wins := 0
	for i := range rounds {
		if one[i] == two[i] {
			t.Errorf("round %d: both %q", i, one[i])
		}
		if one[i] == 'x' {
			wins++
		}
	}
	t.Logf("of %d rounds the one won %d, the other %d", rounds, wins, rounds-wins)
	watcher.Expect("all were whole")
	watcher.Wait()
	for _, p := range racers {
		p.Wait()
	}
	equal(t, "files", len(dirNames(t, dir)), rounds)
}

// TestCreateSizedRaceGoroutines is the same within one process.
func TestCreateSizedRaceGoroutines(t *testing.T) {
	opts := &posix.Options{Dir: shmtest.Dir(t)}
	for round := range 50 {
		name := fmt.Sprint("x", round)
		var begin, end sync.WaitGroup
		begin.Add(1)
		errs := make([]error, 8)
		for i := range errs {
			end.Go(func() {
				begin.Wait()
				o, err := posix.CreateSized(name, 100, 0o600, opts)
				if err == nil {
					err = o.Close()
				}
				errs[i] = err
			})
		}
		begin.Done()
		end.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			wantErrno(t, err, syscall.EEXIST)
		}
		equal(t, "winners", won, 1)
	}
}

// TestCreateSizedKilled: whenever the creator is killed, there are whole
// objects, and nothing else.
func TestCreateSizedKilled(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	dir := shmtest.Dir(t)
	opts := &posix.Options{Dir: dir}
	whole, temporary := 0, 0
	for range rounds {
		p := shmtest.Start(t, "create for ever", dir)
		p.Expect("going")
		// Any moment will do: this is no waiting for something to happen.
		time.Sleep(time.Duration(rand.Int64N(int64(8 * time.Millisecond))))
		p.Kill()
		left := dirNames(t, dir)
		for _, name := range left {
			st, err := posix.Stat(name, opts)
			check(t, err)
			switch {
			case name[0] == 'x':
				equal(t, "size", st.Size, killSize)
				equal(t, "used", st.Used, killSize)
				whole++
			case !unnamed() && strings.HasPrefix(name, ".new-"):
				temporary++
			default:
				t.Errorf("left behind: %s, %+v", name, st)
			}
			check(t, posix.Unlink(name, opts))
		}
		if len(left) > 4+1 {
			t.Errorf("left behind: %q", left)
		}
	}
	t.Logf("%d killed: %d whole objects, %d temporary files", rounds, whole, temporary)
}

func TestCreateTemp(t *testing.T) {
	opts := &posix.Options{Dir: shmtest.Dir(t)}
	for pattern, want := range map[string][2]string{
		"psm_":     {"/psm_", ""},
		"/a*.b":    {"/a", ".b"},
		"///*":     {"/", ""},
		"":         {"/", ""},
		"a*b*c":    {"/a*b", "c"},
		"ü*\x01\n": {"/ü", "\x01\n"},
	} {
		o, err := posix.CreateTemp(pattern, 5, 0o600, opts)
		check(t, err)
		name := o.Name()
		if !strings.HasPrefix(name, want[0]) || !strings.HasSuffix(name, want[1]) || len(name) != len(want[0])+26+len(want[1]) {
			t.Errorf("%q made of %q", name, pattern)
		}
		st, err := posix.Stat(name, opts)
		check(t, err)
		equal(t, "size", st.Size, 5)
		check(t, o.Close())
	}
	for pattern, want := range map[string]syscall.Errno{
		"a/b*":                   syscall.EINVAL,
		"a*/":                    syscall.EINVAL,
		strings.Repeat("x", 230): syscall.ENAMETOOLONG,
	} {
		_, err := posix.CreateTemp(pattern, 5, 0o600, opts)
		wantErrno(t, err, want)
	}
}

// TestWithout runs the above on kernels that can do less: a filter
// answers their calls as file systems without unnamed files, without renaming
// that does not replace, and systems without /proc do.
func TestWithout(t *testing.T) {
	if lacking != "" {
		t.Fatal("called by itself")
	}
	for _, list := range []string{"unnamed", "unnamed,noreplace", "link"} {
		t.Run(list, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			exe, err := os.Executable()
			check(t, err)
			tests := []string{"TestCreateLacks", "TestCreateSized", "TestCreateSizedKilled"}
			if list == "unnamed" {
				tests = append(tests, "TestCreateSizedRace", "TestCreateTemp")
				if !emulated() { // a second for each of its children
					tests = append(tests, "TestCreateSizedRefused")
				}
			}
			// An emulator's system calls are filtered as any program's.
			args := append([]string{"without", list}, strings.Fields(os.Getenv("SHMTEST_EXEC"))...)
			args = append(args, exe, "-test.run=^("+strings.Join(tests, "|")+")$", "-test.v", "-test.short")
			cmd := exec.CommandContext(ctx, peer(t), args...)
			cmd.Env = append(os.Environ(), "POSIX_TEST_WITHOUT="+list)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, test := range tests {
				if !strings.Contains(string(out), "--- PASS: "+test+" ") {
					t.Errorf("%s did not pass:\n%s", test, out)
				}
			}
		})
	}
}

// TestCreateLacks: the filter does take away what the test above thinks.
func TestCreateLacks(t *testing.T) {
	dir := shmtest.Dir(t)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	if err == nil {
		unix.Close(fd)
	}
	want := error(nil)
	if strings.Contains(lacking, "unnamed") {
		want = syscall.EOPNOTSUPP
	}
	equal(t, "O_TMPFILE", err, want)

	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	check(t, os.WriteFile(a, nil, 0o600))
	want = nil
	if strings.Contains(lacking, "noreplace") {
		want = syscall.EINVAL
	}
	err = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_NOREPLACE)
	equal(t, "RENAME_NOREPLACE", err, want)
	check(t, os.WriteFile(a, nil, 0o600))
	want = nil
	if strings.Contains(lacking, "link") {
		want = syscall.EPERM
	}
	err = unix.Linkat(unix.AT_FDCWD, a, unix.AT_FDCWD, filepath.Join(dir, "c"), 0)
	equal(t, "linkat", err, want)
}
