//go:build linux

package shm_test

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
)

// What a memory cgroup has no room for is ErrNoSpace before the kernel kills
// for it.
func TestCgroup(t *testing.T) {
	const limit = 64 << 20
	procs := shmtest.MemoryCgroup(t, limit)
	p := shmtest.Start(t, "cgroup", shmtest.Name(t), strconv.Itoa(limit))
	p.Expect("begin")
	if err := os.WriteFile(procs, []byte(strconv.Itoa(p.PID())), 0); err != nil {
		t.Skipf("needs to move a process into a memory cgroup: %v", err)
	}
	p.Send("go")
	p.Expect("done")
	p.Wait()
}

func init() {
	shmtest.Handle("cgroup", func(c *shmtest.Child) {
		c.Send("begin")
		c.Expect("go")
		limit, err := strconv.ParseInt(c.Args[1], 10, 64)
		c.Check(err)
		for _, address := range []string{"posix:/" + c.Args[0], "sysv:private", "memfd:x"} {
			for _, size := range []int64{limit, limit + 1, 4 * limit} {
				_, err := shm.Create(address, size, nil)
				if why := unwanted(err, shm.ErrNoSpace, syscall.ENOSPC); why != "" {
					c.Fatalf("%s: %s", address, why)
				}
				if e := err.(*shm.Error); !strings.Contains(e.Error(), "the memory cgroup ") || e.Hint == "" {
					c.Fatalf("%s: %v; hint %q", address, err, e.Hint)
				}
			}
			// Sparse is a promise that the caller makes.
			sparse, err := shm.Create(address, 4*limit, &shm.Options{Sparse: true})
			c.Check(err)
			c.Check(errors.Join(sparse.Remove(), sparse.Close()))

			// Half of it fits, and the half again then does not.
			s, err := shm.Create(address, limit/2, nil)
			c.Check(err)
			c.Check(s.Update(func(b []byte) error {
				for i := 0; i < len(b); i += 4096 {
					b[i] = 1
				}
				return nil
			}))
			_, err = shm.Create("memfd:half", limit/2, nil)
			if why := unwanted(err, shm.ErrNoSpace); why != "" {
				c.Fatalf("%s: %s", address, why)
			}
			c.Check(errors.Join(s.Remove(), s.Close()))
		}
		if _, err := os.Stat(shmtest.ShmMount + "/" + c.Args[0]); !errors.Is(err, fs.ErrNotExist) {
			c.Fatalf("left behind: %v", err)
		}
		c.Send("done")
	})
}
