package shmnet

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math/bits"
	"time"
)

// Defaults of Options.
const (
	DefaultRing      = 16 << 10
	DefaultMaxRing   = 1 << 20
	DefaultHandshake = 5 * time.Second
)

// Options are wishes for Listen and Dial. A nil *Options means none.
type Options struct {
	// Ring is the size in bytes of the ring that each direction begins with,
	// rounded up to a power of two; 0: DefaultRing. The client's counts.
	Ring int

	// MaxRing is what a ring may grow to under load, in either direction; 0:
	// DefaultMaxRing, less than Ring: rings do not grow. A listener also
	// refuses clients that begin with greater ones.
	MaxRing int

	// Plain allows the plain socket where memory cannot be shared: it cannot
	// be made or handed over, or the other side does not speak this protocol.
	// Conn.Stats tells. A dialler connects anew then; a listener serves
	// clients that send something else than the protocol's first bytes, but
	// not those that wait for the server to speak first.
	Plain bool

	// Handshake is how long a peer may take until the connection is made; 0:
	// DefaultHandshake. Dial has its context besides.
	Handshake time.Duration

	// UIDs are the users who may be at the other end; empty: all who can
	// connect to the socket. The kernel says who it is (SO_PEERCRED).
	UIDs []int

	// Mode is that of a listener's socket file; 0: 0600. Who may write it may
	// connect. Abstract addresses have no mode: everybody may, so that UIDs
	// matter.
	Mode fs.FileMode

	// Owner and Group of the socket file as numbers, if SetOwner. -1 leaves
	// one as it is.
	SetOwner     bool
	Owner, Group int

	// Logger is told of handshakes that failed; nil: nobody is.
	Logger *slog.Logger
}

func (o *Options) orDefault() (Options, error) {
	var v Options
	if o != nil {
		v = *o
	}
	if v.Ring == 0 {
		v.Ring = DefaultRing
	}
	if v.MaxRing == 0 {
		v.MaxRing = max(DefaultMaxRing, v.Ring)
	}
	if v.Handshake == 0 {
		v.Handshake = DefaultHandshake
	}
	if v.Mode == 0 {
		v.Mode = 0o600
	}
	for _, n := range []int{v.Ring, v.MaxRing} {
		if n < 0 || n > ringMost {
			return v, fmt.Errorf("a ring of %d bytes: at most %d are possible: %w", n, ringMost, fs.ErrInvalid)
		}
	}
	if v.Handshake < 0 {
		return v, fmt.Errorf("a handshake of %v: %w", v.Handshake, fs.ErrInvalid)
	}
	v.Ring = roundRing(v.Ring)
	v.MaxRing = max(roundRing(v.MaxRing), v.Ring)
	return v, nil
}

// roundRing gives the least possible size of a ring that is not less than n.
func roundRing(n int) int { return max(1<<bits.Len(uint(max(n, 1)-1)), ringLeast) }

// takes is the greatest ring that is accepted later, 0 for none.
func (o *Options) takes() int64 {
	if o.MaxRing <= o.Ring {
		return 0
	}
	return int64(o.MaxRing)
}
