package sys

import "golang.org/x/sys/unix"

// Socketpair is socketpair(2): two Unix stream sockets that are connected to
// one another, close-on-exec.
func Socketpair() (pair [2]int, err error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}
