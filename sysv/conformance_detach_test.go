//go:build linux

package sysv_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

// TestConformanceDetach is about the end of attachments, and what counts as
// one.
func TestConformanceDetach(t *testing.T) {
	t.Run("SV-097", func(t *testing.T) {
		id := private(t, int64(3*page), 0o600)
		a := attach(t, id, freeRange(t, 3*page), 0)
		for name, addr := range map[string]uintptr{
			"inside":                        a.Addr() + uintptr(page),
			"unaligned":                     a.Addr() + 1,
			"null":                          0,
			"other memory":                  mapPage(t, 0, sys.MAP_PRIVATE),
			"shared memory of another kind": mapPage(t, 0, sys.MAP_SHARED),
		} {
			t.Run(name, func(t *testing.T) {
				wantErrno(t, sysv.Detach(addr), syscall.EINVAL)
				wantNattch(t, id, 1)
			})
		}
		t.Run("twice", func(t *testing.T) {
			check(t, sysv.Detach(a.Addr()))
			wantNattch(t, id, 0)
			wantErrno(t, sysv.Detach(a.Addr()), syscall.EINVAL)
			wantNattch(t, id, 0)
		})
	})

	t.Run("SV-099", func(t *testing.T) {
		id := private(t, int64(2*page), 0o600)
		a := attach(t, id, freeRange(t, 2*page), 0)
		if s := stat(t, id); !s.DetachTime.IsZero() {
			t.Fatalf("dtime is %v before", s.DetachTime)
		}
		start := time.Now()
		check(t, sys.Munmap(a.Addr(), uintptr(2*page)))
		s := stat(t, id)
		if s.NAttach != 0 || s.LPID != os.Getpid() {
			t.Errorf("nattch %d, lpid %d; want 0, %d", s.NAttach, s.LPID, os.Getpid())
		}
		wantNow(t, "dtime", s.DetachTime, start)
		wantErrno(t, a.Detach(), syscall.EINVAL)
	})

	t.Run("SV-100", func(t *testing.T) {
		id := private(t, int64(3*page), 0o600)
		a := attach(t, id, freeRange(t, 3*page), 0)
		check(t, sys.Munmap(a.Addr()+uintptr(page), uintptr(page)))
		wantNattch(t, id, 2)
		a.Bytes()[0], a.Bytes()[2*page] = 1, 2
		wantStoreFault(t, a, page)
		check(t, sysv.Detach(a.Addr()))
		wantNattch(t, id, 0)
		wantStoreFault(t, a, 0)
		wantStoreFault(t, a, 2*page)
	})

	t.Run("SV-102", func(t *testing.T) {
		id := private(t, int64(3*page), 0o600)
		a := attach(t, id, 0, 0)
		middle := a.Addr() + uintptr(page)
		check(t, sys.Mprotect(middle, uintptr(page), sys.PROT_READ))
		wantNattch(t, id, 3)
		wantStoreFault(t, a, page)
		check(t, sys.Mprotect(middle, uintptr(page), sys.PROT_READ|sys.PROT_WRITE))
		wantNattch(t, id, 3)
		a.Bytes()[page] = 1
		detach(t, a)
		wantNattch(t, id, 0)
	})

	t.Run("SV-104", func(t *testing.T) {
		cat, err := exec.LookPath("cat")
		if err != nil {
			t.Skipf("needs a program to execute: %v", err)
		}
		id := private(t, int64(page), 0o600)
		p := shmtest.Start(t, "executes", itoa(id), cat)
		p.Expect("attached")
		if s := stat(t, id); s.NAttach != 2 || s.LPID != p.PID() {
			t.Errorf("before: nattch %d, lpid %d; want 2, %d", s.NAttach, s.LPID, p.PID())
		}
		p.Send("execute")
		p.Send("are you there?")
		p.Expect("are you there?") // the program that it has become answers
		wantNattch(t, id, 0)
		p.Wait()
	})
}

func init() {
	shmtest.Handle("executes", func(c *shmtest.Child) {
		id, err := parseID(c.Args[0])
		c.Check(err)
		for range 2 {
			_, err = sysv.Attach(id, 0, 0)
			c.Check(err)
		}
		c.Send("attached")
		// Byte by byte: what follows is for the program.
		for b := make([]byte, 1); b[0] != '\n'; {
			_, err := os.Stdin.Read(b)
			c.Check(err)
		}
		c.Check(syscall.Exec(c.Args[1], []string{"cat"}, nil))
	})
}

func parseID(s string) (id sysv.ID, err error) {
	_, err = fmt.Sscan(s, (*int)(&id))
	return id, err
}

// forkC attaches the segment argv[1] and forks. With argv[2] the attachment is
// kept from the child. Both talk on the standard streams, the child first.
const forkC = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *s) { puts(s); fflush(stdout); }
static void hear(void) { char c; do if (read(0, &c, 1) != 1) _exit(9); while (c != '\n'); }

