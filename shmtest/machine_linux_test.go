package shmtest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/shmtest"
)

// shmmni is the number of segments that an IPC namespace may have: a
// parameter of ours alone, if we are isolated.
const shmmni = "kernel.shmmni"

func init() {
	inner["sysctl"] = func(t *testing.T) {
		shmtest.Sysctl(t, shmmni, "77")
		fmt.Println("set")
		shmtest.Start(t, "silent").Recv() // waits for ever
	}
	inner["lock"] = func(t *testing.T) {
		fmt.Println("wanting")
		shmtest.Sysctl(t, shmmni, "88")
		fmt.Println("has it")
	}
}

func sysctl(t testing.TB) string {
	t.Helper()
	value, err := shmtest.ReadSysctl(shmmni)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSysctl(t *testing.T) {
	shmtest.NeedIsolation(t)
	shmtest.NeedRoot(t)
	shmtest.CheckLeaks(t)
	before := sysctl(t)
	t.Run("set and restored", func(t *testing.T) {
		shmtest.Sysctl(t, shmmni, "99")
		shmtest.Sysctl(t, shmmni, "55")
		if got := sysctl(t); got != "55" {
			t.Errorf("it is %s", got)
		}
	})
	if got := sysctl(t); got != before {
		t.Fatalf("it is %s, not back at %s", got, before)
	}
	t.Run("restored after SIGKILL", func(t *testing.T) {
		p := testBinary("sysctl", "1").Start(t)
		p.Expect("set")
		if got := sysctl(t); got != "77" {
			t.Errorf("it is %s", got)
		}
		p.Kill()
		eventually(t, "the parameter is back", func() bool { return sysctl(t) == before })
	})
	t.Run("one at a time", func(t *testing.T) {
		first := testBinary("sysctl", "1").Start(t)
		first.Expect("set")
		second := testBinary("lock", "1").Start(t)
		second.Expect("wanting")
		// It cannot be shown that the second never has it, but it would
		// have had time enough while this process starts another.
		shmtest.Start(t, "echo").Expect("ready")
		if got := sysctl(t); got != "77" {
			t.Errorf("it is %s", got)
		}
		first.Kill()
		second.Expect("has it")
		second.Wait()
		if got := sysctl(t); got != before {
			t.Errorf("it is %s, not back at %s", got, before)
		}
	})
	t.Run("refused", func(t *testing.T) {
		r := record(t, time.Minute, func(t testing.TB) { shmtest.Sysctl(t, shmmni, "-5") })
		if !r.skipped || r.failed {
			t.Errorf("skipped %v, failed %v: %s", r.skipped, r.failed, r.text())
		}
		r = record(t, time.Minute, func(t testing.TB) { shmtest.Sysctl(t, "kernel.no_such_thing", "1") })
		if !r.skipped {
			t.Errorf("not skipped: %s", r.text())
		}
	})
	if got := sysctl(t); got != before {
		t.Errorf("it is %s, not back at %s", got, before)
	}
}

func TestNeedHugePages(t *testing.T) {
	shmtest.CheckLeaks(t)
	before, _, err := shmtest.HugePages()
	if err != nil {
		t.Skipf("needs huge pages: %v", err)
	}
	t.Run("reserved", func(t *testing.T) {
		shmtest.NeedHugePages(t, 3)
		if _, available, err := shmtest.HugePages(); err != nil || available < 3 {
			t.Errorf("%d pages, %v", available, err)
		}
		shmtest.NeedHugePages(t, 5)
		if _, available, err := shmtest.HugePages(); err != nil || available < 5 {
			t.Errorf("%d pages, %v", available, err)
		}
	})
	if after, _, _ := shmtest.HugePages(); after != before {
		t.Errorf("the pool has %d pages, had %d", after, before)
	}
	r := record(t, time.Minute, func(t testing.TB) { shmtest.NeedHugePages(t, 1<<24) })
	if !r.skipped {
		t.Errorf("32 TiB: %s", r.text())
	}
	if after, _, _ := shmtest.HugePages(); after != before {
		t.Errorf("the pool has %d pages, had %d", after, before)
	}
}
