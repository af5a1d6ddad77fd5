package posix_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// words are the first words of a pthread_mutex_t that another program holds.
type words struct{ lock, count, owner, users, kind uint32 }

func mutexAt(t *testing.T, name string) words {
	t.Helper()
	b := make([]byte, 24)
	_, err := open(t, name, posix.O_RDONLY, 0).ReadAt(b, 0)
	check(t, err)
	word := func(off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
	return words{word(0), word(4), word(8), word(12), word(16)}
}

func newMutex(t *testing.T, kind string) (name string, p *shmtest.Process) {
	t.Helper()
	name = newName(t)
	p = shmtest.Exec(t, peer(t), "mutex", name, kind)
	p.Expect("made")
	return name, p
}

// lock has the program lock its mutex, and gives the thread id that it says.
func lock(t *testing.T, p *shmtest.Process) (tid uint32) {
	t.Helper()
	p.Send("lock")
	if _, err := fmt.Sscan(p.Recv(), &tid); err != nil {
		t.Fatal(err)
	}
	return tid
}

func TestConformanceMutex(t *testing.T) {
	t.Run("PX-099", func(t *testing.T) {
		p := shmtest.Exec(t, peer(t), "layout")
		// Sizes and offsets: mutex, lock, count, owner, nusers, kind, list,
		// condition, rwlock, barrier, semaphore.
		got := p.Recv()
		p.Wait()
		want := map[string]string{
			"amd64": "amd64 40 0 4 8 12 16 24 48 56 32 32",
			"arm64": "arm64 48 0 4 8 12 16 24 48 56 32 32",
		}
		arch, _, _ := strings.Cut(got, " ")
		equal(t, "layout", got, want[arch])

		// And a locked one reads so.
		name, locker := newMutex(t, "plain")
		equal(t, "when free", mutexAt(t, name), words{kind: 0x80})
		tid := lock(t, locker)
		equal(t, "when locked", mutexAt(t, name), words{lock: 1, owner: tid, users: 1, kind: 0x80})
		equal(t, "owner", int(tid), locker.PID())
		locker.Wait()
	})
	t.Run("PX-100", func(t *testing.T) {
		for kind, want := range map[string]uint32{"plain": 0x80, "robust": 0x90, "robust-alone": 0x90} {
			name, p := newMutex(t, kind)
			equal(t, "kind of "+kind, mutexAt(t, name).kind, want)
			p.Wait()
		}
	})
	t.Run("PX-102", func(t *testing.T) {
		timedlock := func(name string, want syscall.Errno) {
			t.Helper()
			p := shmtest.Exec(t, peer(t), "timedlock", name)
			p.Expect(fmt.Sprint(int(want)))
			p.Wait()
		}
		name, p := newMutex(t, "plain")
		tid := lock(t, p)
		p.Kill()
		timedlock(name, syscall.ETIMEDOUT)
		timedlock(name, syscall.ETIMEDOUT)
		got := mutexAt(t, name)
		equal(t, "owner", got.owner, tid)
		equal(t, "lock, contended", got.lock, 2)

		// A robust one says that its owner died.
		name, p = newMutex(t, "robust")
		tid = lock(t, p)
		equal(t, "lock is the owner", mutexAt(t, name).lock, tid)
		p.Kill()
		const ownerDied = 0x40000000
		equal(t, "lock after the death", mutexAt(t, name).lock&ownerDied, ownerDied)
		timedlock(name, syscall.EOWNERDEAD)
	})
	t.Run("PX-103", func(t *testing.T) {
		name := newName(t)
		p := shmtest.Exec(t, peer(t), "pidns", name)
		line := p.Recv()
		if strings.HasPrefix(line, "errno") {
			p.Wait()
			t.Skipf("needs a pid namespace: unshare gives %s", line)
		}
		var inside, outside uint32
		if _, err := fmt.Sscan(line, &inside, &outside); err != nil {
			t.Fatal(err)
		}
		equal(t, "thread id inside", inside, 1)
		equal(t, "owner", mutexAt(t, name).owner, inside)
		if outside == inside {
			t.Errorf("%d is no number of another namespace", outside)
		}
		p.Wait()
	})
}
