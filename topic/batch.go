package topic

import "context"

// NextBatch takes up to len(into) samples at once, and waits only for the
// first. It says how many; each is to be released.
func (s *Subscriber) NextBatch(ctx context.Context, into []Sample) (n int, err error) {
	if len(into) == 0 {
		return 0, nil
	}
	if into[0], err = s.Next(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n = 1; n < len(into); n++ {
		if into[n], err = s.take(); err != nil {
			return n, nil
		}
	}
	return n, nil
}
