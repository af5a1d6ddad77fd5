package memfd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/memfd"
	"github.com/seed-298b2b26/shm/posix"
	"github.com/seed-298b2b26/shm/shmtest"
)

var background = context.Background()

func TestSend(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			a, b := connected(t, network)
			f := sized(t, int64(page), memfd.F_SEAL_SHRINK|memfd.F_SEAL_GROW)
			_, err := f.WriteAt([]byte("hello"), 0)
			must(t, err)
			must(t, memfd.Send(background, a, f))
			g := file(t)(memfd.Receive(background, b, &memfd.Safe))
			if g.Name() != f.Name() || g.FD() == f.FD() || size(t, g) != int64(page) {
				t.Errorf("name %q, descriptor %d, size %d", g.Name(), g.FD(), size(t, g))
			}
			if m := mapped(t)(mapShared(g, ro)); string(m.Bytes()[:5]) != "hello" {
				t.Errorf("bytes %q", m.Bytes()[:5])
			}
			if flags, err := unix.FcntlInt(uintptr(g.FD()), unix.F_GETFD, 0); err != nil || flags != unix.FD_CLOEXEC {
				t.Errorf("flags %d, %v: not close-on-exec", flags, err)
			}
		})
	}
	t.Run("in-a-stream", func(t *testing.T) {
		// The byte stands between others, and no other is read.
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		f := sized(t, 8, 0)
		buf := make([]byte, 16)
		for _, text := range []string{"before", "after"} {
			_, err := a.Write([]byte(text))
			must(t, err)
			must(t, memfd.Send(background, a, f))
		}
		for _, text := range []string{"before", "after"} {
			if _, err := io.ReadFull(b, buf[:len(text)]); err != nil || string(buf[:len(text)]) != text {
				t.Fatalf("read %q, %v", buf, err)
			}
			file(t)(memfd.Receive(background, b, nil))
		}
		must(t, a.Close())
		if n, err := b.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("read %d more bytes, %v", n, err)
		}
	})
	t.Run("several", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		for i := range 5 {
			must(t, memfd.Send(background, a, sized(t, int64(i+1), 0)))
		}
		for i := range 5 {
			if f := file(t)(memfd.Receive(background, b, nil)); size(t, f) != int64(i+1) {
				t.Errorf("number %d has %d bytes", i, size(t, f))
			}
		}
	})
	t.Run("with-credentials", func(t *testing.T) {
		// Where the connection was told to, the kernel adds the peer's.
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		control(t, b, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
		must(t, memfd.Send(background, a, sized(t, 8, 0)))
		file(t)(memfd.Receive(background, b, nil))
	})
}

func control(t testing.TB, c *net.UnixConn, f func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = f(int(fd)) }))
	must(t, err)
}

// descriptor opens path in the manner of flags, to be closed with the test.
func descriptor(t testing.TB, path string, flags int) int {
	t.Helper()
	fd, err := sys.Open(path, flags|sys.O_CLOEXEC, 0o600)
	must(t, err)
	t.Cleanup(func() { must(t, sys.Close(fd)) })
	return fd
}

