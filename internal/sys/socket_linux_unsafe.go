//go:build linux && (amd64 || arm64 || loong64 || riscv64)

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/point"
)

// SendBell sends one byte of 0 on a Unix socket and never waits. EAGAIN says
// that so many are there that nothing more fits.
func SendBell(fd int) error {
	point.Pass("bell", 0, 0)
	var zero [1]byte
	for {
		_, _, e := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&zero)), 1, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch e {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return e
		}
	}
}

// SendFD sends the byte tag with one descriptor (SCM_RIGHTS) and never waits.
func SendFD(fd int, tag byte, send int) error {
	point.Pass("send", 0, 0)
	for {
		err := unix.Sendmsg(fd, []byte{tag}, unix.UnixRights(send), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// oneRight is a control message with one descriptor.
type oneRight struct {
	cmsg unix.Cmsghdr
	fd   int32
	_    int32
}

// RecvBells reads what a Unix stream socket has, at most len(p) bytes, and
// never waits; 0 bytes without an error are the end. With take, a descriptor
// that comes along is given, close-on-exec; else, and beyond the first, the
// kernel closes it. right is -1 without one; lost says that one was sent and
// could not be delivered or was not wanted.
func RecvBells(fd int, p []byte, take bool) (n, right int, lost bool, err error) {
	var control oneRight
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	msg := unix.Msghdr{Iov: &iov, Iovlen: 1}
	if take {
		msg.Control = (*byte)(unsafe.Pointer(&control))
		msg.SetControllen(unix.CmsgLen(4))
	}
	for {
		// Raw, because it never waits: the scheduler need not know.
		r, _, e := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return 0, -1, false, e
		}
		n = int(r)
		break
	}
	right = -1
	if take && msg.Controllen >= uint64(unix.CmsgLen(4)) && control.cmsg.Level == unix.SOL_SOCKET && control.cmsg.Type == unix.SCM_RIGHTS {
		right = int(control.fd)
	}
	return n, right, msg.Flags&unix.MSG_CTRUNC != 0, nil
}

// Quiet reports that there is nothing to read from a socket, not its end either.
// It is the same as to try RecvBells, and takes less time.
func Quiet(fd int) bool {
	var p [1]byte
	_, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
	return e == unix.EAGAIN
}

// PeerCredentials is getsockopt(2) with SO_PEERCRED.
func PeerCredentials(fd int) (Credentials, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Credentials{}, err
	}
	return Credentials{PID: int(c.Pid), UID: int(c.Uid), GID: int(c.Gid)}, nil
}

// TryLock is flock(2) with LOCK_EX, and never waits: EAGAIN when somebody
// else has the lock. It goes with the descriptor.
func TryLock(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != unix.EINTR {
			return err
		}
	}
}
