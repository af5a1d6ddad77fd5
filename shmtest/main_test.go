package shmtest_test

import (
	"os"
	"testing"

	"github.com/seed-298b2b26/shm/shmtest"
)

func TestMain(m *testing.M) { os.Exit(shmtest.Main(m)) }

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
	shmtest.Handle("id", func(c *shmtest.Child) {
		c.Send("uid %d gid %d", os.Getuid(), os.Getgid())
	})
}

func TestEcho(t *testing.T) {
	shmtest.CheckLeaks(t)
	p := shmtest.Start(t, "echo")
	p.Expect("ready")
	p.Send("hello %d", 1)
	p.Expect("hello 1")
	p.Stop()
	p.Cont()
	p.Send("x")
	p.Expect("x")
	p.Wait()
}

func TestOther(t *testing.T) {
	shmtest.CheckLeaks(t)
	p := shmtest.Command{Handler: "id", User: shmtest.Other(t)}.Start(t)
	p.Expect("uid 65534 gid 65534")
	p.Wait()
}

func TestIsolated(t *testing.T) {
	shmtest.NeedIsolation(t)
	t.Log(os.ReadDir("/dev/shm"))
	t.Log(shmtest.Name(t), shmtest.Key(t), shmtest.Dir(t))
	shmtest.NeedHugePages(t, 4)
	s, err := shmtest.Take()
	t.Logf("%v %+v", err, s)
}
