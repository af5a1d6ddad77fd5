package shmnet

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	// Dials where memfd_create is forbidden, first strictly and then not.
	shmtest.Handle("no memfd", func(c *shmtest.Child) {
		n, err := strconv.Atoi(c.Args[1])
		c.Check(err)
		if _, err := Dial(background, c.Args[0], nil); !errors.Is(err, syscall.Errno(n)) {
			c.Fatalf("got %v", err)
		}
		conn, err := Dial(background, c.Args[0], &Options{Plain: true})
		c.Check(err)
		if !conn.Stats().Plain {
			c.Fatal("memory all the same")
		}
		_, err = conn.Write([]byte("hello"))
		c.Check(err)
		c.Check(conn.Close())
	})
}

// TestSandbox is a client whose sandbox refuses memfd_create: it says so, or
// falls back to the plain socket.
func TestSandbox(t *testing.T) {
	if shmtest.Emulated() {
		t.Skip("needs the kernel's own answer: the emulator has no seccomp filters")
	}
	source, err := os.ReadFile("../testdata/c/deny.c")
	must(t, err)
	deny := shmtest.CompileC(t, string(source))
	self, err := os.Executable()
	must(t, err)
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.ENOSYS} {
		t.Run(errno.Error(), func(t *testing.T) {
			l := listen(t, &Options{Plain: true})
			p := shmtest.Command{
				Path: deny,
				Args: []string{strconv.Itoa(int(errno)), "memfd_create", "--", self, l.Addr().String(), strconv.Itoa(int(errno))},
				Env:  []string{"SHMTEST_CHILD=no memfd"},
			}.Start(t)
			conn, err := l.AcceptConn()
			must(t, err)
			defer conn.Close()
			b := make([]byte, 10)
			if n, err := conn.Read(b); err != nil || string(b[:n]) != "hello" {
				t.Errorf("read %q, %v", b[:n], err)
			}
			p.Wait()
		})
	}
}
