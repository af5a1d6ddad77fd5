package posix

import (
	"errors"
	"fmt"
	"math"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Reserve is fallocate(2): it takes memory for length bytes from offset on
// and makes the object at least so long. Where there is not enough it fails
// with ENOSPC, now and not by a SIGBUS later; what was reserved until then
// stays. More than can be free is refused before anything is taken. The
// contents do not change.
func (o *Object) Reserve(offset, length int64) error {
	err := o.reserve(offset, length)
	switch {
	case errors.Is(err, syscall.EINVAL):
		err = fmt.Errorf("%d bytes from %d on: %w", length, offset, err)
	case errors.Is(err, syscall.EBADF):
		err = fmt.Errorf("the object is not open for writing: %w", err)
	case errors.Is(err, syscall.EFBIG):
		err = fmt.Errorf("%d bytes from %d on are more than RLIMIT_FSIZE (ulimit -f) or the file system allows: %w", length, offset, err)
	}
	return o.wrap("fallocate", err)
}

func (o *Object) reserve(offset, length int64) error {
	if err := o.fits(length); err != nil {
		return err
	}
	return o.fd.Reserve(offset, length)
}

// fits says ENOSPC when length bytes cannot be there, whatever the object has
// of them already. The kernel would find out only after it has taken all that
// is free, from everyone else who needs it meanwhile.
func (o *Object) fits(length int64) error {
	st, err := o.fd.Stat()
	if err != nil {
		return err
	}
	fs, err := sys.Fstatfs(o.fd.Int())
	if err != nil || fs.Blocks == 0 || fs.BlockSize <= 0 {
		return nil // without a limit, or it does not tell
	}
	blocks := fs.Blocks
	if fs.Type == sys.TMPFS_MAGIC {
		// Elsewhere what is free is an estimate.
		blocks = fs.Free
	}
	room := int64(math.MaxInt64)
	if blocks < math.MaxInt64/uint64(fs.BlockSize) {
		room = int64(blocks) * fs.BlockSize
	}
	if own := st.Blocks * 512; length > own && length-own > room {
		return fmt.Errorf("%d bytes are asked for and %d are free: %w", length, room, syscall.ENOSPC)
	}
	return nil
}
