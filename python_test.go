//go:build linux

package shm_test

import (
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
)

// pythonPeer is a program on Python's multiprocessing.shared_memory. Its
// resource tracker, which would unlink what is only opened here, is told not
// to.
const pythonPeer = `
import sys
from multiprocessing import resource_tracker, shared_memory

verb, name = sys.argv[1:3]
if verb == "create":
    block = shared_memory.SharedMemory(name=name, create=True, size=1000)
    block.buf[:11] = b"from Python"
    print("created", block.size, flush=True)
    sys.stdin.readline()
    print(bytes(block.buf[500:507]).decode(), flush=True)
    block.close()
    block.unlink()
else:
    block = shared_memory.SharedMemory(name=name)
    resource_tracker.unregister(block._name, "shared_memory")
    print(block.size, bytes(block.buf[:7]).decode(), flush=True)
    block.buf[90:96] = b"Python"
    block.close()
`

func TestInteropPython(t *testing.T) {
	python := shmtest.Python(t)
	t.Run("created there", func(t *testing.T) {
		name := shmtest.Name(t)
		p := shmtest.Exec(t, python, "-c", pythonPeer, "create", name)
		p.Expect("created 1000")
		s := open(t, name, nil)
		if s.Size() != 1000 || cString(s.Bytes()) != "from Python" {
			t.Errorf("%d bytes, %q", s.Size(), cString(s.Bytes()))
		}
		if i, err := s.Info(); err != nil || i.Mode != 0o600 || i.Removed {
			t.Errorf("%+v, %v", i, err)
		}
		_, err := s.WriteAt([]byte("from Go"), 500)
		want(t, err)
		p.Send("")
		p.Expect("from Go")
		p.Wait()
		// It has unlinked it.
		if i, err := s.Info(); err != nil || !i.Removed {
			t.Errorf("%+v, %v", i, err)
		}
		want(t, s.Remove(), shm.ErrRemoved)
	})
	t.Run("created here", func(t *testing.T) {
		name := shmtest.Name(t)
		s := create(t, name, 100, nil)
		_, err := s.WriteAt([]byte("from Go"), 0)
		want(t, err)
		p := shmtest.Exec(t, python, "-c", pythonPeer, "open", name)
		p.Expect("100 from Go")
		p.Wait()
		if got := string(s.Bytes()[90:96]); got != "Python" {
			t.Errorf("%q", got)
		}
		if i, err := s.Info(); err != nil || i.Removed {
			t.Errorf("%+v, %v", i, err)
		}
	})
}
