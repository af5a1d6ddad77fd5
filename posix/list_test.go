package posix_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestList(t *testing.T) {
	dir := shmtest.Dir(t)
	opts := &posix.Options{Dir: dir}
	for range posix.List(opts) {
		t.Fatal("something in an empty directory")
	}
	o, err := posix.CreateSized("b", 100, 0o640, opts)
	check(t, err)
	defer o.Close()
	check(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
	check(t, os.Symlink("nowhere", filepath.Join(dir, "c")))
	check(t, syscall.Mkfifo(filepath.Join(dir, "d\n\xff"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "sem.e"), make([]byte, 32), 0o600))

	var names []string
	for st, err := range posix.List(opts) {
		check(t, err)
		as, semaphore := st.Semaphore()
		names = append(names, fmt.Sprint(st.Name, " ", st.Mode.Type(), " ", st.Regular(), " ", semaphore, as))
	}
	equal(t, "list", strings.Join(names, "; "),
		"/a d--------- false false; /b ---------- true false; /c L--------- false false; /d\n\xff p--------- false false; /sem.e ---------- true true/e")

	// It can be left early.
	n := 0
	for range posix.List(opts) {
		n++
		break
	}
	equal(t, "entries before break", n, 1)
}

func TestListFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	n := 0
	for st, err := range posix.List(&posix.Options{Dir: dir}) {
		n++
		equal(t, "entry", st, posix.Status{})
		wantErrno(t, err, syscall.ENOENT)
		equal(t, "text", err.Error(), "shm: list "+dir+": no such file or directory")
	}
	equal(t, "entries", n, 1)
}

// TestListWhile: entries that come and go while the list is read are no errors.
func TestListWhile(t *testing.T) {
	opts := &posix.Options{Dir: shmtest.Dir(t)}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			var names []string
			for range 20 {
				o, err := posix.CreateTemp("x", 1, 0o600, opts)
				if err != nil {
					stopped <- err
					return
				}
				names = append(names, o.Name())
				o.Close()
			}
			for _, name := range names {
				if err := posix.Unlink(name, opts); err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	for range 200 {
		var names []string
		for st, err := range posix.List(opts) {
			check(t, err)
			equal(t, "size", st.Size, 1)
			names = append(names, st.Name)
		}
		if !slices.IsSorted(names) {
			t.Fatalf("not sorted: %q", names)
		}
	}
	close(stop)
	check(t, <-stopped)
}

func TestStatLink(t *testing.T) {
	name := newName(t)
	check(t, os.Symlink("/", file(name)))
	st := named(t, name)
	equal(t, "kind", st.Mode.Type(), os.ModeSymlink)
	equal(t, "regular", st.Regular(), false)
	_, err := posix.Stat(shmtest.Name(t), nil)
	equal(t, "missing", errors.Is(err, os.ErrNotExist), true)
}
