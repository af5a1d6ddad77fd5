package topic

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
)

// NextBatch takes up to len(into) samples at once, and waits only for the
// first. It says how many; each is to be released, also where an error comes
// with them.
func (s *Subscriber) NextBatch(ctx context.Context, into []Sample) (n int, err error) {
	if len(into) == 0 {
		return 0, nil
	}
	if into[0], err = s.Next(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n = 1
	defer s.caught(debug.SetPanicOnFault(true), "next", &err)
	for ; n < len(into); n++ {
		if into[n], err = s.take(); err != nil {
			if errors.Is(err, ErrEmpty) || errors.Is(err, ErrHeld) || errors.Is(err, io.EOF) {
				err = nil // the next call says it again
			}
			break
		}
	}
	return n, err
}
