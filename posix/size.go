package posix

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// How long WaitSize sleeps between two looks. A C creator needs a few
// microseconds from shm_open to ftruncate.
const (
	firstLook = 20 * time.Microsecond
	lastLook  = 10 * time.Millisecond
)

// Size is the object's size in bytes. Size 0 is an error that is ErrNotReady
// of package shm: it is an object whose creator, as C programs do, has made
// the name and not given it a size yet, or never will.
func (o *Object) Size() (int64, error) {
	st, err := o.fd.Stat()
	switch {
	case err != nil:
		return 0, o.wrap("fstat", err)
	case st.Size == 0:
		return 0, o.wrap("size", sys.ErrNotReady)
	}
	return st.Size, nil
}

// WaitSize is Size that waits, until ctx ends, for an object that has size 0.
// It looks again and again, at first quickly: the kernel does not tell. The
// error at the end is both ErrNotReady of package shm and that of ctx.
func (o *Object) WaitSize(ctx context.Context) (int64, error) {
	var timer *time.Timer
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		st, err := o.fd.Stat()
		if err != nil {
			return 0, o.wrap("fstat", err)
		}
		if st.Size != 0 {
			return st.Size, nil
		}
		if err := context.Cause(ctx); err != nil {
			return 0, o.wrap("size", fmt.Errorf("%w: %w", sys.ErrNotReady, err))
		}
		if timer == nil {
			timer = time.NewTimer(pause)
			defer timer.Stop()
		} else {
			timer.Reset(pause)
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
