//go:build !plan9

package procfs

import (
	"errors"
	"syscall"
)

// isESRCH reports whether err is ESRCH, "no such process".
func isESRCH(err error) bool {
	return errors.Is(err, syscall.ESRCH)
}
