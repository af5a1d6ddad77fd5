package topicdir

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// withoutUnnamed makes tests take the way of systems on which an unnamed file
// cannot be made, or not be given a name.
var withoutUnnamed = false

// draft is a file that has not got its name yet: an unnamed one, or one with
// a temporary name.
type draft struct {
	fd   *sys.FD
	dir  int
	temp string // empty for an unnamed file
}

// newDraft makes a file of size bytes, all of them zero and reserved, for a
// place in the directory.
func newDraft(dir int, size int64) (*draft, error) {
	d := &draft{dir: dir}
	n, err := -1, error(syscall.EOPNOTSUPP)
	if canLink() {
		// In this very directory, so that the file gets its group where it
		// is set-group-ID.
		n, err = sys.Openat(dir, ".", sys.O_TMPFILE|sys.O_RDWR|sys.O_CLOEXEC, 0o600)
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EISDIR) {
		d.temp = tempPrefix + NewID().String()
		n, err = sys.Openat(dir, d.temp, sys.O_CREAT|sys.O_EXCL|sys.O_RDWR|sys.O_NOFOLLOW|sys.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return nil, err
	}
	d.fd = sys.NewFD(n)
	if size > 0 {
		err = d.fd.Reserve(0, size)
		if errors.Is(err, syscall.EOPNOTSUPP) {
			// Only the size can be promised here.
			err = d.fd.Truncate(size)
		}
	}
	if err != nil {
		d.discard()
		return nil, err
	}
	return d, nil
}

// canLink reports whether an unnamed file can be given a name: by /proc, for
// otherwise that needs a capability before Linux 6.10.
func canLink() bool {
	if withoutUnnamed {
		return false
	}
	_, err := sys.LstatPath("/proc/self/fd")
	return err == nil
}

// writeHeader stores the header, and the ready word after it.
func (d *draft) writeHeader(b []byte) error {
	if _, err := d.fd.WriteAt(b, 0); err != nil {
		return err
	}
	var w [4]byte
	le.PutUint32(w[:], Ready)
	_, err := d.fd.WriteAt(w[:], OffReady)
	return err
}

// publish gives the file its mode, then the lock, if it shall have one, then
// its name, and hands over the descriptor. On an error, EEXIST for a taken
// name, the draft is discarded.
func (d *draft) publish(name string, mode uint32, lock bool) (*sys.FD, error) {
	err := d.fd.Chmod(mode)
	if err == nil && lock {
		err = sys.LockByte(d.fd.Int())
	}
	switch {
	case err != nil:
	case d.temp == "":
		err = sys.LinkFDAt(d.fd.Int(), d.dir, name)
	default:
		err = sys.RenameatNoReplace(d.dir, d.temp, name)
		if err == nil {
			d.temp = ""
		}
	}
	if err != nil {
		d.discard()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d.fd, nil
}

func (d *draft) discard() {
	if d.temp != "" {
		sys.Unlinkat(d.dir, d.temp)
	}
	d.fd.Close()
}
