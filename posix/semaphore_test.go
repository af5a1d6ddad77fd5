package posix_test

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func init() {
	shmtest.Handle("read a semaphore", func(c *shmtest.Child) {
		_, err := posix.ReadSemaphore(c.Args[0], nil)
		wantErrno(c, err, syscall.EACCES)
		c.Send("refused")
	})
}

func TestReadSemaphore(t *testing.T) {
	name := "/" + shmtest.Name(t)
	p := newSemaphore(t, name, 2)
	read := func() posix.Semaphore {
		t.Helper()
		s, err := posix.ReadSemaphore(name, nil)
		check(t, err)
		return s
	}
	equal(t, "new", read(), posix.Semaphore{Value: 2})
	before := named(t, "sem."+name[1:])
	for range 3 {
		p.Send("wait")
		p.Expect("done")
	}
	// Two take it and the third waits: the C program says nothing of when.
	for read() != (posix.Semaphore{Waiters: 1}) {
		select {
		case <-p.Done():
			t.Fatal("the program has ended")
		default:
		}
	}
	p.Send("post")
	p.Expect("done")
	for read() != (posix.Semaphore{}) {
		select {
		case <-p.Done():
			t.Fatal("the program has ended")
		default:
		}
	}
	for _, alias := range []string{name[1:], "//" + name} {
		_, err := posix.ReadSemaphore(alias, nil)
		check(t, err)
	}
	after := named(t, "sem."+name[1:])
	equal(t, "size", after.Size, before.Size)
	equal(t, "mode", after.Mode, before.Mode)
	p.Send("unlink")
	p.Expect("done")
	_, err := posix.ReadSemaphore(name, nil)
	wantErrno(t, err, syscall.ENOENT)
	equal(t, "text", err.Error(), "shm: shm_open posix:/sem."+name[1:]+": no such file or directory")
	p.Wait()
}

func TestReadSemaphoreOfAnother(t *testing.T) {
	name := shmtest.Name(t)
	p := newSemaphore(t, name, 1)
	stranger := shmtest.Command{Handler: "read a semaphore", Args: []string{name}, User: shmtest.Other(t)}.Start(t)
	stranger.Expect("refused")
	stranger.Wait()
	p.Wait()
}

// TestNoSemaphore: files that others made and called so.
func TestNoSemaphore(t *testing.T) {
	shared := binary.LittleEndian.AppendUint32(make([]byte, 8, 64), 0x80)
	for what, contents := range map[string][]byte{
		"empty":              {},
		"short":              shared,
		"of 31 bytes":        append(shared, make([]byte, 19)...),
		"of 33 bytes":        append(shared, make([]byte, 21)...),
		"large":              append(shared, make([]byte, 1<<20)...),
		"all zero, as musl":  make([]byte, 32),
		"process-private":    append(make([]byte, 8), make([]byte, 24)...),
		"with another value": append(append(make([]byte, 8), 0x81), make([]byte, 23)...),
	} {
		t.Run(what, func(t *testing.T) {
			name := shmtest.Name(t)
			unlinkLater(t, "sem."+name)
			check(t, os.WriteFile(file("sem."+name), contents, 0o600))
			_, err := posix.ReadSemaphore(name, nil)
			if !errors.Is(err, sys.ErrType) {
				t.Errorf("%v is not ErrType", err)
			}
			st := named(t, "sem."+name)
			if _, ok := st.Semaphore(); ok != (len(contents) == 32) {
				t.Errorf("recognised by its looks: %v", ok)
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		name := shmtest.Name(t)
		check(t, os.Mkdir(file("sem."+name), 0o700))
		defer os.Remove(file("sem." + name))
		_, err := posix.ReadSemaphore(name, nil)
		wantErrno(t, err, syscall.EINVAL)
		st := named(t, "sem."+name)
		_, ok := st.Semaphore()
		equal(t, "recognised", ok, false)
	})
}

func TestSemaphoreName(t *testing.T) {
	for name, want := range map[string]syscall.Errno{
		"": syscall.EINVAL, "/": syscall.EINVAL, "/a/b": syscall.EINVAL, "a/": syscall.EINVAL, "a\x00b": syscall.EINVAL,
		strings.Repeat("s", 252): syscall.ENAMETOOLONG,
		strings.Repeat("s", 251): syscall.ENOENT,
		".":                      syscall.ENOENT, // it would be the file "sem.."
	} {
		_, err := posix.ReadSemaphore(name, nil)
		wantErrno(t, err, want)
	}
	for name, want := range map[string]string{
		"/sem.x": "/x", "/sem.sem.x": "/sem.x", "/sem..": "/.", "/sem.": "", "/sem": "", "/x": "", "/Sem.x": "", "/xsem.x": "",
	} {
		st := posix.Status{Name: name, Size: 32}
		got, ok := st.Semaphore()
		equal(t, "name for "+name, got, want)
		equal(t, "recognised "+name, ok, want != "")
	}
}
