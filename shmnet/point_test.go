//go:build shmpoint

package shmnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/point"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	// Takes the steps of script, and is killed before one of them.
	shmtest.Handle("script", func(c *shmtest.Child) {
		killBefore(c, c.Args[1])
		c.Check(script(c.Args[0]))
	})
	// The same from the other side.
	shmtest.Handle("server script", func(c *shmtest.Child) {
		l, err := Listen(background, c.Args[0], &Options{MaxRing: 16 << 10})
		c.Check(err)
		killBefore(c, c.Args[1])
		c.Send("ready")
		conn, err := l.AcceptConn()
		c.Check(err)
		c.Check(serverScript(conn))
		c.Check(l.Close())
	})
}

// killBefore ends this process before a step, counted from now on.
func killBefore(c *shmtest.Child, step string) {
	end, err := strconv.ParseUint(step, 10, 64)
	c.Check(err)
	var steps atomic.Uint64
	point.Watch(func(string, uintptr, uintptr) {
		if steps.Add(1) == end {
			syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
}

// serverScript is the other side of script.
func serverScript(conn *Conn) error {
	if _, err := conn.Write(noise(scriptTakes)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return err
	}
	return conn.Close()
}

// TestServerKilledAnywhere is TestKilledAnywhere from the other side.
func TestServerKilledAnywhere(t *testing.T) {
	text := noise(scriptTakes)
	for step := uint64(1); ; step++ {
		path := socketPath(t)
		p := shmtest.Start(t, "server script", path, fmt.Sprint(step))
		p.Expect("ready")
		conn, err := Dial(t.Context(), path, &Options{Ring: 4096, MaxRing: 16 << 10})
		if err == nil {
			go func() {
				conn.Write(noise(scriptSends)) // may fail
				conn.CloseWrite()
			}()
			var got []byte
			got, err = io.ReadAll(conn)
			if !bytes.Equal(got, text[:len(got)]) {
				t.Fatalf("step %d: %d bytes came, which were not sent", step, len(got))
			}
			if err == nil && len(got) != len(text) {
				t.Errorf("step %d: %d bytes came, and then the end", step, len(got))
			}
			conn.Close()
		}
		if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, ErrNotProtocol) {
			t.Errorf("step %d: %v", step, err)
		}
		if p.Exit().Success() {
			t.Logf("%d steps", step-1)
			return
		}
	}
}

const (
	scriptSends = 40_000
	scriptTakes = 30_000
)

// script is a client that does everything once: rings grow in both
// directions, both sides sleep, and it closes one direction after the other.
func script(path string) error {
	conn, err := Dial(background, path, &Options{Ring: 4096, MaxRing: 16 << 10})
	if err != nil {
		return err
	}
	if _, err := conn.Write(noise(scriptSends)); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, scriptTakes)); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("not the end, but %v", err)
	}
	return conn.Close()
}

// TestKilledAnywhere kills a client before each of its steps in turn: each
// store to the shared memory, and each system call that the other side
// notices. The server reads what was sent up to there, gets the end that fits,
// and serves the next.
func TestKilledAnywhere(t *testing.T) {
	l := listen(t, &Options{MaxRing: 16 << 10})
	text := noise(scriptSends)
	for step := uint64(1); ; step++ {
		p := shmtest.Start(t, "script", l.Addr().String(), fmt.Sprint(step))
		failed := l.Stats().Failed
		var conn *Conn
		accepted := make(chan bool)
		go func() {
			conn, _ = l.AcceptConn()
			close(accepted)
		}()
		for done := false; !done; {
			select {
			case <-accepted:
				serveScript(t, conn, text, step)
				done = true
			case <-time.After(time.Millisecond):
				select {
				case <-p.Done():
					// Killed before or in the handshake: somebody else takes
					// the place in Accept.
					if l.Stats().Failed == failed && len(l.places) > 1 {
						continue
					}
					c, err := Dial(background, l.Addr().String(), nil)
					must(t, err)
					c.Close()
					<-accepted
					serveScript(t, conn, text, step)
					done = true
				default:
				}
			}
		}
		state := p.Exit()
		if state.Success() {
			t.Logf("%d steps", step-1)
			return
		}
	}
}

func serveScript(t *testing.T, conn *Conn, text []byte, step uint64) {
	defer conn.Close()
	go conn.Write(make([]byte, scriptTakes)) // may fail
	got, err := io.ReadAll(conn)
	if !bytes.Equal(got, text[:len(got)]) {
		t.Fatalf("step %d: %d bytes came, which were not sent", step, len(got))
	}
	switch {
	case err == nil && len(got) == len(text):
		conn.CloseWrite()
		conn.Read(make([]byte, 1))
	case err == nil && len(got) == 0: // nothing was sent by who took its place
	case !errors.Is(err, syscall.ECONNRESET):
		t.Errorf("step %d: %d bytes came, then %v", step, len(got), err)
	}
}

// TestMovesWithoutEnd is a sender that moves again each time that the receiver
// has followed it, and never lets it go.
func TestMovesWithoutEnd(t *testing.T) {
	e := newEnds(t, ringLeast)
	moves := 0
	point.Watch(func(string, uintptr, uintptr) {
		// The only store of refill is that it has followed.
		if moves++; moves < 1000 {
			e.s.sender.Moves = e.r.moved + 1
		}
	})
	defer point.Watch(nil)
	e.s.sender.Moves = 1
	if err := e.r.refill(); !errors.Is(err, ErrCorrupt) || moves != followMost+1 {
		t.Errorf("after %d moves: %v", moves, err)
	}
}
