package shm

import (
	"io"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/memfd"
)

// Segment is shared memory that is mapped into this process. Create, Open
// and OpenOrCreate make one; Close ends it.
//
// All methods may be called concurrently, also with Close. Bytes themselves
// are shared with other goroutines and processes: nothing orders or locks
// accesses to them but what the peers agree on.
type Segment struct {
	gate     mem.Gate
	kind     Kind
	address  string
	region   mem.Region
	readOnly bool
	backing  backing
}

// backing is what differs between the kinds of memory.
type backing interface {
	// size is the object's size now, which another process may have changed.
	size() (int64, error)
	// truncatable reports whether another process could still make it
	// shorter.
	truncatable() bool
	// full reports whether the mount that holds the object has no page left.
	full() bool
	info() (Info, error)
	remove() error
	// close unmaps and lets go. It is called once.
	close() error
}

// Address is the address by which the memory can be opened again: what it
// was opened by, or, where that would not do it (sysv:private, memfd:NAME),
// by identifier or descriptor.
func (s *Segment) Address() string { return s.address }

// Size is the number of bytes that are mapped: the object's size when it was
// opened.
func (s *Segment) Size() int64 { return int64(s.region.Len()) }

// ReadOnly reports whether the memory cannot be written through s.
func (s *Segment) ReadOnly() bool { return s.readOnly }

// Truncatable reports whether another process could make the object shorter
// while it is mapped, so that touching Bytes would be a fatal SIGBUS. System
// V segments and memfds with F_SEAL_SHRINK never can be. It is false after
// Close.
func (s *Segment) Truncatable() bool {
	if !s.gate.Enter() {
		return false
	}
	defer s.gate.Leave()
	return s.backing.truncatable()
}

// Bytes is the memory itself, not a copy; nil after Close. It must not be
// touched after Close, nor written when s is ReadOnly, and see Truncatable.
// View and Update are the safe way to the same bytes.
func (s *Segment) Bytes() []byte {
	if s.gate.Closed() {
		return nil
	}
	return s.region.Bytes()
}

// View calls fn with the memory itself and gives what fn gives. Close waits
// for it. When fn touches a page that a peer has cut off, View gives
// ErrTruncated, and fn ends there as by a panic. The slice must not be kept
// nor, if s is ReadOnly, written; s must not be closed in fn.
func (s *Segment) View(fn func(b []byte) error) error {
	return s.use("view", fn)
}

// Update is View for writing: it refuses a Segment that is ReadOnly.
func (s *Segment) Update(fn func(b []byte) error) error {
	if s.readOnly {
		return s.fail("update", errReadOnly)
	}
	return s.use("update", fn)
}

func (s *Segment) use(op string, fn func(b []byte) error) error {
	if !s.gate.Enter() {
		return s.fail(op, ErrClosed)
	}
	defer s.gate.Leave()
	return s.explain(op, s.region.Guard(func() error { return fn(s.region.Bytes()) }), true)
}

// ReadAt copies from the memory at off into p (io.ReaderAt): io.EOF when it
// ends before p is full. After ErrTruncated, n bytes were still there and
// are in p. Nothing makes the copy atomic: a peer may write meanwhile.
func (s *Segment) ReadAt(p []byte, off int64) (n int, err error) {
	if !s.gate.Enter() {
		return 0, s.fail("read", ErrClosed)
	}
	if uint64(off) >= uint64(s.region.Len()) {
		s.gate.Leave()
		switch {
		case off < 0:
			return 0, s.fail("read", &mem.BoundsError{Off: off, Size: uintptr(len(p)), Len: s.Size()})
		case len(p) == 0:
			return 0, nil
		}
		return 0, io.EOF
	}
	n, ok := s.region.TryReadAt(p, off)
	if !ok {
		// It leaves the gate.
		return s.readAgain(p, off)
	}
	s.gate.Leave()
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *Segment) readAgain(p []byte, off int64) (n int, err error) {
	defer s.gate.Leave()
	n, err = s.region.ReadAt(p, off)
	if err == nil && n < len(p) {
		return n, io.EOF
	}
	return n, s.explain("read", err, false)
}

// WriteAt copies p into the memory at off (io.WriterAt). What does not fit is
// refused before a byte is written. After ErrTruncated, n bytes were
// written.
func (s *Segment) WriteAt(p []byte, off int64) (n int, err error) {
	if !s.gate.Enter() {
		return 0, s.fail("write", ErrClosed)
	}
	switch {
	case s.readOnly:
		err = errReadOnly
	default:
		err = s.region.Check(off, uintptr(len(p)), 1)
	}
	if err != nil || len(p) == 0 {
		s.gate.Leave()
		return 0, s.fail("write", err)
	}
	n, ok := s.region.TryWriteAt(p, off)
	if !ok {
		// It leaves the gate.
		return s.writeAgain(p, off)
	}
	s.gate.Leave()
	return n, nil
}

func (s *Segment) writeAgain(p []byte, off int64) (n int, err error) {
	defer s.gate.Leave()
	n, err = s.region.WriteAt(p, off)
	return n, s.explain("write", err, true)
}

// Reader reads the memory from its start to its end.
func (s *Segment) Reader() *io.SectionReader { return io.NewSectionReader(s, 0, s.Size()) }

// Writer writes the memory from off on; what does not fit is an error.
func (s *Segment) Writer(off int64) *io.OffsetWriter { return io.NewOffsetWriter(s, off) }

// Memfd gives the descriptor behind a Segment of kind Memfd, to be handed to
// another process with memfd.Send; nil for other kinds. It stays the
// Segment's, which closes it.
func (s *Segment) Memfd() *memfd.File {
	if b, ok := s.backing.(*memfdBacking); ok {
		return b.file
	}
	return nil
}

// Info asks the kernel what it knows about the memory now.
func (s *Segment) Info() (Info, error) {
	if !s.gate.Enter() {
		return Info{}, s.fail("info", ErrClosed)
	}
	defer s.gate.Leave()
	i, err := s.backing.info()
	if err != nil {
		return Info{}, s.fail("info", err)
	}
	i.Address = s.address
	return i, nil
}

// Remove takes the object's name away: nobody finds it any more, and the
// memory goes when the last process has closed it. ErrRemoved says that
// somebody has done so before; then a name that stands for another object by
// now is left alone. A memfd has no name, and nothing happens. The Segment
// stays usable.
func (s *Segment) Remove() error {
	if !s.gate.Enter() {
		return s.fail("remove", ErrClosed)
	}
	defer s.gate.Leave()
	return s.fail("remove", s.backing.remove())
}

// Close unmaps the memory and lets go of the object, which goes on to exist
// as long as it has a name or another process uses it. Close waits for
// methods at work, View and Update included, so it must not be called from
// their callbacks; methods called from then on give ErrClosed. Later calls
// do nothing and give nil.
func (s *Segment) Close() error {
	if !s.gate.Close() {
		return nil
	}
	return s.fail("close", s.backing.close())
}

// fail gives an error of this Segment, or nil for nil.
func (s *Segment) fail(op string, err error) error { return named(err, op, s.kind, s.address) }
