package shmnet

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/seed-298b2b26/shm/internal/sockfile"
)

// network is what the addresses' Network says.
const network = "unix"

// parse makes an address of the path of a socket file, or, where it begins
// with @, of an abstract name.
func parse(address string) (*net.UnixAddr, error) {
	switch {
	case address == "" || address == "@":
		// The kernel would choose a name of its own.
		return nil, fmt.Errorf("the address is empty: it is a path, or @ and a name: %w", syscall.EINVAL)
	case strings.ContainsRune(address, 0):
		return nil, fmt.Errorf("the address contains a zero byte: %w", syscall.EINVAL)
	case len(address) > sockfile.PathMost:
		return nil, fmt.Errorf("the address has %d bytes, a socket's has at most %d (enter its directory, or use a shorter one): %w", len(address), sockfile.PathMost, syscall.ENAMETOOLONG)
	}
	return &net.UnixAddr{Name: address, Net: network}, nil
}

func newSyscallError(op string, no syscall.Errno) error { return os.NewSyscallError(op, no) }

// Peer is who is at the other end, as the kernel says: of a client, who
// connected; of a server, who began to listen.
type Peer struct {
	PID, UID, GID int
}

// Peer gives who is at the other end. The numbers are those of the namespaces
// of this process; a process that this one cannot see has PID 0.
func (c *Conn) Peer() Peer { return Peer(c.peer) }
