package shm_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/shmtest"
)

func TestSegmentOfEveryKind(t *testing.T) {
	for _, addr := range []string{"posix:/" + shmtest.Name(t), "sysv:private", "memfd:x"} {
		t.Run(addr, func(t *testing.T) {
			s, err := shm.Create(addr, 5000, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.WriteAt([]byte("hello"), 4995); err != nil {
				t.Fatal(err)
			}
			r, err := shm.Open(s.Address(), &shm.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			b := make([]byte, 5)
			if _, err := r.ReadAt(b, 4995); err != nil || string(b) != "hello" {
				t.Fatalf("%q, %v", b, err)
			}
			if err := s.Remove(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.ReadAt(b, 0); !errors.Is(err, fs.ErrClosed) {
				t.Fatal(err)
			}
		})
	}
}

func TestTruncatedUnderUs(t *testing.T) {
	name := shmtest.Name(t)
	s, err := shm.Create(name, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer s.Remove()
	if err := os.Truncate("/dev/shm/"+name, 8192); err != nil {
		t.Fatal(err)
	}
	n, err := s.ReadAt(make([]byte, 1<<20), 100)
	if n != 8092 || !errors.Is(err, shm.ErrTruncated) {
		t.Fatal(n, err)
	}
	t.Log(err)
	n, err = s.WriteAt(make([]byte, 1<<19), 0)
	if n != 8192 || !errors.Is(err, shm.ErrTruncated) {
		t.Fatal(n, err)
	}
	err = s.View(func(b []byte) error { sink = b[500000]; return nil })
	if !errors.Is(err, shm.ErrTruncated) {
		t.Fatal(err)
	}
}
