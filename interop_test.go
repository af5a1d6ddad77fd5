//go:build linux

package shm_test

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

//go:embed testdata/c
var sources embed.FS

// compile gives the program of a file below testdata/c.
func compile(t *testing.T, name string) string {
	t.Helper()
	source, err := sources.ReadFile("testdata/c/" + name + ".c")
	want(t, err)
	return shmtest.CompileC(t, string(source), "-lrt")
}

// cString is what C's %s prints of memory.
func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// The address that the C programs of System V use, in a directory of the
// test's own.
const shmfile = "sysv:ftok=./shmfile,65"

func inShmfileDir(t *testing.T) {
	t.Chdir(t.TempDir())
	want(t, os.WriteFile("shmfile", nil, 0o600))
}

func TestInteropSysVWriterInC(t *testing.T) {
	writer := compile(t, "sysv_writer")
	inShmfileDir(t)
	p := shmtest.Exec(t, writer)
	p.Send("from C")
	line := p.Recv()
	s := open(t, shmfile, nil)
	tidy(t, s)
	// The line keeps its newline, as fgets has it.
	if got := cString(s.Bytes()); got != "from C\n" {
		t.Errorf("%q", got)
	}
	i, err := s.Info()
	want(t, err)
	if want := fmt.Sprintf("written key %d id %d", i.SysV.Key, i.SysV.ID); line != want {
		t.Errorf("%q, want %q", line, want)
	}
	if i.Size != 1024 || s.Size() != 1024 || i.Mode != 0o666 || i.SysV.NAttach != 2 || i.SysV.CPID != p.PID() {
		t.Errorf("%+v, %+v", i, i.SysV)
	}
	// Removed under the writer, who goes on.
	want(t, s.Remove())
	if i, err := s.Info(); err != nil || !i.Removed || i.SysV.NAttach != 2 {
		t.Errorf("%+v, %v", i, err)
	}
	_, err = shm.Open(shmfile, nil)
	want(t, err, fs.ErrNotExist)
	p.Wait()
	if i, err := s.Info(); err != nil || i.SysV.NAttach != 1 || i.SysV.LPID != p.PID() {
		t.Errorf("%+v, %v", i.SysV, err)
	}
}

func TestInteropSysVReaderInC(t *testing.T) {
	reader := compile(t, "sysv_reader")
	inShmfileDir(t)
	s, created, err := shm.OpenOrCreate(shmfile, 1024, &shm.Options{Mode: 0o666})
	want(t, err)
	tidy(t, s)
	if !created {
		t.Error("not created")
	}
	_, err = s.WriteAt([]byte("from Go\x00"), 0)
	want(t, err)
	p := shmtest.Exec(t, reader)
	p.Expect("from Go")
	p.Wait()
	// It has removed the segment, which we still have.
	if i, err := s.Info(); err != nil || !i.Removed || i.SysV.NAttach != 1 {
		t.Errorf("%+v, %v", i, err)
	}
	if got := cString(s.Bytes()); got != "from Go" {
		t.Errorf("%q", got)
	}
	_, err = shm.Open(shmfile, nil)
	want(t, err, fs.ErrNotExist)
}

// Programs that do not check ftok run on key -1 without the file. That is an
// ordinary key here, too.
func TestInteropSysVWithoutFile(t *testing.T) {
	shmtest.NeedIsolation(t) // it is everybody's
	writer, reader := compile(t, "sysv_writer"), compile(t, "sysv_reader")
	t.Chdir(t.TempDir())
	p := shmtest.Exec(t, writer)
	p.Send("keyless")
	if line := p.Recv(); !strings.HasPrefix(line, "written key -1 ") {
		t.Error(line)
	}
	p.Wait()
	s := open(t, "sysv:0xffffffff", nil)
	if got := cString(s.Bytes()); got != "keyless\n" {
		t.Errorf("%q", got)
	}
	copy(s.Bytes(), "the same\x00")
	p = shmtest.Exec(t, reader)
	p.Expect("the same")
	p.Wait()
	_, err := shm.Open("sysv:0xffffffff", nil)
	want(t, err, fs.ErrNotExist)
}

func TestInteropPOSIXWriterInC(t *testing.T) {
	writer := compile(t, "posix_writer")
	name := shmtest.Name(t)
	p := shmtest.Exec(t, writer, name, "from C")
	p.Expect("written")
	p.Wait()
	s := open(t, name, nil)
	tidy(t, s)
	if got := cString(s.Bytes()); got != "from C" || s.Size() != 100 {
		t.Errorf("%q, %d bytes", got, s.Size())
	}
	if i, err := s.Info(); err != nil || i.Size != 100 || i.Mode != 0o666&^umask() {
		t.Errorf("%+v, %v", i, err)
	}
	// Not reserved, as it is C's: a page was touched.
	if i, err := s.Info(); err != nil || i.Used != int64(os.Getpagesize()) {
		t.Errorf("%+v, %v", i, err)
	}
}

