package posix

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// SemaphoreNameMax is the longest name of a semaphore in bytes, without its
// leading slashes: the file's name has four more.
const SemaphoreNameMax = NameMax - len(semaphorePrefix)

// glibc keeps sem_open("/x") in the file "sem.x" of the shared memory mount,
// in the form of its sem_t on machines of 64 bits, little-endian:
//
//	 0  4  value
//	 4  4  waiters
//	 8  4  0x80: shared between processes
//	12 20  unused
const (
	semaphorePrefix = "sem."
	semaphoreSize   = 32
	semaphoreShared = 0x80
)

// Semaphore is the state of a POSIX semaphore (sem_overview(7)) at one moment.
type Semaphore struct {
	Value   uint32 // how many sem_wait calls would not block
	Waiters uint32 // threads that wait
}

// ReadSemaphore reads the state of the semaphore that C programs open as
// sem_open(name), and changes nothing. It needs the right to read the file.
// What is there and is not a semaphore of glibc gives an error that is
// ErrType of package shm; no semaphore at all gives fs.ErrNotExist.
//
// Semaphores of musl cannot be told from objects: it keeps sem_open("/x") in
// the file that shm_open("/x") opens.
func ReadSemaphore(name string, opts *Options) (Semaphore, error) {
	address := Address(semaphorePrefix + strings.TrimLeft(name, "/"))
	fail := func(err error) (Semaphore, error) {
		return Semaphore{}, &sys.Error{Op: "read semaphore", Kind: "posix", Name: address, Err: err}
	}
	file, err := semaphoreFile(name)
	if err != nil {
		return fail(err)
	}
	o, err := Open(file, O_RDONLY, 0, opts)
	if err != nil {
		return Semaphore{}, err
	}
	defer o.Close()
	// One byte more than it has tells a larger file from it.
	var b [semaphoreSize + 1]byte
	n, err := o.fd.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return fail(err)
	}
	switch {
	case n != semaphoreSize:
		size, err := o.fd.Stat()
		if err != nil {
			return fail(err)
		}
		return fail(fmt.Errorf("a semaphore has %d bytes, this file %d: %w", semaphoreSize, size.Size, sys.ErrType))
	case binary.LittleEndian.Uint32(b[8:]) != semaphoreShared:
		return fail(fmt.Errorf("the file is not as glibc writes a semaphore: %w", sys.ErrType))
	}
	return Semaphore{
		Value:   binary.LittleEndian.Uint32(b[0:]),
		Waiters: binary.LittleEndian.Uint32(b[4:]),
	}, nil
}

// semaphoreFile gives the object's name of a semaphore, by glibc's rules.
// There are no forbidden names but the empty one: "." is the file "sem..".
func semaphoreFile(name string) (string, error) {
	clean := strings.TrimLeft(name, "/")
	switch {
	case clean == "":
		return "", fmt.Errorf("the name is empty: %w", syscall.EINVAL)
	case strings.ContainsAny(clean, "/\x00"):
		return "", fmt.Errorf("the name has a slash behind its start or a NUL byte: %w", syscall.EINVAL)
	case len(clean) > SemaphoreNameMax:
		return "", fmt.Errorf("the name has %d bytes, %d are allowed: %w", len(clean), SemaphoreNameMax, syscall.ENAMETOOLONG)
	}
	return "/" + semaphorePrefix + clean, nil
}

// Semaphore reports whether the file looks like a semaphore from outside, by
// name, kind and size, and gives the name with which sem_open(3) and
// ReadSemaphore find it. ReadSemaphore looks inside.
func (s *Status) Semaphore() (name string, ok bool) {
	clean, ok := strings.CutPrefix(s.Name, "/"+semaphorePrefix)
	if !ok || clean == "" || !s.Regular() || s.Size != semaphoreSize {
		return "", false
	}
	return "/" + clean, true
}
