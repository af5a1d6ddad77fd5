// Package shmnet is net.Conn and net.Listener over shared memory, for two
// processes on one machine: a drop-in for a Unix socket. The socket is still
// there, for addresses, permissions and waking each other up; the bytes go
// through memory.
//
//	l, err := shmnet.Listen(ctx, "/run/service.sock", nil)
//	err = http.Serve(l, handler)
//
//	d := shmnet.Dialer{Address: "/run/service.sock"}
//	client := http.Client{Transport: &http.Transport{DialContext: d.DialContext}}
//
// # Guarantees
//
//   - Whatever the peer writes or sends, nothing outside the ring is touched,
//     and the process does not fault: the memory is sealed, so that nobody can
//     cut it short. A peer that breaks the protocol gets its connection closed
//     with an error that says how.
//   - What was written before Close or CloseWrite is read to its end. The death
//     of the peer is seen as soon as the kernel tells it: io.EOF when it had
//     closed its side before, else syscall.ECONNRESET.
//   - No system call is made while the other side is awake. An idle
//     connection costs no thread, no goroutine and no time.
//   - The memory has no name: after the death of both ends nothing is left
//     but the listener's socket file, which the next listener replaces.
//   - Read and Write allocate nothing.
//
// # Limits
//
//   - Both sides must speak the protocol (spec/shmnet.md). Options.Plain falls
//     back to the plain socket for whoever does not.
//   - Descriptors cannot be sent over a connection, and there is no SyscallConn.
//   - Written means that the bytes are in the memory. A write to a peer that
//     was just killed can succeed, as into a socket's buffer.
//   - Slices of Peek are the memory itself: the peer can change them.
//   - A memory cgroup that has no room for a greater ring is looked at before
//     that is made. What others take after the look is a race that remains.
//   - Whether two processes may run at once decides about spinning: pinned to
//     one processor, a connection sleeps as a socket does. With more
//     connections at work than processors, who waits lets the others of its
//     process run before it sleeps.
//
// The bytes and the protocol are written down in spec/shmnet.md.
package shmnet

import (
	"errors"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// Causes on which callers branch, beside those of package net. Every error of
// this package but io.EOF is a *net.OpError around one.
var (
	// ErrCorrupt: the peer broke the protocol; the connection is closed.
	ErrCorrupt = sys.ErrCorrupt

	// ErrVersion: the peer speaks other versions of the protocol.
	ErrVersion = sys.ErrVersion

	// ErrNotProtocol: who answered does not speak this protocol, or closed
	// the connection at the first bytes of it.
	ErrNotProtocol = errors.New("the other side does not speak the protocol of shmnet")
)
