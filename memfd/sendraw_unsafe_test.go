package memfd_test

import (
	"net"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendRaw is sendmsg(2) as it is: the functions of Go add a byte of data to
// descriptors that have none.
func sendRaw(t testing.TB, c *net.UnixConn, data, oob []byte) {
	t.Helper()
	control(t, c, func(fd int) error {
		iov := unix.Iovec{Base: unsafe.SliceData(data)}
		iov.SetLen(len(data))
		msg := unix.Msghdr{Iov: &iov, Control: unsafe.SliceData(oob)}
		msg.SetIovlen(1)
		msg.SetControllen(len(oob))
		if _, _, e := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), 0); e != 0 {
			return e
		}
		return nil
	})
}