int main(int argc, char **argv)
{
	char *p = shmat(atoi(argv[1]), 0, 0);
	if (p == (char *)-1 || (argc > 2 && madvise(p, 4096, MADV_DONTFORK)))
		return 3;
	strcpy(p, "parent");
	say("attached");
	hear();
	pid_t child = fork();
	if (child == 0) {
		if (argc > 2) {
			say("forked");
			hear();
			_exit(p[0]); /* a fault */
		}
		say(strcmp(p, "parent") ? "other data" : "the parent's data");
		hear();
		strcpy(p + 100, "child");
		if (shmdt(p))
			_exit(4);
		say("detached");
		hear();
		_exit(0);
	}
	int status;
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	else
		printf("status %d, %s\n", WEXITSTATUS(status), p + 100);
	fflush(stdout);
	hear();
	return 0;
}
`

// TestConformanceFork is about fork, seen from Go: a program in C forks.
func TestConformanceFork(t *testing.T) {
	program := shmtest.CompileC(t, forkC)
	t.Run("SV-103", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		c := shmtest.Exec(t, program, itoa(id))
		c.Expect("attached")
		s := stat(t, id)
		if s.NAttach != 1 || s.LPID != c.PID() {
			t.Errorf("after shmat: nattch %d, lpid %d; want 1, %d", s.NAttach, s.LPID, c.PID())
		}
		attached := s.AttachTime
		nextSecond(attached)
		c.Send("fork")
		t.Run("SV-024", func(t *testing.T) { c.Expect("the parent's data") })
		s = stat(t, id)
		if s.NAttach != 2 || s.LPID != c.PID() {
			t.Errorf("after fork: nattch %d, lpid %d; want 2, %d", s.NAttach, s.LPID, c.PID())
		}
		if !s.AttachTime.After(attached) {
			t.Errorf("after fork: atime %v is still that of shmat", s.AttachTime)
		}
		c.Send("detach")
		c.Expect("detached")
		s = stat(t, id)
		if s.NAttach != 1 || s.LPID == c.PID() || s.LPID == 0 {
			t.Errorf("after the child's shmdt: nattch %d, lpid %d; want 1, and the child's", s.NAttach, s.LPID)
		}
		c.Send("exit")
		c.Expect("status 0, child") // the parent still has its view
		c.Send("exit")
		c.Wait()
		wantNattch(t, id, 0)
	})
	t.Run("SV-106", func(t *testing.T) {
		id := private(t, int64(page), 0o600)
		c := shmtest.Exec(t, program, itoa(id), "dontfork")
		c.Expect("attached")
		c.Send("fork")
		c.Expect("forked")
		wantNattch(t, id, 1)
		c.Send("touch")
		c.Expect("signal 11")
		wantNattch(t, id, 1)
		c.Send("exit")
		c.Wait()
	})
}

// TestConformanceMaps is about what /proc/PID/maps says of attachments.
func TestConformanceMaps(t *testing.T) {
	// Shared memory without a file comes from the same place.
	kernelMount := mappingAt(t, mapPage(t, 0, sys.MAP_SHARED)).Dev

	t.Run("SV-107", func(t *testing.T) {
		key := newKey(t)
		id := create(t, key, int64(page)+1, 0o600)
		m := mappingAt(t, attach(t, id, 0, 0).Addr())
		if want := fmt.Sprintf("/SYSV%08x (deleted)", uint32(key)); string(m.Path) != want {
			t.Errorf("name %q, want %q", m.Path, want)
		}
		if m.Inode != uint64(id) {
			t.Errorf("inode %d, want the identifier %d", m.Inode, id)
		}
		if m.Dev != kernelMount || m.Dev.Major != 0 {
			t.Errorf("device %v, want %v", m.Dev, kernelMount)
		}
		if m.Size() != uint64(2*page) || m.Perms.String() != "rw-s" {
			t.Errorf("%d bytes %v, want %d bytes rw-s", m.Size(), m.Perms, 2*page)
		}
	})

	t.Run("SV-108", func(t *testing.T) {
		key := newKey(t)
		id := create(t, key, 1, 0o600)
		a := attach(t, id, 0, 0)
		check(t, sysv.Remove(id))
		if s := stat(t, id); s.Key != 0 {
			t.Errorf("IPC_STAT says key %v after IPC_RMID", s.Key)
		}
		if m, want := mappingAt(t, a.Addr()), fmt.Sprintf("/SYSV%08x (deleted)", uint32(key)); string(m.Path) != want {
			t.Errorf("name %q, want %q", m.Path, want)
		}
		a = attach(t, private(t, 1, 0o600), 0, 0)
		if m, want := mappingAt(t, a.Addr()), "/SYSV00000000 (deleted)"; string(m.Path) != want {
			t.Errorf("name %q, want %q", m.Path, want)
		}
	})
}
