package memfd

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Seals are promises about a memfd that nobody can take back.
type Seals int

// The seals of fcntl(2).
const (
	F_SEAL_SEAL         Seals = sys.F_SEAL_SEAL         // no further seals
	F_SEAL_SHRINK       Seals = sys.F_SEAL_SHRINK       // never shorter
	F_SEAL_GROW         Seals = sys.F_SEAL_GROW         // never longer
	F_SEAL_WRITE        Seals = sys.F_SEAL_WRITE        // contents never change
	F_SEAL_FUTURE_WRITE Seals = sys.F_SEAL_FUTURE_WRITE // no new ways to write: mappings that exist still can
	F_SEAL_EXEC         Seals = sys.F_SEAL_EXEC         // never executable, or always
)

var sealNames = [...]string{"seal", "shrink", "grow", "write", "future-write", "exec"}

// String names the seals: "shrink|grow", or "none".
func (s Seals) String() string {
	if s == 0 {
		return "none"
	}
	var names []string
	for i, n := range sealNames {
		if s&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	if rest := s &^ (1<<len(sealNames) - 1); rest != 0 {
		names = append(names, fmt.Sprintf("%#x", int(rest)))
	}
	return strings.Join(names, "|")
}

// Seals is fcntl(2) with F_GET_SEALS.
func (f *File) Seals() (Seals, error) {
	n, err := f.fd.Fcntl(sys.F_GET_SEALS, 0)
	if err != nil {
		return 0, f.wrap("F_GET_SEALS", err)
	}
	return Seals(n), nil
}

// AddSeals is fcntl(2) with F_ADD_SEALS. Seals add up. EPERM: F_SEAL_SEAL is
// on, or the descriptor is not open for writing; EBUSY: a writable shared
// mapping exists and F_SEAL_WRITE was asked for.
func (f *File) AddSeals(s Seals) error {
	_, err := f.fd.Fcntl(sys.F_ADD_SEALS, int(s))
	if err == nil {
		return nil
	}
	e := &sys.Error{Op: "F_ADD_SEALS " + s.String(), Kind: "memfd", Name: f.label(), Err: err}
	switch {
	case errors.Is(err, syscall.EBUSY):
		e.Hint = "unmap the writable shared mappings first, everyone's"
	case errors.Is(err, syscall.EPERM):
		if have, err := f.Seals(); err == nil && have&F_SEAL_SEAL != 0 {
			e.Hint = "sealing was not allowed at creation, or F_SEAL_SEAL has ended it"
		} else {
			e.Hint = "the descriptor must be open for writing"
		}
	}
	return e
}