func umask() fs.FileMode {
	old := syscall.Umask(0)
	syscall.Umask(old)
	return fs.FileMode(old)
}

func TestInteropPOSIXReaderInC(t *testing.T) {
	reader := compile(t, "posix_reader")
	name := shmtest.Name(t)
	s := create(t, name, 100, &shm.Options{Mode: 0o666})
	_, err := s.WriteAt([]byte("from Go\x00"), 0)
	want(t, err)
	for range 2 {
		p := shmtest.Exec(t, reader, name)
		p.Expect("from Go")
		p.Wait()
	}
	// What it wrote into its private mapping nobody sees, and the size that
	// it sets is the one that it was.
	if got := cString(s.Bytes()); got != "from Go" {
		t.Errorf("%q", got)
	}
	if i, err := s.Info(); err != nil || i.Size != 100 {
		t.Errorf("%+v, %v", i, err)
	}
	// A longer object is cut by such a reader. That does not kill us.
	name = shmtest.Name(t)
	s = create(t, name, 100_000, nil)
	p := shmtest.Exec(t, reader, name)
	p.Expect("")
	p.Wait()
	if !emulated() { // see needFault
		_, err = s.ReadAt(make([]byte, 1), 99_999)
		want(t, err, shm.ErrTruncated)
	}
}

// A creator in C that has made the name and not given it a size yet.
func TestInteropNotReady(t *testing.T) {
	writer := compile(t, "posix_writer")
	name := shmtest.Name(t)
	p := shmtest.Exec(t, writer, name, "late", "wait")
	p.Expect("created")
	_, err := shm.Open(name, nil)
	want(t, err, shm.ErrNotReady)
	done := make(chan error, 1)
	go func() {
		s, created, err := shm.OpenOrCreate(name, 100, nil)
		if err == nil {
			if created || s.Size() != 100 {
				err = fmt.Errorf("created %v, %d bytes", created, s.Size())
			}
			s.Close()
		}
		done <- err
	}()
	p.Send("")
	p.Expect("written")
	want(t, <-done)
	p.Wait()
	s := open(t, name, nil)
	tidy(t, s)
	if got := cString(s.Bytes()); got != "late" {
		t.Errorf("%q", got)
	}
}

// What our creators leave behind is, to C, what its own leave behind.
func TestInteropCreators(t *testing.T) {
	stat := compile(t, "stat")
	run := func(args ...string) []string {
		t.Helper()
		p := shmtest.Exec(t, stat, args...)
		var fields []string
		if !strings.HasPrefix(args[0], "create-name") {
			fields = strings.Fields(p.Recv())
		}
		p.Wait()
		return fields
	}
	for _, tt := range []struct{ size, mode string }{{"1024", "666"}, {"1", "600"}, {"4096", "640"}, {"100000", "644"}} {
		size, err := strconv.ParseInt(tt.size, 10, 64)
		want(t, err)
		mode, err := strconv.ParseUint(tt.mode, 8, 32)
		want(t, err)
		opts := &shm.Options{Mode: fs.FileMode(mode)}

		t.Run("sysv "+tt.size+" "+tt.mode, func(t *testing.T) {
			key := sysv.Key(shmtest.Key(t))
			id := run("create-key", fmt.Sprint(int32(key)), tt.size, tt.mode)[0]
			theirs := run("id", id)
			want(t, shm.Remove(key.String(), nil))
			s := create(t, key.String(), size, opts)
			i, err := s.Info()
			want(t, err)
			second := open(t, s.Address(), &shm.Options{ReadOnly: true})
			number := fmt.Sprint(int(i.SysV.ID))
			if n := run("id", number)[6]; n != "2" {
				t.Errorf("%s attachments, two Segments are open", n)
			}
			want(t, second.Close())
			want(t, s.Close())
			ours := run("id", number)
			// Size, mode, owner, group, key; then attachments. The creator is
			// another, and C has not attached it.
			if fmt.Sprint(ours[:5], ours[6]) != fmt.Sprint(theirs[:5], theirs[6]) || ours[5] != fmt.Sprint(os.Getpid()) {
				t.Errorf("ours   %v\ntheirs %v", ours, theirs)
			}
			// Removed while it is open: marked, and without a key.
			s, err = shm.Open(key.String(), &shm.Options{ReadOnly: true})
			want(t, err)
			want(t, s.Remove())
			gone := run("id", number)
			if m, _ := strconv.ParseUint(gone[1], 8, 32); m != mode|sysv.SHM_DEST || gone[4] != "0" || gone[6] != "1" {
				t.Errorf("removed: %v", gone)
			}
			want(t, s.Close())
		})

		t.Run("posix "+tt.size+" "+tt.mode, func(t *testing.T) {
			name := shmtest.Name(t)
			run("create-name", name, tt.size, tt.mode)
			theirs := run("name", name)
			want(t, shm.Remove(name, nil))
			s := create(t, name, size, opts)
			ours := run("name", name)
			// Size, mode, owner, group, names. Ours is reserved as well.
			if fmt.Sprint(ours[:5]) != fmt.Sprint(theirs[:5]) {
				t.Errorf("ours   %v\ntheirs %v", ours, theirs)
			}
			pages := (size + 4095) / 4096
			if theirs[5] != "0" || ours[5] != fmt.Sprint(pages*8) {
				t.Errorf("blocks: ours %s, theirs %s", ours[5], theirs[5])
			}
			want(t, s.Remove())
			opts := *opts
			opts.Sparse = true
			create(t, name, size, &opts)
			if sparse := run("name", name); fmt.Sprint(sparse) != fmt.Sprint(theirs) {
				t.Errorf("sparse %v\ntheirs %v", sparse, theirs)
			}
		})
	}
}

