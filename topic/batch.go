package topic

import (
	"context"
	"errors"
	"io"
)

// NextBatch takes up to len(into) samples at once, and waits only for the
// first. It says how many; each is to be released, also where an error comes
// with them.
func (s *Subscriber) NextBatch(ctx context.Context, into []Sample) (n int, err error) {
	if len(into) == 0 {
		return 0, nil
	}
	if n, err = s.tryBatch(into); n == 0 && err != nil && errors.Is(err, ErrEmpty) {
		if into[0], err = s.Next(ctx); err != nil {
			return 0, err
		}
		n, err = s.tryBatch(into[1:])
		n++
	}
	if n > 0 && (errors.Is(err, ErrEmpty) || errors.Is(err, ErrHeld) || errors.Is(err, io.EOF)) {
		err = nil // the next call says it again
	}
	return n, err
}
