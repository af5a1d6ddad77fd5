package shmtest

import (
	"os"
	"sync"
	"testing"
	"time"
)

// lockPath is locked by whoever changes what belongs to the whole machine. It
// is there on every Linux, needs no cleaning up, and is the same for all
// mount namespaces that share /proc.
const lockPath = "/proc/sys/vm"

// machine is this process's hold of the machine-wide lock. One flock serves
// all tests of the process that want it at once, as one that holds it may ask
// again.
var machine struct {
	sync.Mutex
	file  *os.File
	users int
}

// lockMachine takes the machine-wide lock until the test is over, and returns
// the locked file. Test binaries that go test runs at the same time wait for
// one another here.
func lockMachine(t testing.TB) *os.File {
	t.Helper()
	machine.Lock()
	defer machine.Unlock()
	if machine.users == 0 {
		f, err := os.Open(lockPath)
		if err != nil {
			t.Skipf("needs %s: %v", lockPath, err)
		}
		for limit := deadline(t); ; time.Sleep(5 * time.Millisecond) {
			got, err := tryLock(f)
			if got {
				break
			}
			if err == nil && time.Now().After(limit) {
				err = os.ErrDeadlineExceeded
			}
			if err != nil {
				f.Close()
				t.Fatalf("shmtest: waiting for the machine-wide lock: %v", err)
			}
		}
		machine.file = f
	}
	machine.users++
	t.Cleanup(func() {
		machine.Lock()
		defer machine.Unlock()
		if machine.users--; machine.users == 0 {
			machine.file.Close()
			machine.file = nil
		}
	})
	return machine.file
}
