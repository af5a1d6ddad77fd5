//go:build linux

package sysv_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func init() { shmtest.Handle("peer", servePeer) }

// peer is another process that calls this package as it is told. Errors come
// back as their errno.
type peer struct {
	t testing.TB
	*shmtest.Process
}

// startPeer starts a peer; the zero Command makes one like this process.
func startPeer(t testing.TB, c shmtest.Command) *peer {
	t.Helper()
	c.Handler = "peer"
	return &peer{t, c.Start(t)}
}

// in gives the peer to a subtest of the test that started it.
func (p *peer) in(t testing.TB) *peer { return &peer{t, p.Process} }

// nobody starts a peer without privileges.
func nobody(t testing.TB) *peer {
	t.Helper()
	return startPeer(t, shmtest.Command{User: shmtest.Other(t)})
}

// call has one call made. Numbers go as decimal words, and the answer is the
// errno and what the call gave.
func (p *peer) call(verb string, args ...int64) ([]int64, error) {
	p.t.Helper()
	words := []string{verb}
	for _, a := range args {
		words = append(words, strconv.FormatInt(a, 10))
	}
	p.Send(strings.Join(words, " "))
	var results []int64
	for _, w := range strings.Fields(p.Recv()) {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			p.t.Fatalf("peer answers %q to %v", w, words)
		}
		results = append(results, n)
	}
	if len(results) == 0 {
		p.t.Fatalf("peer has no answer to %v", words)
	}
	if results[0] != 0 {
		errno := syscall.Errno(results[0])
		return nil, &sys.Error{Op: "peer " + verb, Err: errno}
	}
	return results[1:], nil
}

// must is call for what has to succeed.
func (p *peer) must(verb string, args ...int64) []int64 {
	p.t.Helper()
	results, err := p.call(verb, args...)
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	return results
}

// fails is call for what has to fail.
func (p *peer) fails(want syscall.Errno, verb string, args ...int64) {
	p.t.Helper()
	_, err := p.call(verb, args...)
	if !errors.Is(err, want) {
		p.t.Errorf("%s%v of another process: error %v, want %v (%s)", verb, args, err, want, errnoName(want))
	}
}

func (p *peer) create(key sysv.Key, size int64, flags int) sysv.ID {
	p.t.Helper()
	return sysv.ID(p.must("get", int64(key), size, int64(flags|sysv.IPC_CREAT|sysv.IPC_EXCL))[0])
}

func (p *peer) stat(id sysv.ID) sysv.Segment {
	p.t.Helper()
	return decode(p.must("stat", int64(id)))
}

// encode and decode carry what the tests compare of a Segment.
func encode(s sysv.Segment) []int64 {
	return []int64{int64(s.ID), int64(s.Key), s.Size, int64(s.Mode), int64(s.UID), int64(s.GID), int64(s.CUID), int64(s.CGID), int64(s.CPID), int64(s.LPID), int64(s.NAttach)}
}

func decode(n []int64) sysv.Segment {
	return sysv.Segment{
		ID: sysv.ID(n[0]), Key: sysv.Key(n[1]), Size: n[2], Mode: uint32(n[3]), UID: uint32(n[4]), GID: uint32(n[5]), CUID: uint32(n[6]), CGID: uint32(n[7]),
		CPID: int(n[8]), LPID: int(n[9]), NAttach: uint64(n[10]),
	}
}

// servePeer is the peer's side.
func servePeer(c *shmtest.Child) {
	s := &server{}
	for {
		line, ok := c.Recv()
		if !ok {
			return
		}
		words := strings.Fields(line)
		if words[0] == "ftok" { // proj, path: errno
			proj, err := strconv.Atoi(words[1])
			c.Check(err)
			_, err = sysv.Ftok(words[2], proj)
			var errno syscall.Errno
			errors.As(err, &errno)
			c.Send("%d", int(errno))
			continue
		}
		var args []int64
		for _, w := range words[1:] {
			n, err := strconv.ParseInt(w, 10, 64)
			c.Check(err)
			args = append(args, n)
		}
		results, err := s.serve(c, words[0], args)
		var e *sys.Error
		var errno syscall.Errno
		switch {
		case err == nil:
			c.Send(strings.TrimSpace("0 " + strings.Trim(fmt.Sprint(results), "[]")))
		case errors.As(err, &errno) && errors.As(err, &e):
			c.Send("%d", int(errno))
		default:
			c.Fatalf("%s: %v", line, err)
		}
	}
}