// TestReceiveRefuses sends what no honest peer sends. Whatever comes, nothing
// of it stays open here.
func TestReceiveRefuses(t *testing.T) {
	ordinary := func(t *testing.T) []int { return []int{sized(t, int64(page), 0).FD()} }
	sealed := func(s memfd.Seals) func(t *testing.T) []int {
		return func(t *testing.T) []int { return []int{sized(t, int64(page), s).FD()} }
	}
	many := func(n int) func(t *testing.T) []int {
		return func(t *testing.T) []int {
			fds := make([]int, n)
			f := sized(t, 8, 0)
			for i := range fds {
				fds[i] = f.FD()
			}
			return fds
		}
	}
	for _, c := range []struct {
		name    string
		network string // "" is a stream
		data    string // "" is "m", "-" is nothing at all
		fds     func(t *testing.T) []int
		want    *memfd.Want
		text    string
	}{
		{name: "pipe", text: "it is a FIFO, not a memfd", fds: func(t *testing.T) []int {
			r, w, err := os.Pipe()
			must(t, err)
			t.Cleanup(func() { r.Close(); w.Close() })
			return []int{int(r.Fd())}
		}},
		{name: "device", text: "it is a character device, not a memfd", fds: func(t *testing.T) []int {
			return []int{descriptor(t, "/dev/null", os.O_RDWR)}
		}},
		{name: "directory", text: "it is a directory, not a memfd", fds: func(t *testing.T) []int {
			return []int{descriptor(t, t.TempDir(), os.O_RDONLY)}
		}},
		{name: "socket", text: "it is a socket, not a memfd", fds: func(t *testing.T) []int {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
			return fds[:1]
		}},
		{name: "eventfd", text: "of an unknown type, not a memfd", fds: func(t *testing.T) []int {
			fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
			must(t, err)
			t.Cleanup(func() { unix.Close(fd) })
			return []int{fd}
		}},
		{name: "file", text: "not a memfd", fds: func(t *testing.T) []int {
			return []int{descriptor(t, filepath.Join(t.TempDir(), "memfd:x"), os.O_RDWR|os.O_CREATE)}
		}},
		{name: "unlinked-file-of-that-name", text: "not a memfd", fds: func(t *testing.T) []int {
			path := filepath.Join(t.TempDir(), "memfd:x")
			fd := descriptor(t, path, os.O_RDWR|os.O_CREATE)
			must(t, os.Remove(path))
			return []int{fd}
		}},
		{name: "object", text: "not a memfd", fds: func(t *testing.T) []int {
			o, err := posix.CreateSized(shmtest.Name(t), 8, 0o600, nil)
			must(t, err)
			t.Cleanup(func() { must(t, posix.Unlink(o.Name(), nil)); o.Close() })
			return []int{o.FD()}
		}},
		{name: "unlinked-object", text: "not a memfd", fds: func(t *testing.T) []int {
			o, err := posix.CreateSized("memfd:"+shmtest.Name(t), 8, 0o600, nil)
			must(t, err)
			t.Cleanup(func() { o.Close() })
			must(t, posix.Unlink(o.Name(), nil))
			return []int{o.FD()}
		}},
		{name: "unnamed-file-of-a-tmpfs", text: "not a memfd", fds: func(t *testing.T) []int {
			return []int{descriptor(t, shmtest.Dir(t), os.O_RDWR|sys.O_TMPFILE)}
		}},
		{name: "o-path", text: "its seals cannot be read", fds: func(t *testing.T) []int {
			fd, err := again(sized(t, 8, 0), sys.O_PATH)
			must(t, err)
			t.Cleanup(func() { sys.Close(fd) })
			return []int{fd}
		}},
		{name: "write-only", text: "open for writing only", fds: func(t *testing.T) []int {
			fd, err := again(sized(t, 8, 0), os.O_WRONLY)
			must(t, err)
			t.Cleanup(func() { sys.Close(fd) })
			return []int{fd}
		}},
		{name: "read-only", text: "open for reading only", want: &memfd.Want{Writable: true}, fds: func(t *testing.T) []int {
			return []int{file(t)(sized(t, 8, 0).Reopen(os.O_RDONLY)).FD()}
		}},
		{name: "huge", text: "of huge pages", want: &memfd.Want{}, fds: func(t *testing.T) []int {
			return []int{file(t)(memfd.Create("huge", memfd.MFD_HUGETLB|memfd.MFD_ALLOW_SEALING)).FD()}
		}},
		{name: "no-descriptor", text: "0 descriptors arrived", fds: many(0)},
		{name: "two", text: "2 descriptors arrived", fds: many(2)},
		{name: "many", text: "30 descriptors arrived", fds: many(30)},
		{name: "as-many-as-can-be", text: "253 descriptors arrived", fds: many(253)},
		{name: "another-byte", data: "x", text: "the byte 0x78", fds: ordinary},
		{name: "another-byte-alone", data: "x", text: "the byte 0x78", fds: many(0)},
		{name: "packet-without-data", network: "unixpacket", data: "-", text: "without data", fds: ordinary},
		{name: "packets-without-data", network: "unixpacket", data: "-", text: "without data", fds: many(3)},
		{name: "datagram-without-data", network: "unixgram", data: "-", text: "without data", fds: ordinary},
		{name: "empty-datagram", network: "unixgram", data: "-", text: "without data", fds: many(0)},
		{name: "long-packet", network: "unixpacket", data: "more", text: "more than one byte", fds: ordinary},
		{name: "long-datagram", network: "unixgram", data: "mm", text: "more than one byte", fds: ordinary},
		{name: "missing-seals", want: &memfd.Safe, text: "demanded were shrink", fds: sealed(memfd.F_SEAL_GROW)},
		{name: "a-missing-seal", want: &memfd.Want{Seals: memfd.F_SEAL_SHRINK | memfd.F_SEAL_GROW}, text: "demanded were shrink|grow", fds: sealed(memfd.F_SEAL_GROW)},
		{name: "forbidden-seals", want: &memfd.Want{NoSeals: memfd.F_SEAL_WRITE | memfd.F_SEAL_FUTURE_WRITE}, text: "forbidden were write|future-write", fds: sealed(memfd.F_SEAL_FUTURE_WRITE)},
		{name: "too-small", want: &memfd.Want{MinSize: 4097}, text: "at least 4097", fds: ordinary},
		{name: "too-large", want: &memfd.Want{MaxSize: 4095}, text: "at most 4095", fds: ordinary},
	} {
		t.Run(c.name, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			if c.network == "" {
				c.network = "unix"
			}
			a, b := connected(t, c.network)
			data := []byte("m")
			switch c.data {
			case "":
			case "-":
				data = nil
			default:
				data = []byte(c.data)
			}
			var oob []byte
			if fds := c.fds(t); len(fds) > 0 {
				oob = sys.Rights(fds...)
			}
			sendRaw(t, a, data, oob)
			before := descriptors(t)
			f, err := memfd.Receive(background, b, c.want)
			if f != nil {
				f.Close()
				t.Fatal("accepted")
			}
			var e *sys.Error
			if !errors.As(err, &e) || e.Op != "receive" || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error: %v; want one with %q", err, c.text)
			}
			if !errors.Is(err, sys.ErrType) {
				t.Errorf("error: %v; want one that is %q", err, sys.ErrType)
			}
			if after := descriptors(t); after != before {
				t.Errorf("descriptors before:\n%safter:\n%s", before, after)
			}
			// The connection is as good as before.
			must(t, memfd.Send(background, a, sized(t, 8, 0)))
			must(t, file(t)(memfd.Receive(background, b, nil)).Close())
		})
	}
}

