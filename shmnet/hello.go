package shmnet

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"strings"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// The handshake, spec/shmnet.md, section 1.
const (
	helloMagic   = "shmnet\r\n"
	helloSize    = 64
	versionMost  = 1
	versionLeast = 1

	flagMemory = 1
	flagPlain  = 2
	flagsKnown = flagMemory | flagPlain

	// tagMemory is the byte that a descriptor travels with: memfd.Send's.
	tagMemory = 'm'

	textMost = 1024
)

// hello is what a client says first.
type hello struct {
	version, least uint32
	features       uint64
	flags          uint32
	sizes          sizes
	takes          int64
}

func (h *hello) encode() []byte {
	b, le := make([]byte, helloSize), binary.LittleEndian
	copy(b, helloMagic)
	le.PutUint32(b[8:], h.version)
	le.PutUint32(b[12:], h.least)
	le.PutUint64(b[16:], h.features)
	le.PutUint32(b[24:], helloSize)
	le.PutUint32(b[28:], h.flags)
	if h.flags&flagMemory != 0 {
		le.PutUint64(b[32:], uint64(h.sizes.total()))
	}
	le.PutUint32(b[40:], uint32(h.sizes[0]))
	le.PutUint32(b[44:], uint32(h.sizes[1]))
	le.PutUint32(b[48:], uint32(h.takes))
	return b
}

// refusal is an error that the other side is told, with a reason.
type refusal struct {
	reason uint32
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(reason uint32, format string, args ...any) error {
	return &refusal{reason, fmt.Errorf(format, args...)}
}

// decodeHello reads a hello that begins with the magic. most is the greatest
// ring that is allowed.
func decodeHello(b []byte, most int64) (h hello, err error) {
	le := binary.LittleEndian
	h = hello{
		version: le.Uint32(b[8:]), least: le.Uint32(b[12:]), features: le.Uint64(b[16:]), flags: le.Uint32(b[28:]),
		sizes: sizes{int64(le.Uint32(b[40:])), int64(le.Uint32(b[44:]))}, takes: int64(le.Uint32(b[48:])),
	}
	switch {
	case h.version < versionLeast || h.least > versionMost || h.least > h.version:
		return h, refuse(reasonVersion, "the client speaks versions %d to %d of the protocol, this side %d to %d: %w", h.least, h.version, versionLeast, versionMost, sys.ErrVersion)
	case uint32(h.features) != 0:
		return h, refuse(reasonFeatures, "the client asks for features %#x, which are not known: %w", uint32(h.features), sys.ErrVersion)
	case le.Uint32(b[24:]) != helloSize:
		return h, refuse(reasonMalformed, "the hello says that it has %d bytes: %w", le.Uint32(b[24:]), sys.ErrCorrupt)
	case h.flags&^flagsKnown != 0:
		return h, refuse(reasonMalformed, "the hello has flags %#x: %w", h.flags, sys.ErrCorrupt)
	case h.takes > ringMost:
		return h, refuse(reasonMalformed, "the client accepts rings of %d bytes: %w", h.takes, sys.ErrCorrupt)
	case h.flags&flagMemory == 0:
		return h, nil
	case le.Uint64(b[32:]) != uint64(h.sizes.total()):
		return h, refuse(reasonMalformed, "the hello speaks of %d bytes of memory, and of rings of %d and %d: %w", le.Uint64(b[32:]), h.sizes[0], h.sizes[1], sys.ErrCorrupt)
	}
	if err := h.sizes.check(ringMost); err != nil {
		return h, &refusal{reasonMalformed, err}
	}
	if err := h.sizes.check(most); err != nil {
		return h, &refusal{reasonTooLarge, err}
	}
	return h, nil
}

// What an answer says.
const (
	statusMemory  = 1
	statusPlain   = 2
	statusRefused = 3

	reasonVersion    = 1
	reasonFeatures   = 2
	reasonMalformed  = 3
	reasonMemory     = 4
	reasonTooLarge   = 5
	reasonNotAllowed = 6
	reasonNoMeans    = 7
)

// answer is what a server says to a hello.
type answer struct {
	version, least uint32
	features       uint64
	status, reason uint32
	takes          int64
	text           string
}

func (a *answer) encode() []byte {
	text := a.text[:min(len(a.text), textMost)]
	b, le := make([]byte, helloSize, helloSize+len(text)), binary.LittleEndian
	copy(b, helloMagic)
	le.PutUint32(b[8:], a.version)
	le.PutUint32(b[12:], a.least)
	le.PutUint64(b[16:], a.features)
	le.PutUint32(b[24:], uint32(helloSize+len(text)))
	le.PutUint32(b[28:], a.status)
	le.PutUint32(b[32:], a.reason)
	le.PutUint32(b[36:], uint32(a.takes))
	return append(b, text...)
}

// decodeAnswer reads the fixed part of an answer, and says how long its text
// is.
func decodeAnswer(b []byte) (a answer, text int, err error) {
	le := binary.LittleEndian
	size := le.Uint32(b[24:])
	a = answer{
		version: le.Uint32(b[8:]), least: le.Uint32(b[12:]), features: le.Uint64(b[16:]),
		status: le.Uint32(b[28:]), reason: le.Uint32(b[32:]), takes: int64(le.Uint32(b[36:])),
	}
	switch {
	case size < helloSize || size > helloSize+textMost:
		return a, 0, fmt.Errorf("the answer says that it has %d bytes: %w", size, sys.ErrCorrupt)
	case a.status < statusMemory || a.status > statusRefused:
		return a, 0, fmt.Errorf("the answer has status %d: %w", a.status, sys.ErrCorrupt)
	case a.status != statusRefused && (a.version < versionLeast || a.version > versionMost):
		return a, 0, fmt.Errorf("the server speaks version %d of the protocol, this side %d to %d: %w", a.version, versionLeast, versionMost, sys.ErrVersion)
	case a.status != statusRefused && uint32(a.features) != 0:
		return a, 0, fmt.Errorf("the server uses features %#x that were not asked for: %w", a.features, sys.ErrCorrupt)
	case a.takes > ringMost:
		return a, 0, fmt.Errorf("the server accepts rings of %d bytes: %w", a.takes, sys.ErrCorrupt)
	}
	return a, int(size - helloSize), nil
}

// cause is the error on which callers branch for a reason.
func (a *answer) cause() error {
	switch a.reason {
	case reasonVersion, reasonFeatures:
		return sys.ErrVersion
	case reasonNotAllowed:
		return fs.ErrPermission
	case reasonNoMeans, reasonTooLarge:
		return sys.ErrNoSpace
	}
	return sys.ErrCorrupt
}

// refused makes an error of an answer. Its text may come from a stranger.
func (a *answer) refused() error {
	text := strings.ToValidUTF8(a.text, "?")
	if a.reason == reasonVersion {
		return fmt.Errorf("the server refuses: it speaks versions %d to %d of the protocol, this side %d to %d: %w", a.least, a.version, versionLeast, versionMost, a.cause())
	}
	return fmt.Errorf("the server refuses: %q: %w", text, a.cause())
}