// A C program that forks and executes a Go program, which finds the memory
// by identifier or by an inherited descriptor.
func TestInteropParentInC(t *testing.T) {
	parent := compile(t, "parent")
	for _, kind := range []string{"private", "posix", "memfd"} {
		t.Run(kind, func(t *testing.T) {
			p := shmtest.Command{
				Path: parent, Args: append([]string{kind}, self(t)...), Env: childEnv("child of C"),
			}.Start(t)
			p.Expect("talked, count 2000")
			if kind == "private" {
				p.Expect("nattch 1")
			}
			p.Wait()
		})
	}
}

func init() {
	shmtest.Handle("child of C", func(c *shmtest.Child) {
		number, err := strconv.Atoi(os.Getenv("PARENT_NUMBER"))
		c.Check(err)
		var s *shm.Segment
		switch kind := os.Getenv("PARENT_KIND"); kind {
		case "private":
			s, err = shm.Open(sysv.ID(number).String(), nil)
		case "posix":
			if _, err := memfd.Adopt(number); !errors.Is(err, shm.ErrType) {
				c.Fatalf("an object was taken for a memfd: %v", err)
			}
			var obj *posix.Object
			obj, err = posix.Adopt(number)
			c.Check(err)
			s, err = shm.FromPOSIX(obj, nil)
		case "memfd":
			if _, err := posix.Adopt(number); !errors.Is(err, shm.ErrType) {
				c.Fatalf("a memfd was taken for an object: %v", err)
			}
			var m *memfd.File
			m, err = memfd.Adopt(number)
			c.Check(err)
			s, err = shm.FromMemfd(m, nil)
		}
		c.Check(err)
		if s.Size() != 4096 {
			c.Fatalf("%d bytes", s.Size())
		}
		if i, err := s.Info(); err != nil || i.Removed != (i.Kind != shm.SysV) {
			c.Fatalf("%+v, %v", i, err)
		}
		turn, err := shm.Atomic[atomic.Uint32](s, 0)
		c.Check(err)
		count, err := shm.Atomic[atomic.Uint64](s, 8)
		c.Check(err)
		for round := range uint32(1000) {
			for turn.Load() != 2*round+1 {
				runtime.Gosched()
			}
			var b [5]byte
			if _, err := s.ReadAt(b[:], 16); err != nil || cString(b[:]) != "ping" {
				c.Fatalf("round %d: %q, %v", round, b, err)
			}
			if _, err := s.WriteAt([]byte("pong\x00"), 16); err != nil {
				c.Fatal(err)
			}
			count.Add(1)
			turn.Store(2*round + 2)
		}
		if s.Address()[:5] == "posix" {
			err = s.Remove()
			if why := unwanted(err, shm.ErrRemoved); why != "" {
				c.Fatal(why)
			}
		}
		c.Check(s.Close())
	})
}

// C11 atomics and ours on one word.
func TestInteropAtomic(t *testing.T) {
	const n = 200_000
	increment := compile(t, "increment")
	s := create(t, newAddress(t, "posix"), 4096, nil)
	word, err := shm.Atomic[atomic.Uint64](s, 1000)
	want(t, err)
	p := shmtest.Exec(t, increment, strings.TrimPrefix(s.Address(), "posix:"), "1000", strconv.Itoa(n))
	p.Expect("ready")
	p.Send("")
	for range n {
		word.Add(1)
	}
	p.Wait()
	if got := word.Load(); got != 2*n {
		t.Errorf("%d, want %d", got, 2*n)
	}
}