// descriptors lists what is open.
func descriptors(t failer) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		// The directory itself is gone by now.
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			fmt.Fprintf(&b, "\t%s %s\n", e.Name(), link)
		}
	}
	return b.String()
}

// TestReceiveForgery sends an unlinked file of a tmpfs that was made to look
// like a memfd: of that name, and in the root of a mount that is nowhere.
func TestReceiveForgery(t *testing.T) {
	shmtest.CheckLeaks(t)
	a, b := connected(t, "unix")
	other := end(t, a)
	p := shmtest.Command{Handler: "forge", ExtraFiles: []*os.File{other}, OwnShm: true}.Start(t)
	must(t, other.Close())
	p.Expect("/memfd:forged (deleted)")
	f, err := memfd.Receive(background, b, nil)
	if f != nil {
		f.Close()
		t.Fatal("taken for a memfd")
	}
	if !errors.Is(err, sys.ErrType) || !strings.Contains(err.Error(), "of some tmpfs, not a memfd") {
		t.Error(err)
	}
	p.Wait()
}

func init() {
	shmtest.Handle("forge", func(c *shmtest.Child) {
		fd, err := sys.Open("/dev/shm/memfd:forged", os.O_RDWR|os.O_CREATE|sys.O_CLOEXEC, 0o600)
		c.Check(err)
		c.Check(os.Remove("/dev/shm/memfd:forged"))
		c.Check(unix.Unmount("/dev/shm", unix.MNT_DETACH))
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		c.Check(err)
		c.Check(unix.Sendmsg(int(c.File(0).Fd()), []byte("m"), sys.Rights(fd), nil, 0))
		c.Send("%s", link)
		c.Hold()
	})
	// With room for only so many descriptors more, it receives.
	shmtest.Handle("receive at the limit", func(c *shmtest.Child) {
		var room int
		_, err := fmt.Sscan(c.Args[0], &room)
		c.Check(err)
		conn, err := net.FileConn(c.File(0))
		c.Check(err)
		c.Check(c.File(0).Close())
		var filled []int
		for {
			fd, err := sys.Dup(0)
			if err != nil {
				break
			}
			filled = append(filled, fd)
		}
		for range room {
			c.Check(sys.Close(filled[len(filled)-1]))
			filled = filled[:len(filled)-1]
		}
		c.Send("ready")
		f, err := memfd.Receive(background, conn.(*net.UnixConn), nil)
		c.Send("%v", err)
		if f != nil {
			c.Fatal("accepted")
		}
		// As much room as before, and no more.
		for range room {
			fd, err := sys.Dup(0)
			c.Check(err)
			filled = append(filled, fd)
		}
		if fd, err := sys.Dup(0); err != syscall.EMFILE {
			c.Fatalf("descriptor %d, %v", fd, err)
		}
		for _, fd := range filled {
			c.Check(sys.Close(fd))
		}
	})
}

