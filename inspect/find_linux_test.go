package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/inspect"
	"github.com/seed-298b2b26/shm/shmtest"
	"github.com/seed-298b2b26/shm/sysv"
)

func TestFind(t *testing.T) {
	ctx := context.Background()
	file := t.TempDir() + "/shmfile"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ftok := "sysv:ftok=" + file + ",65"
	key, err := sysv.Ftok(file, 65)
	if err != nil {
		t.Fatal(err)
	}
	id, err := sysv.Get(key, 100, sysv.IPC_CREAT|0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sysv.Remove(id) })
	name := object(t, 4096)
	p := shmtest.Start(t, "hold", "posix:"+name)
	p.Expect("ready")

	for _, address := range []string{id.String(), key.String(), ftok} {
		o, err := inspect.Find(ctx, address, nil)
		if err != nil || o.Kind != inspect.KindSysV || o.ID != id {
			t.Errorf("Find(%q) = %+v, %v", address, o, err)
		}
	}
	for _, address := range []string{"posix:" + name, name, name[1:]} {
		o, err := inspect.Find(ctx, address, nil)
		if err != nil || o.Kind != inspect.KindPOSIX || o.Name != name {
			t.Errorf("Find(%q) = %+v, %v", address, o, err)
		}
	}
	users, _, err := inspect.Users(ctx, name, nil)
	if err != nil || len(users) != 1 || users[0].PID != p.PID() {
		t.Errorf("Users(%q) = %+v, %v", name, users, err)
	}
	var r, w, _ = os.Pipe()
	defer r.Close()
	defer w.Close()
	for _, tt := range []struct {
		address string
		err     error
		hint    bool
	}{
		{"sysv:0x7ffffff3", fs.ErrNotExist, true},
		{"sysv:id=2147483646", fs.ErrNotExist, true},
		{"sysv:ftok=" + file + ",66", fs.ErrNotExist, true},
		{"sysv:ftok=" + file + ".none,65", fs.ErrNotExist, false},
		{"posix:" + name + ".none", fs.ErrNotExist, true},
		{"memfd:none of this name", fs.ErrNotExist, true},
		{fmt.Sprintf("memfd:%d/9999", os.Getpid()), fs.ErrNotExist, false},
		{"memfd:2147483646/3", fs.ErrNotExist, false},
		{fmt.Sprintf("memfd:%d/%d", os.Getpid(), r.Fd()), fs.ErrNotExist, true},
		{"sysv:private", syscall.EINVAL, true},
		{"nonsense:x", syscall.EINVAL, true},
	} {
		o, err := inspect.Find(ctx, tt.address, nil)
		var e *shm.Error
		if !errors.Is(err, tt.err) || !errors.As(err, &e) || tt.hint && e.Hint == "" {
			t.Errorf("Find(%q) = %v, %v, want %v", tt.address, o, err, tt.err)
		}
	}
}

func TestScanEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := inspect.Scan(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestVanishing scans while processes come and go.
func TestVanishing(t *testing.T) {
	id := segment(t, 4096, 0o600)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			if pid, err := syscall.ForkExec("/bin/true", []string{"true"}, nil); err == nil {
				syscall.Wait4(pid, nil, 0, nil)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		o := find(t, scan(t, nil), "segment", byID(id))
		if len(o.Holders) != 0 {
			t.Errorf("%+v", *o)
		}
	}
}

// TestDeadFirstThread looks at a process whose first thread has ended: what
// /proc shows of it is that of a zombie.
func TestDeadFirstThread(t *testing.T) {
	src := `#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>
static void *rest(void *first) {
	char line[300], path[64], state;
	pthread_join(*(pthread_t *)first, 0);
	/* Joined is not yet dead for the kernel. */
	do {
		FILE *f = fopen("/proc/self/stat", "r");
		if (!f || !fgets(line, sizeof line, f)) exit(1);
		fclose(f);
		state = strrchr(line, ')')[2];
	} while (state != 'Z');
	puts("ready"); fflush(stdout); getchar(); exit(0);
}
int main(int c, char **v) {
	static pthread_t first, t;
	if (shmat(atoi(v[1]), 0, 0) == (void *)-1) return 1;
	first = pthread_self();
	pthread_create(&t, 0, rest, &first);
	pthread_exit(0);
}`
	bin := shmtest.CompileC(t, src, "-pthread")
	id := segment(t, 4096, 0o600)
	p := shmtest.Exec(t, bin, fmt.Sprint(int(id)))
	p.Expect("ready")
	o := find(t, scan(t, nil), "segment", byID(id))
	if !slices.Equal(holders(o), []int{p.PID()}) || o.Unseen != 0 {
		t.Errorf("%+v", *o)
	}
	p.Wait()
}

func TestWatch(t *testing.T) {
	name := "/" + shmtest.Name(t)
	// A watchdog.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next, stop := pull(ctx, t)
	defer stop()
	// What exists at the start comes first.
	marker := object(t, 1)
	if e := next(); e.Type != inspect.Added || !strings.HasPrefix(e.Object.Name, marker) {
		t.Fatalf("%v %s", e.Type, e.Object.Name)
	}
	p := shmtest.Start(t, "step", name)
	p.Expect("made")
	if e := next(); e.Type != inspect.Added || e.Object.Address != "posix:"+name || e.Object.Size != 4096 {
		t.Errorf("made: %+v", e)
	}
	p.Send("grow")
	p.Expect("grown")
	if e := next(); e.Type != inspect.Changed || !slices.Equal(e.Fields, []string{"Size"}) || e.Object.Size != 8192 || e.Before.Size != 4096 {
		t.Errorf("grown: %+v", e)
	}
	p.Send("unlink")
	p.Expect("unlinked")
	if e := next(); e.Type != inspect.Changed || !slices.Contains(e.Fields, "Removed") || !e.Object.Removed {
		t.Errorf("unlinked: %+v", e)
	}
	p.Wait()
	if e := next(); e.Type != inspect.Removed || e.Object.Size != 8192 {
		t.Errorf("gone: %+v", e)
	}
}

// pull gives the events of a watch one by one, those about this test's
// objects alone.
func pull(ctx context.Context, t *testing.T) (next func() inspect.Event, stop func()) {
	seq, stop := iter.Pull2(inspect.Watch(ctx, time.Millisecond, &inspect.Options{Kinds: []inspect.Kind{inspect.KindPOSIX}, Existing: true}))
	var inode uint64
	return func() inspect.Event {
		t.Helper()
		for {
			e, err, ok := seq()
			if !ok || err != nil {
				t.Fatalf("the watch ended: %v", err)
			}
			// Unlinked, it is known by another name.
			if strings.Contains(e.Object.Name, "TestWatch") || e.Object.Inode == inode {
				inode = e.Object.Inode
				return e
			}
		}
	}, stop
}
