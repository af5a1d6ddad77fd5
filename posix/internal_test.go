package posix

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/shmtest"
)

// TestFitUmask: the kernel here applies the umask to unnamed files itself, so
// a file that has too much is made by hand.
func TestFitUmask(t *testing.T) {
	dir := shmtest.Dir(t)
	for _, tt := range []struct{ mask, asked, has, want uint32 }{
		{0o027, 0o666, 0o666, 0o640}, // a kernel that forgot it
		{0o027, 0o666, 0o640, 0o640},
		{0o000, 0o666, 0o666, 0o666},
		{0o077, 0o640, 0o640, 0o600},
		{0o277, 0o600, 0o600, 0o600}, // nothing for others: not worth a look
	} {
		old := syscall.Umask(int(tt.mask))
		n, err := sys.Open(dir, sys.O_TMPFILE|sys.O_RDWR|sys.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		fd := sys.NewFD(n)
		err = fd.Chmod(tt.has)
		if err == nil {
			err = fitUmask(fd, os.FileMode(tt.asked))
		}
		st, statErr := fd.Stat()
		syscall.Umask(old)
		if err := errors.Join(err, statErr, fd.Close()); err != nil {
			t.Fatal(err)
		}
		if got := st.Mode & 0o777; got != tt.want {
			t.Errorf("%#o: mode %#o", tt, got)
		}
	}
}

// TestCreateByRename: the temporary name goes, also where the last step fails.
func TestCreateByRename(t *testing.T) {
	opts := &Options{Dir: shmtest.Dir(t)}
	o := &Object{name: "/x", path: opts.Dir + "/x"}
	if err := o.createByRename(1000, 0o600, opts); err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	other := &Object{name: "/x", path: opts.Dir + "/x"}
	if err := other.createByRename(1000, 0o600, opts); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("taken: %v", err)
	}
	big := &Object{name: "/y", path: opts.Dir + "/y"}
	if err := big.createByRename(1<<62, 0o600, opts); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("too big: %v", err)
	}
	for _, closed := range []*Object{other, big} {
		if closed.FD() != -1 {
			t.Errorf("%s is open", closed.path)
		}
	}
	entries, err := os.ReadDir(opts.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "x" {
		t.Errorf("in the directory: %v", entries)
	}
}