func TestReceiveAtTheDescriptorLimit(t *testing.T) {
	for _, c := range []struct{ room, sent int }{{0, 1}, {1, 2}, {2, 5}, {0, 8}} {
		t.Run(fmt.Sprintf("room-%d-sent-%d", c.room, c.sent), func(t *testing.T) {
			shmtest.CheckLeaks(t)
			a, b := connected(t, "unix")
			other := end(t, b)
			p := shmtest.Command{
				Handler: "receive at the limit", Args: []string{fmt.Sprint(c.room)}, ExtraFiles: []*os.File{other},
				Rlimits: []shmtest.Rlimit{{Resource: unix.RLIMIT_NOFILE, Cur: 40, Max: 40}},
			}.Start(t)
			must(t, other.Close())
			p.Expect("ready")
			f := sized(t, 8, 0)
			fds := make([]int, c.sent)
			for i := range fds {
				fds[i] = f.FD()
			}
			sendRaw(t, a, []byte("m"), sys.Rights(fds...))
			if text := p.Recv(); !strings.Contains(text, "ulimit -n") || !strings.Contains(text, syscall.EMFILE.Error()) {
				t.Errorf("error: %s", text)
			}
			p.Wait()
		})
	}
}

func TestPeerCloses(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		t.Run(network, func(t *testing.T) {
			shmtest.CheckLeaks(t)
			a, b := connected(t, network)
			must(t, a.Close())
			f, err := memfd.Receive(background, b, nil)
			if f != nil || !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "closed the connection") {
				t.Errorf("Receive: %v, %v", f, err)
			}
			err = memfd.Send(background, b, sized(t, 8, 0))
			refused(t, err, syscall.EPIPE)
		})
	}
	t.Run("waiting", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		done := make(chan error)
		go func() {
			_, err := memfd.Receive(background, b, nil)
			done <- err
		}()
		must(t, a.Close())
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
	t.Run("after-sending", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		must(t, memfd.Send(background, a, sized(t, 8, 0)))
		must(t, a.Close())
		file(t)(memfd.Receive(background, b, nil))
	})
	t.Run("ours", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		_, b := connected(t, "unix")
		must(t, b.Close())
		if _, err := memfd.Receive(background, b, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive: %v", err)
		}
		if err := memfd.Send(background, b, sized(t, 8, 0)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send: %v", err)
		}
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		if _, err := memfd.Receive(ctx, b, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Receive: %v", err)
		}
	})
	t.Run("closed-file", func(t *testing.T) {
		a, _ := connected(t, "unix")
		f := sized(t, 8, 0)
		must(t, f.Close())
		if err := memfd.Send(background, a, f); !errors.Is(err, fs.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestContext(t *testing.T) {
	// usable fails unless memory can be handed over.
	usable := func(t *testing.T, a, b *net.UnixConn) {
		t.Helper()
		must(t, memfd.Send(background, a, sized(t, 8, 0)))
		file(t)(memfd.Receive(background, b, nil))
	}
	t.Run("receive-cancelled", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		ctx, cancel := context.WithCancel(background)
		done := make(chan error)
		go func() {
			_, err := memfd.Receive(ctx, b, nil)
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		usable(t, a, b)
	})
	t.Run("receive-timed-out", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		ctx, cancel := context.WithTimeout(background, time.Millisecond)
		defer cancel()
		if _, err := memfd.Receive(ctx, b, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		usable(t, a, b)
	})
	t.Run("cancelled-before", func(t *testing.T) {
		// Nothing is sent and nothing is taken.
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		ctx, cancel := context.WithCancel(background)
		cancel()
		f := sized(t, 8, 0)
		for range 100 {
			if err := memfd.Send(ctx, a, f); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		must(t, memfd.Send(background, a, sized(t, 9, 0)))
		for range 100 {
			if _, err := memfd.Receive(ctx, b, nil); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		if g := file(t)(memfd.Receive(background, b, nil)); size(t, g) != 9 {
			t.Errorf("%d bytes", size(t, g))
		}
	})
	t.Run("send-cancelled", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		full := 0
		raw, err := a.SyscallConn()
		must(t, err)
		must(t, raw.Write(func(fd uintptr) bool {
			for {
				n, err := unix.Write(int(fd), make([]byte, 4096))
				if err != nil {
					return true
				}
				full += n
			}
		}))
		ctx, cancel := context.WithCancel(background)
		f := sized(t, 8, 0)
		done := make(chan error)
		go func() { done <- memfd.Send(ctx, a, f) }()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		_, err = io.CopyN(io.Discard, b, int64(full))
		must(t, err)
		usable(t, a, b)
	})
	t.Run("the-connection's-deadline-stays", func(t *testing.T) {
		shmtest.CheckLeaks(t)
		a, b := connected(t, "unix")
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		must(t, memfd.Send(ctx, a, sized(t, 8, 0)))
		must(t, b.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		file(t)(memfd.Receive(ctx, b, nil))
		// Nothing more comes: it is the caller's deadline that ends this.
		if _, err := memfd.Receive(ctx, b, nil); !errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
			t.Error(err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}
