package memfd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/seed-298b2b26/shm/internal/sys"
)

// tag is the one byte of data that carries a descriptor. A control message
// cannot travel without data.
const tag = 'm'

// maxRights is the kernel's limit of descriptors in one message
// (SCM_MAX_FD, unix(7)).
const maxRights = 253

// Send hands the memory to the peer of a Unix socket: one byte 'm' with the
// descriptor as SCM_RIGHTS (unix(7)), so that a C program can take it with
// one recvmsg. The File stays open and the caller's. On a stream socket the
// byte stands in order between the other bytes that are sent. When ctx ends
// the call, the connection has no write deadline afterwards; else the
// deadline that it had holds and stays.
func Send(ctx context.Context, c *net.UnixConn, f *File) error {
	fd := f.FD()
	if fd < 0 {
		return f.wrap("send", os.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return f.wrap("send", err)
	}
	defer bound(ctx, c.SetWriteDeadline)()
	_, _, err := c.WriteMsgUnix([]byte{tag}, sys.Rights(fd), nil)
	if err != nil {
		return f.wrap("send", ctxError(ctx, err))
	}
	return nil
}

// Want is what Receive demands of the memory that arrives.
type Want struct {
	MinSize, MaxSize int64 // bytes; MaxSize 0 means no limit
	Seals            Seals // must all be on
	NoSeals          Seals // none of them may be on
	Writable         bool  // the descriptor must be open for writing
	Huge             bool  // memory of huge pages is welcome too
}

// Safe is the demand under which bytes of the memory can be touched without
// fear of the peer: nobody can ever truncate it.
var Safe = Want{Seals: F_SEAL_SHRINK}

// Receive takes the memory that the peer of a Unix socket hands over with
// Send. What does not meet want (nil demands only that it is a memfd that can
// be read) is closed and gives an error that says what was wrong; so is every
// surplus descriptor. Exactly one byte of the stream, or one packet, is read.
// A peer that closed the connection before gives io.EOF. When ctx ends the
// call, the connection has no read deadline afterwards; else the deadline
// that it had holds and stays.
//
// The peer may keep the same open file: it can change the flags O_APPEND and
// O_NONBLOCK of it, and what no seal forbids it can do at any time.
func Receive(ctx context.Context, c *net.UnixConn, want *Want) (*File, error) {
	fail := func(err error) (*File, error) {
		return nil, &sys.Error{Op: "receive", Kind: "memfd", Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	defer bound(ctx, c.SetReadDeadline)()
	// Room for as many as one message can carry, so that surplus descriptors
	// arrive and can be closed, beside what the connection may have been told
	// to add (SO_PASSCRED).
	oob := make([]byte, sys.RightsSpace(maxRights)+64)
	buf := make([]byte, 1)
	n, oobn, flags, _, err := c.ReadMsgUnix(buf, oob)
	// Descriptors can come with no data at all, which reads like the end of
	// the stream: what came is looked at whatever the error is.
	fds, parseErr := sys.ParseRights(oob[:oobn])
	closeAll := func() {
		for _, fd := range fds {
			sys.Close(fd)
		}
	}
	switch {
	case errors.Is(err, io.EOF) && len(fds) == 0 && flags&sys.MSG_CTRUNC == 0:
		err = fmt.Errorf("the peer closed the connection before it sent memory: %w", io.EOF)
	case err != nil && !errors.Is(err, io.EOF):
		err = ctxError(ctx, err)
	case parseErr != nil:
		err = fmt.Errorf("the control message is malformed: %w", parseErr)
	case flags&sys.MSG_CTRUNC != 0:
		err = fmt.Errorf("the kernel could not deliver every descriptor: this process has too many open (ulimit -n): %w", syscall.EMFILE)
	case n == 0:
		err = fmt.Errorf("a packet without data arrived: %w", sys.ErrType)
	case flags&sys.MSG_TRUNC != 0:
		err = fmt.Errorf("the packet has more than one byte: %w", sys.ErrType)
	case buf[0] != tag:
		err = fmt.Errorf("the peer sent the byte %#02x where memory was expected: %w", buf[0], sys.ErrType)
	case len(fds) != 1:
		err = fmt.Errorf("%d descriptors arrived, one was expected: %w", len(fds), sys.ErrType)
	}
	if err != nil {
		closeAll()
		return fail(err)
	}
	f, err := Adopt(fds[0])
	if err != nil {
		closeAll()
		return fail(errors.Unwrap(err))
	}
	if err := want.check(f); err != nil {
		f.Close()
		return fail(err)
	}
	return f, nil
}

// Check compares memory that came some other way with the demand, as Receive
// does. The error says what was wrong.
func (w *Want) Check(f *File) error { return f.wrap("check", w.check(f)) }

func (w *Want) check(f *File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if w == nil {
		w = &Want{Huge: true}
	}
	fl, err := f.fd.Fcntl(sys.F_GETFL, 0)
	if err != nil {
		return err
	}
	access := fl & sys.O_ACCMODE
	fs, err := sys.Fstatfs(f.FD())
	if err != nil {
		return err
	}
	switch {
	case st.Size < w.MinSize:
		return fmt.Errorf("the memory has %d bytes, at least %d were demanded: %w", st.Size, w.MinSize, sys.ErrType)
	case w.MaxSize != 0 && st.Size > w.MaxSize:
		return fmt.Errorf("the memory has %d bytes, at most %d were demanded: %w", st.Size, w.MaxSize, sys.ErrType)
	case st.Seals&w.Seals != w.Seals:
		return fmt.Errorf("the memory has the seals %v, demanded were %v: %w", st.Seals, w.Seals, sys.ErrType)
	case st.Seals&w.NoSeals != 0:
		return fmt.Errorf("the memory has the seals %v, forbidden were %v: %w", st.Seals, w.NoSeals, sys.ErrType)
	case access == sys.O_WRONLY:
		return fmt.Errorf("the descriptor is open for writing only and cannot be mapped: %w", sys.ErrType)
	case w.Writable && access == sys.O_RDONLY:
		return fmt.Errorf("the descriptor is open for reading only: %w", sys.ErrType)
	case !w.Huge && uint64(uint32(fs.Type)) == sys.HUGETLBFS_MAGIC:
		return fmt.Errorf("the memory is of huge pages, which were not demanded: %w", sys.ErrType)
	}
	return nil
}

// bound puts the deadline and the cancelling of ctx on one direction of a
// connection, until the function that it returns is called. A deadline that
// the connection has is touched only when ctx ends.
func bound(ctx context.Context, set func(time.Time) error) (release func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		set(time.Unix(1, 0))
		close(stopped)
	})
	return func() {
		if !stop() {
			<-stopped
			set(time.Time{})
		}
	}
}

// ctxError prefers the context's reason over the time-out it caused.
func ctxError(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return e
	}
	var op *net.OpError
	if errors.As(err, &op) {
		var no syscall.Errno
		if errors.As(op.Err, &no) {
			return no
		}
	}
	return err
}
