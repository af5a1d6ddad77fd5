package posix_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

// newSemaphore has a C program create a semaphore, which it keeps open.
func newSemaphore(t *testing.T, name string, value int) *shmtest.Process {
	t.Helper()
	p := shmtest.Exec(t, peer(t), "sem", name, fmt.Sprint(value))
	p.Expect("made")
	if len(name) <= posix.SemaphoreNameMax {
		unlinkLater(t, "sem."+strings.TrimLeft(name, "/"))
	}
	return p
}

func TestConformanceSemaphore(t *testing.T) {
	t.Run("PX-093", func(t *testing.T) {
		name := shmtest.Name(t)
		p := newSemaphore(t, "/"+name, 3)
		o := open(t, "/sem."+name, posix.O_RDWR, 0)
		equal(t, "size", stat(t, o).Size, 32)
		b := make([]byte, 32)
		_, err := o.ReadAt(b, 0)
		check(t, err)
		equal(t, "value", binary.LittleEndian.Uint32(b[0:]), 3)
		equal(t, "waiters", binary.LittleEndian.Uint32(b[4:]), 0)
		equal(t, "shared", binary.LittleEndian.Uint32(b[8:]), 0x80)
		p.Send("post")
		p.Expect("done")
		equal(t, "value in the mapping", mapped(t, o, 32, ro).Bytes()[0], 4)
		// Where an object of the semaphore's own name would be there is none.
		absent(t, name)
		p.Wait()
		check(t, posix.Unlink("/sem."+name, nil))
	})
	t.Run("PX-094", func(t *testing.T) {
		name := shmtest.Name(t)
		name += strings.Repeat("x", 252-len(name))
		p := newSemaphore(t, name[:251], 1)
		s, err := posix.ReadSemaphore(name[:251], nil)
		check(t, err)
		equal(t, "value", s.Value, 1)
		st := named(t, "sem."+name[:251])
		got, ok := st.Semaphore()
		equal(t, "name", got, "/"+name[:251])
		equal(t, "recognised", ok, true)
		p.Wait()

		long := shmtest.Exec(t, peer(t), "sem", name, "1")
		// glibc's answer to what is too long differs between its versions.
		if got := long.Recv(); got != fmt.Sprintf("errno %d", int(syscall.ENAMETOOLONG)) && got != fmt.Sprintf("errno %d", int(syscall.EINVAL)) {
			t.Errorf("sem_open of 252 bytes: %s", got)
		}
		long.Wait()
		_, err = posix.ReadSemaphore(name, nil)
		wantErrno(t, err, syscall.ENAMETOOLONG)
	})
	t.Run("PX-096", func(t *testing.T) {
		name := shmtest.Name(t)
		p := newSemaphore(t, name, 1)
		st := named(t, "sem."+name)
		found := mapsOf(t, p.PID(), st.Dev, st.Inode)
		equal(t, "mappings of the inode", len(found), 1)
		if !regexp.MustCompile(`^/dev/shm/sem\.[A-Za-z0-9]{6} \(deleted\)$`).MatchString(found[0].Name()) {
			t.Errorf("the mapping is called %q", found[0].Name())
		}
		equal(t, "links", st.Links, 1)
		p.Wait()
	})
	t.Run("PX-097", func(t *testing.T) {
		// What musl's sem_open("/x", ..., 5) leaves: the file x, eight words,
		// value, waiters, and 0 where glibc has 0x80.
		musl := binary.LittleEndian.AppendUint32(nil, 5)
		musl = append(musl, make([]byte, 28)...)
		name := newName(t)
		check(t, os.WriteFile(file(name), musl, 0o600))
		o := open(t, name, posix.O_RDWR, 0)
		equal(t, "size", stat(t, o).Size, 32)
		equal(t, "value", mapped(t, o, 32, ro).Bytes()[0], 5)
		// So it is in the way of an object, and none of the kind that the
		// prefix tells.
		_, err := posix.CreateSized(name, 1, 0o600, nil)
		wantErrno(t, err, syscall.EEXIST)
		st := named(t, name)
		if as, ok := st.Semaphore(); ok {
			t.Errorf("taken for the semaphore %q", as)
		}
		_, err = posix.ReadSemaphore(name, nil)
		wantErrno(t, err, syscall.ENOENT)
		// glibc's semaphore of that name stands beside it.
		newSemaphore(t, name, 7).Wait()
		s, err := posix.ReadSemaphore(name, nil)
		check(t, err)
		equal(t, "value of the other", s.Value, 7)
		equal(t, "value still", mapped(t, o, 32, ro).Bytes()[0], 5)
	})
}
