//go:build linux

package shm_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
)

// Without /dev/shm every call says so.
func TestNoMount(t *testing.T) {
	shmtest.NeedCap(t, shmtest.CapSysAdmin)
	p := shmtest.Command{Handler: "no mount", OwnShm: true}.Start(t)
	p.Expect("done")
	p.Wait()
}

func init() {
	shmtest.Handle("no mount", func(c *shmtest.Child) {
		// This mount namespace is the child's own.
		c.Check(syscall.Mount("none", "/dev", "tmpfs", 0, "size=64k"))
		for name, f := range map[string]func() error{
			"create": func() error { _, err := shm.Create("x", 10, nil); return err },
			"sparse": func() error { _, err := shm.Create("x", 10, &shm.Options{Sparse: true}); return err },
			"open":   func() error { _, err := shm.Open("x", nil); return err },
			"both":   func() error { _, _, err := shm.OpenOrCreate("x", 10, nil); return err },
			"stat":   func() error { _, err := shm.Stat("x", nil); return err },
			"remove": func() error { return shm.Remove("x", nil) },
		} {
			err := f()
			if why := unwanted(err, os.ErrNotExist, syscall.ENOENT); why != "" {
				c.Fatalf("%s: %s", name, why)
			}
			if name != "stat" && name != "remove" && !strings.Contains(err.Error(), "there is no /dev/shm") {
				c.Fatalf("%s: %v", name, err)
			}
		}
		// The other kinds do not need it.
		for _, address := range []string{"sysv:private", "memfd:x"} {
			s, err := shm.Create(address, 10, nil)
			c.Check(err)
			c.Check(s.Remove())
			c.Check(s.Close())
		}
		c.Send("done")
	})
}
