//go:build linux

package shm_test

import (
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

//go:embed testdata/c/deny.c
var denySource string

// sandboxed starts a child in which system calls answer an errno, as they do
// in containers and in kernels without them.
func sandboxed(t *testing.T, deny string, errno syscall.Errno, calls []string, handler string, args ...string) *shmtest.Process {
	t.Helper()
	argv := append([]string{strconv.Itoa(int(errno))}, calls...)
	argv = append(append(argv, "--"), self(t)...)
	return shmtest.Command{
		Path: deny, Args: append(argv, args...), Env: childEnv(handler),
	}.Start(t)
}

// childEnv makes this test binary the child of that name, when another
// program executes it. Under -race it does not sleep before it ends.
func childEnv(handler string) []string {
	return []string{"SHMTEST_CHILD=" + handler, "GORACE=" + strings.TrimSpace("atexit_sleep_ms=0 "+os.Getenv("GORACE"))}
}

// self is what executes this test binary: a program and its first arguments.
func self(t *testing.T) []string {
	exe, err := os.Executable()
	want(t, err)
	return append(strings.Fields(os.Getenv("SHMTEST_EXEC")), exe)
}

func TestSandbox(t *testing.T) {
	deny := shmtest.CompileC(t, denySource)
	refusals := map[syscall.Errno]error{
		syscall.ENOSYS: errors.ErrUnsupported,
		syscall.EPERM:  fs.ErrPermission,
	}
	for errno := range refusals {
		t.Run("shmctl answers "+strconv.Itoa(int(errno)), func(t *testing.T) {
			// Segments work all the same; only what must ask shmctl fails.
			if emulated() {
				t.Skip("needs the kernel's own answer: the emulator asks shmctl for its own ends")
			}
			p := sandboxed(t, deny, errno, []string{"shmctl"}, "no shmctl", strconv.Itoa(int(errno)))
			address := p.Recv()
			if err := shm.Remove(address, nil); err != nil {
				t.Errorf("%s: %v", address, err)
			}
			p.Wait()
		})
		for call, kind := range map[string]string{"memfd_create": "memfd", "shmget": "sysv", "shmat": "private", "fallocate": "posix"} {
			t.Run(call+" answers "+strconv.Itoa(int(errno)), func(t *testing.T) {
				p := sandboxed(t, deny, errno, []string{call}, "no call", newAddress(t, kind), strconv.Itoa(int(errno)))
				p.Expect("refused")
				p.Wait()
			})
		}
	}
	t.Run("linkat answers EPERM", func(t *testing.T) {
		// An object can be created whole without it.
		p := sandboxed(t, deny, syscall.EPERM, []string{"linkat"}, "no linkat", shmtest.Name(t))
		p.Expect("done")
		p.Wait()
	})
}

func init() {
	shmtest.Handle("no shmctl", func(c *shmtest.Child) {
		n, err := strconv.Atoi(c.Args[0])
		c.Check(err)
		errno := syscall.Errno(n)
		s, err := shm.Create("sysv:private", 100, nil)
		c.Check(err)
		r, err := shm.Open(s.Address(), &shm.Options{ReadOnly: true})
		c.Check(err)
		if _, err := s.WriteAt([]byte("here"), 96); err != nil {
			c.Fatal(err)
		}
		if r.Size() != 100 || string(r.Bytes()[96:]) != "here" {
			c.Fatalf("%d bytes, %q", r.Size(), r.Bytes()[96:])
		}
		i, err := r.Info()
		c.Check(err)
		if i.Size != 100 || i.SysV.NAttach != 2 || i.Removed {
			c.Fatalf("%+v", i)
		}
		if why := unwanted(s.Remove(), errno); why != "" {
			c.Fatal(why)
		}
		if why := unwanted(shm.Remove(s.Address(), nil), errno); why != "" {
			c.Fatal(why)
		}
		c.Send(s.Address())
		c.Hold()
		if i, err := r.Info(); err != nil || !i.Removed {
			c.Fatalf("%+v, %v", i, err)
		}
		c.Check(r.Close())
		c.Check(s.Close())
	})
	shmtest.Handle("no call", func(c *shmtest.Child) {
		n, err := strconv.Atoi(c.Args[1])
		c.Check(err)
		for _, f := range []func() (*shm.Segment, error){
			func() (*shm.Segment, error) { return shm.Create(c.Args[0], 4096, nil) },
			func() (*shm.Segment, error) { s, _, err := shm.OpenOrCreate(c.Args[0], 4096, nil); return s, err },
		} {
			_, err := f()
			if why := unwanted(err, syscall.Errno(n)); why != "" {
				c.Fatal(why)
			}
			if e := err.(*shm.Error); e.Hint == "" {
				c.Fatalf("%v: no hint", err)
			}
		}
		for st, err := range posix.List(nil) {
			if err == nil && strings.HasSuffix(c.Args[0], st.Name) {
				c.Fatalf("%s was left behind", st.Name)
			}
		}
		c.Send("refused")
	})
	shmtest.Handle("no linkat", func(c *shmtest.Child) {
		s, err := shm.Create(c.Args[0], 4096, nil)
		c.Check(err)
		if _, err := shm.Create(c.Args[0], 4096, nil); !errors.Is(err, fs.ErrExist) {
			c.Fatal(err)
		}
		if _, err := s.WriteAt([]byte("whole"), 4091); err != nil {
			c.Fatal(err)
		}
		c.Check(s.Remove())
		c.Check(s.Close())
		c.Send("done")
	})
}
