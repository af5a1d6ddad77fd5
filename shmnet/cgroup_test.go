package shmnet

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/shmtest"
)

const (
	cgroupLimit = 64 << 20
	cgroupTimes = 4 // pieces of 20 MiB
)

func init() {
	// Connects to a listener from a memory cgroup that is too small for what
	// the options allow.
	shmtest.Handle("cgroup", func(c *shmtest.Child) {
		c.Send("begin")
		c.Expect("go")

		// What is too much from the beginning is an error that says so, or,
		// where that is allowed, a plain socket.
		huge := Options{Ring: cgroupLimit}
		_, err := Dial(background, c.Args[0], &huge)
		var op *net.OpError
		if !errors.As(err, &op) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the memory cgroup ") {
			c.Fatalf("a ring of %d bytes: %v", huge.Ring, err)
		}
		huge.Plain = true
		plain, err := Dial(background, c.Args[0], &huge)
		c.Check(err)
		if st := plain.Stats(); !st.Plain {
			c.Fatalf("%+v", st)
		}
		c.Check(plain.Close())

		// What is too much later is not taken: a Write as large as this one
		// wants 64 MiB at once, and gets less.
		conn, err := Dial(background, c.Args[0], &Options{MaxRing: 4 * cgroupLimit})
		c.Check(err)
		sum := sha256.New()
		piece := noise(20 << 20)
		for range cgroupTimes {
			sum.Write(piece)
			_, err := conn.Write(piece)
			c.Check(err)
		}
		c.Check(conn.CloseWrite())
		st := conn.Stats()
		back, err := io.ReadAll(conn)
		c.Check(err)
		if !bytes.Equal(back, sum.Sum(nil)) {
			c.Fatal("other bytes arrived")
		}
		c.Check(conn.Close())
		c.Send("%d %d %d", st.Ring, st.Offered, st.Refused)

		// Nor is what somebody else offers.
		conn, err = Dial(background, c.Args[0], &Options{MaxRing: 4 * cgroupLimit})
		c.Check(err)
		_, err = conn.Write([]byte("x"))
		c.Check(err)
		sum.Reset()
		_, err = io.CopyBuffer(sum, struct{ io.Reader }{conn}, make([]byte, 1<<20))
		c.Check(err)
		st = conn.Stats()
		c.Check(conn.Close())
		c.Send("%x %d %d", sum.Sum(nil), st.Accepted, st.Refused)
	})
}

// TestCgroup is a client in a memory cgroup that has room for some of what the
// options allow. It is told so, or does with what it has; nothing is lost, and
// nobody is killed.
func TestCgroup(t *testing.T) {
	if raceEnabled || shmtest.Emulated() {
		return // either needs several times the memory, and the time
	}
	procs := shmtest.MemoryCgroup(t, cgroupLimit)
	l := listen(t, &Options{Ring: 4096, MaxRing: 4 * cgroupLimit, Plain: true})
	p := shmtest.Start(t, "cgroup", l.Addr().String())
	p.Expect("begin")
	if err := os.WriteFile(procs, []byte(strconv.Itoa(p.PID())), 0); err != nil {
		t.Skipf("needs to move a process into a memory cgroup: %v", err)
	}
	p.Send("go")

	plain := acceptFrom(t, l, p)
	if st := plain.Stats(); !st.Plain {
		t.Errorf("%+v", st)
	}

	conn := acceptFrom(t, l, p)
	eventually(t, "the client has no room", func() bool { return mem.LoadAcquire32(&conn.in.senderNap.Nap) != 0 })
	sum := sha256.New()
	n, err := io.Copy(sum, conn)
	if err != nil || n != cgroupTimes*20<<20 {
		t.Errorf("%d bytes came, %v", n, err)
	}
	_, err = conn.Write(sum.Sum(nil))
	must(t, err)
	must(t, conn.Close())
	var ring, offered, refused int
	line := p.Recv()
	fmt.Sscan(line, &ring, &offered, &refused)
	if ring < 1<<20 || ring > 16<<20 || offered == 0 || refused != 1 {
		t.Errorf("it sent through a ring of %d bytes at last, offered %d, and %d could not be had", ring, offered, refused)
	}

	conn = acceptFrom(t, l, p)
	_, err = io.ReadFull(conn, make([]byte, 1))
	must(t, err)
	text := noise(2 * cgroupLimit) // such a Write wants the greatest ring at once
	n2, err := conn.Write(text)
	if err != nil || n2 != len(text) {
		t.Errorf("%d bytes went, %v", n2, err)
	}
	must(t, conn.Close())
	var got string
	var accepted int
	line = p.Recv()
	fmt.Sscan(line, &got, &accepted, &refused)
	if want := fmt.Sprintf("%x", sha256.Sum256(text)); got != want || refused != 1 {
		t.Errorf("it said %q, want %s and that one was refused", line, want)
	}
	p.Wait()
}
