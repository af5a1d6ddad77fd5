package shmtest

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// ShmMount is the directory of the POSIX shared memory objects.
const ShmMount = "/dev/shm"

// nameRoom is how much of a test's name goes into an object's name: what is
// left of 255 bytes suffices for the token and for prefixes and suffixes that
// the caller adds.
const nameRoom = 80

// token marks every name that this process made up. The process id alone
// would come again.
var token = fmt.Sprintf("st%dx%s", os.Getpid(), strings.ToLower(rand.Text()[:8]))

var counter atomic.Uint64

// Name returns a name for an object that no other call returns, here or in
// another process: the test's name with what is unsafe replaced, and a token.
// It has no leading slash and at most 128 bytes of letters, digits and "_.-",
// so there is room for a prefix or a suffix, and a C program can put a slash
// before it for shm_open(3) and sem_open(3).
//
// Names with a prefix or suffix added still count as this process's own when
// Main looks for what was left behind.
func Name(t testing.TB) string {
	t.Helper()
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, t.Name())
	if len(clean) > nameRoom {
		clean = clean[:nameRoom]
	}
	return fmt.Sprintf("%s.%s.%d", clean, token, counter.Add(1))
}

var owned struct {
	sync.Mutex
	names map[string]bool
	keys  map[int32]bool
	pids  map[int]bool
}

// Own declares names in the shm mount to be this process's own although Name
// did not make them, so that what is left of them counts where the process is
// not isolated.
func Own(names ...string) {
	owned.Lock()
	defer owned.Unlock()
	if owned.names == nil {
		owned.names = map[string]bool{}
	}
	for _, name := range names {
		owned.names[strings.TrimPrefix(name, "/")] = true
	}
}

// ownKey and ownPID do for keys and creating processes what Own does for
// names.
func ownKey(key int32) {
	owned.Lock()
	defer owned.Unlock()
	if owned.keys == nil {
		owned.keys = map[int32]bool{}
	}
	owned.keys[key] = true
}

func ownPID(pid int) {
	owned.Lock()
	defer owned.Unlock()
	if owned.pids == nil {
		owned.pids = map[int]bool{}
	}
	owned.pids[pid] = true
}

// isOurs tells whether a file of this path below the shm mount was made by
// this process or in its name.
func isOurs(path string) bool {
	if strings.Contains(path, token) {
		return true
	}
	owned.Lock()
	defer owned.Unlock()
	name, _, _ := strings.Cut(path, "/")
	return owned.names[path] || owned.names[name]
}

// isOurKey and isOurPID tell the same of a key and of a creator.
func isOurKey(key int32) bool {
	owned.Lock()
	defer owned.Unlock()
	return key != 0 && owned.keys[key]
}

func isOurPID(pid int) bool {
	owned.Lock()
	defer owned.Unlock()
	return pid == os.Getpid() || owned.pids[pid]
}