// server is what the peer holds: attachments are named by their number.
type server struct{ attached []*sysv.Attachment }

func (s *server) serve(c *shmtest.Child, verb string, args []int64) ([]int64, error) {
	at := func() *sysv.Attachment { return s.attached[args[0]] }
	id := func() sysv.ID { return sysv.ID(args[0]) }
	switch verb {
	case "get": // key, size, flags: id
		id, err := sysv.Get(sysv.Key(args[0]), args[1], int(args[2]))
		return []int64{int64(id)}, err
	case "attach": // id, address, flags: number, length
		a, err := sysv.Attach(id(), uintptr(args[1]), int(args[2]))
		if err != nil {
			return nil, err
		}
		s.attached = append(s.attached, a)
		return []int64{int64(len(s.attached) - 1), int64(a.Len())}, nil
	case "detach": // number
		return nil, at().Detach()
	case "peek": // number, offset: byte
		return []int64{int64(at().Bytes()[args[1]])}, nil
	case "poke": // number, offset, byte
		at().Bytes()[args[1]] = byte(args[2])
		return nil, nil
	case "faults": // number, offset: whether a store to it is a fault
		_, faulted := fault(func() { at().Bytes()[args[1]] = 1 })
		if faulted {
			return []int64{1}, nil
		}
		return []int64{0}, nil
	case "protect": // number, protection
		a := at()
		if err := sys.Mprotect(a.Addr(), uintptr(a.Len()), int(args[1])); err != nil {
			return nil, &sys.Error{Op: "mprotect", Err: err}
		}
		return nil, nil
	case "churn": // id, times
		return nil, churn(id(), int(args[1]))
	case "stat": // id: segment
		seg, err := sysv.Stat(id())
		return encode(seg), err
	case "statindex": // index: segment
		seg, err := sysv.StatIndex(int(args[0]))
		return encode(seg), err
	case "statany": // index: segment
		seg, err := sysv.StatAny(int(args[0]))
		return encode(seg), err
	case "set": // id, uid, gid, mode
		return nil, sysv.Set(id(), uint32(args[1]), uint32(args[2]), uint32(args[3]))
	case "remove": // id
		return nil, sysv.Remove(id())
	case "lock": // id
		return nil, sysv.Lock(id())
	case "unlock": // id
		return nil, sysv.Unlock(id())
	case "limits": // minimum, highest
		l, err := sysv.GetLimits()
		return []int64{int64(l.Min), int64(l.Highest)}, err
	case "list": // ids by /proc
		all, err := sysv.ReadProc("/proc")
		return ids(all), err
	case "table": // ids by shmctl
		all, err := sysv.ReadTable()
		return ids(all), err
	case "sums": // see sums
		return sums()
	case "sandbox": // command of shmctl to refuse, -1 for all; errno
		return nil, refuseShmctl(int(args[0]), syscall.Errno(args[1]))
	case "nofiles": // no file can be opened any more
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{}); err != nil {
			return nil, &sys.Error{Op: "setrlimit", Err: err}
		}
		return nil, nil
	case "uid":
		return []int64{int64(os.Geteuid()), int64(os.Getegid())}, nil
	}
	c.Fatalf("unknown verb %q", verb)
	return nil, nil
}

func ids(all []sysv.Segment) (n []int64) {
	for _, s := range all {
		n = append(n, int64(s.ID))
	}
	return n
}

// churn attaches, writes and detaches.
func churn(id sysv.ID, times int) error {
	for i := range times {
		a, err := sysv.Attach(id, 0, 0)
		if err != nil {
			return err
		}
		a.Bytes()[i%a.Len()] = byte(i)
		if err := a.Detach(); err != nil {
			return err
		}
	}
	return nil
}

const none = math.MaxUint32 // the uid or gid -1

func itoa[T ~int | ~int32](n T) string { return strconv.Itoa(int(n)) }
