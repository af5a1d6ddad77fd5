package shmtest

import (
	"os"
	"sync/atomic"
	"testing"
)

var keyCounter atomic.Uint32

// Key returns a System V IPC key that no segment, semaphore set or message
// queue has, and that no concurrent process gets from Key. It is never
// IPC_PRIVATE (0) and may be negative, as keys may.
func Key(t testing.TB) int32 {
	t.Helper()
	used := map[int32]bool{0: true, -1: true}
	for _, table := range []string{"shm", "sem", "msg"} {
		rows, err := readTable(table)
		if err != nil {
			t.Skipf("needs System V IPC: %v", err)
		}
		for _, row := range rows {
			used[row.key] = true
		}
	}
	// The process id, 22 bits at most, makes it unique among processes and
	// the counter in this one; the constant only keeps keys from looking
	// like small numbers.
	for range 1 << 10 {
		key := int32((uint32(os.Getpid())<<10 | keyCounter.Add(1)&(1<<10-1)) ^ 0x5a3c_0000)
		if !used[key] {
			ownKey(key)
			return key
		}
	}
	t.Fatal("shmtest: 1024 keys of this process are in use")
	return 0
}
