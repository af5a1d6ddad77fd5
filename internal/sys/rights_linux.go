//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import "golang.org/x/sys/unix"

// MSG_CMSG_CLOEXEC makes received descriptors close-on-exec.
const MSG_CMSG_CLOEXEC = unix.MSG_CMSG_CLOEXEC

// MSG_CTRUNC says that the kernel threw away control data: a descriptor was
// sent and could not be delivered.
const MSG_CTRUNC = unix.MSG_CTRUNC

// MSG_TRUNC says that a packet was longer than the buffer.
const MSG_TRUNC = unix.MSG_TRUNC

// Rights encodes descriptors as an SCM_RIGHTS control message (unix(7)).
func Rights(fds ...int) []byte { return unix.UnixRights(fds...) }

// RightsSpace is the room that a control message with n descriptors takes.
func RightsSpace(n int) int { return unix.CmsgSpace(4 * n) }

// ParseRights gives every descriptor in a control message. On an error, the
// descriptors that could be parsed are returned with it, to be closed.
func ParseRights(oob []byte) (fds []int, err error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range msgs {
		if msgs[i].Header.Level != unix.SOL_SOCKET || msgs[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		got, e := unix.ParseUnixRights(&msgs[i])
		fds = append(fds, got...)
		if e != nil {
			err = e
		}
	}
	return fds, err
}
