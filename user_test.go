//go:build linux

package shm_test

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
)

var nobody = &shmtest.User{UID: 65534, GID: 65534}

// What another user does with our memory is what its mode says.
func TestOtherUser(t *testing.T) {
	for mode, handler := range map[fs.FileMode]string{0o600: "stranger", 0o644: "reader", 0o666: "writer"} {
		t.Run(handler, func(t *testing.T) {
			everyKind(t, func(t *testing.T, address string) {
				if strings.HasPrefix(address, "memfd:") {
					handler = "stranger" // it is its user's own, whatever its mode
				}
				old := syscall.Umask(0)
				s := create(t, address, 100, &shm.Options{Mode: mode})
				syscall.Umask(old)
				_, err := s.WriteAt([]byte("ours"), 0)
				want(t, err)
				p := shmtest.Command{Handler: handler, Args: []string{s.Address()}, User: nobody}.Start(t)
				p.Expect("done")
				p.Wait()
				text := "ours"
				if handler == "writer" {
					text = "them"
				}
				if string(s.Bytes()[:4]) != text {
					t.Errorf("%q", s.Bytes()[:4])
				}
				if i, err := s.Info(); err != nil || i.Removed && i.Kind != shm.Memfd || i.Size != 100 {
					t.Errorf("%+v, %v", i, err)
				}
			})
		})
	}
}

func init() {
	check := func(c *shmtest.Child, what string, err error, targets ...error) {
		if why := unwanted(err, targets...); why != "" {
			c.Fatalf("%s: %s", what, why)
		}
		if e, ok := err.(*shm.Error); len(targets) > 0 && (!ok || e.Hint == "") {
			c.Fatalf("%s: %v: no hint", what, err)
		}
	}
	// Nobody but the owner and root removes, or gets more than the mode says.
	never := func(c *shmtest.Child, o *shm.Options) {
		_, err := shm.Open(c.Args[0], o)
		check(c, "open", err, fs.ErrPermission, syscall.EACCES)
		_, _, err = shm.OpenOrCreate(c.Args[0], 1, o)
		check(c, "open or create", err, fs.ErrPermission, syscall.EACCES)
	}
	remove := func(c *shmtest.Child) {
		if !strings.HasPrefix(c.Args[0], "memfd:") {
			check(c, "remove", shm.Remove(c.Args[0], nil), fs.ErrPermission)
		}
	}
	shmtest.Handle("stranger", func(c *shmtest.Child) {
		never(c, nil)
		never(c, &shm.Options{ReadOnly: true})
		if !strings.HasPrefix(c.Args[0], "sysv:") {
			never(c, &shm.Options{Private: true})
		}
		remove(c)
		i, err := shm.Stat(c.Args[0], nil)
		if strings.HasPrefix(c.Args[0], "memfd:") {
			check(c, "stat", err, fs.ErrPermission)
		} else if check(c, "stat", err); i.Size != 100 || i.Mode != 0o600 {
			c.Fatalf("%+v", i)
		}
		c.Send("done")
	})
	shmtest.Handle("reader", func(c *shmtest.Child) {
		never(c, nil)
		remove(c)
		s, err := shm.Open(c.Args[0], &shm.Options{ReadOnly: true})
		check(c, "open", err)
		b := make([]byte, 4)
		if _, err := s.ReadAt(b, 0); err != nil || string(b) != "ours" {
			c.Fatalf("%q, %v", b, err)
		}
		_, err = s.Info()
		check(c, "info", err)
		check(c, "remove", s.Remove(), fs.ErrPermission)
		check(c, "close", s.Close())
		c.Send("done")
	})
	shmtest.Handle("writer", func(c *shmtest.Child) {
		remove(c)
		s, created, err := shm.OpenOrCreate(c.Args[0], 100, nil)
		check(c, "open", err)
		_, err = s.WriteAt([]byte("them"), 0)
		check(c, "write", err)
		check(c, "remove", s.Remove(), fs.ErrPermission)
		if created {
			c.Fatal("created")
		}
		check(c, "close", s.Close())
		c.Send("done")
	})
}

// A mode that does not let the owner read is the owner's own doing: segments
// cannot even be attached then and are not left behind, objects can be used
// by their creator.
func TestModeWithoutRead(t *testing.T) {
	p := shmtest.Command{Handler: "no read", Args: []string{newAddress(t, "sysv"), newAddress(t, "posix")}, User: nobody}.Start(t)
	p.Expect("done")
	p.Wait()
}

func init() {
	shmtest.Handle("no read", func(c *shmtest.Child) {
		for _, mode := range []fs.FileMode{0o200, 0o400, 0o066} {
			_, err := shm.Create(c.Args[0], 100, &shm.Options{Mode: mode})
			if why := unwanted(err, syscall.EACCES); why != "" || err.(*shm.Error).Hint == "" {
				c.Fatalf("%v: %s %v", mode, why, err)
			}
			_, err = shm.Stat(c.Args[0], nil)
			if why := unwanted(err, fs.ErrNotExist); why != "" {
				c.Fatal(why)
			}
			s, err := shm.Create(c.Args[1], 100, &shm.Options{Mode: mode})
			c.Check(err)
			_, err = s.WriteAt([]byte("x"), 0)
			c.Check(err)
			_, err = shm.Open(c.Args[1], nil)
			if why := unwanted(err, syscall.EACCES); why != "" {
				c.Fatal(why)
			}
			c.Check(s.Remove())
			c.Check(s.Close())
		}
		c.Send("done")
	})
}
