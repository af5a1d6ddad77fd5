package shmnet

import (
	"encoding/binary"
	"fmt"
	"structs"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/internal/sys"
)

// The memory of a connection, spec/shmnet.md, section 2.
const (
	memoryMagic   = "shmnetm\n"
	memoryVersion = 1
	controlSize   = 4096

	directionAt     = 1024 // lines of the direction from client to server
	directionStride = 1024 // from it to those of the other one
	receiverAt      = 128  // in a direction
	receiverNapAt   = 256
	senderNapAt     = 384

	ringLeast = 4 << 10
	ringMost  = 1 << 30
)

// senderLine is written by who sends.
type senderLine struct {
	_      structs.HostLayout
	Tail   uint64 // bytes sent
	MoveAt uint64 // tail at the last move
	Moves  uint32 // moves made
	MoveTo uint32 // generation moved to
	Offer  uint32 // offers made
	Fin    uint32 // 1: nothing comes after tail
}

// receiverLine is written by who takes.
type receiverLine struct {
	_      structs.HostLayout
	Head   uint64 // bytes taken
	Answer uint64 // generation << 1 | accepted
	Moved  uint32 // moves followed
	_      uint32
}

// receiverNap is written by who takes.
type receiverNap struct {
	_    structs.HostLayout
	Nap  uint32
	Shut uint32 // 1: it takes no more
}

// senderNap is written by who sends.
type senderNap struct {
	_    structs.HostLayout
	Nap  uint32
	_    uint32
	Want uint64 // the head that it sleeps for
}

// lines are those of one direction.
type lines struct {
	sender      *senderLine
	receiver    *receiverLine
	receiverNap *receiverNap
	senderNap   *senderNap
}

// linesOf gives the lines of direction 0, from client to server, or 1.
func linesOf(r mem.Region, direction int) (l lines, err error) {
	at := int64(directionAt + direction*directionStride)
	l.sender = place[senderLine](r, at, &err)
	l.receiver = place[receiverLine](r, at+receiverAt, &err)
	l.receiverNap = place[receiverNap](r, at+receiverNapAt, &err)
	l.senderNap = place[senderNap](r, at+senderNapAt, &err)
	return l, err
}

func place[T any](r mem.Region, off int64, err *error) *T {
	p, e := mem.Pointer[T](r, off)
	if *err == nil {
		*err = e
	}
	return p
}

// sizes are those of the two rings of a first memory.
type sizes [2]int64

// total is the size of the memory.
func (s sizes) total() int64 { return controlSize + s[0] + s[1] }

// check refuses what cannot be, or is more than most.
func (s sizes) check(most int64) error {
	for _, n := range s {
		if err := checkRing(n, most); err != nil {
			return err
		}
	}
	return nil
}

func checkRing(n, most int64) error {
	switch {
	case n < ringLeast || n > ringMost || n&(n-1) != 0:
		return fmt.Errorf("a ring of %d bytes: it must be a power of two from %d to %d: %w", n, ringLeast, ringMost, sys.ErrCorrupt)
	case n > most:
		return fmt.Errorf("a ring of %d bytes, and %d are allowed: %w", n, most, sys.ErrNoSpace)
	}
	return nil
}

// ring gives the bytes of a direction's first ring.
func (s sizes) ring(r mem.Region, direction int) []byte {
	at := int64(controlSize)
	if direction == 1 {
		at += s[0]
	}
	return r.Bytes()[at : at+s[direction] : at+s[direction]]
}

// writeHeader makes zeroed memory that of a connection.
func (s sizes) writeHeader(r mem.Region) {
	b, le := r.Bytes(), binary.LittleEndian
	copy(b, memoryMagic)
	le.PutUint32(b[8:], memoryVersion)
	le.PutUint32(b[12:], controlSize)
	le.PutUint64(b[16:], uint64(s.total()))
	le.PutUint32(b[24:], uint32(s[0]))
	le.PutUint32(b[28:], uint32(s[1]))
}

// checkHeader compares the header with what the hello said. Nothing in it is
// used afterwards.
func (s sizes) checkHeader(r mem.Region) error {
	var b [32]byte
	copy(b[:], r.Bytes())
	le := binary.LittleEndian
	switch {
	case string(b[:8]) != memoryMagic:
		return fmt.Errorf("the memory begins with %q, not with %q: %w", b[:8], memoryMagic, sys.ErrCorrupt)
	case le.Uint32(b[8:]) != memoryVersion:
		return fmt.Errorf("the memory has layout %d, known is %d: %w", le.Uint32(b[8:]), memoryVersion, sys.ErrVersion)
	case le.Uint32(b[12:]) != controlSize || le.Uint64(b[16:]) != uint64(s.total()) ||
		le.Uint32(b[24:]) != uint32(s[0]) || le.Uint32(b[28:]) != uint32(s[1]):
		return fmt.Errorf("the sizes in the memory are not those of the hello: %w", sys.ErrCorrupt)
	}
	return nil
}
