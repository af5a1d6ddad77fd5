package demo

import (
	"bufio"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/memfd"
)

// Peer is what the other processes run: a role and its arguments. It ends
// when its standard input does, so no peer outlives a killed parent.
func Peer(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return fmt.Errorf("no role")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := make(chan string)
	go func() {
		sc := bufio.NewScanner(in)
		for sc.Scan() {
			lines <- sc.Text()
		}
		cancel(errPeer)
	}()
	next := func() error {
		select {
		case <-lines:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	role, address, dir := args[0], args[1], ""
	if len(args) > 2 {
		dir = args[2]
	}
	switch role {
	case "child":
		return peerChild(ctx, address, dir)
	case "reader":
		return peerReader(address, dir, next, out)
	case "pipe":
		return peerPipe(next, out)
	case "memfd":
		return peerMemfd(next, out)
	}
	return fmt.Errorf("no role %q", role)
}

// peerChild attaches, writes, and reads the answer.
func peerChild(ctx context.Context, address, dir string) error {
	s, err := shm.Open(address, &shm.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := newMailbox(s)
	if err != nil {
		return err
	}
	if err := m.write(turnChild, fmt.Sprintf("hello, this is process %d", os.Getpid())); err != nil {
		return err
	}
	answer, err := m.read(ctx, turnParent)
	if err != nil {
		return err
	}
	return m.write(turnChild, fmt.Sprintf("process %d has read %d bytes: %q", os.Getpid(), len(answer), answer))
}

// peerReader reads the same bytes twice.
func peerReader(address, dir string, next func() error, out io.Writer) error {
	s, err := shm.Open(address, &shm.Options{ReadOnly: true, Dir: dir})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Fprintln(out, "open")
	for range 2 {
		if err := next(); err != nil {
			return err
		}
		var sum uint32
		if err := s.View(func(b []byte) error { sum = checksum(0, b); return nil }); err != nil {
			return err
		}
		fmt.Fprintf(out, "%08x\n", sum)
	}
	next()
	return nil
}

// peerPipe reads its third descriptor to the end, as one does with a pipe.
func peerPipe(next func() error, out io.Writer) error {
	f := os.NewFile(3, "pipe")
	defer f.Close()
	buf := make([]byte, chunk)
	fmt.Fprintln(out, "open")
	var sum uint32
	var total, calls int64
	for {
		n, err := f.Read(buf)
		calls++
		sum = checksum(sum, buf[:n])
		total += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%08x %d %d\n", sum, total, calls)
	next()
	return nil
}

// peerMemfd maps its third descriptor and reads what is there.
func peerMemfd(next func() error, out io.Writer) error {
	f, err := memfd.Adopt(3)
	if err != nil {
		return err
	}
	s, err := shm.FromMemfd(f, &shm.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Fprintln(out, "open")
	if err := next(); err != nil {
		return err
	}
	var sum uint32
	if err := s.View(func(b []byte) error { sum = checksum(0, b); return nil }); err != nil {
		return err
	}
	fmt.Fprintf(out, "%08x %d 0\n", sum, s.Size())
	next()
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum goes on with sum over b. CRC-32C is what processors compute
// themselves, so that reading is what takes the time.
func checksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// peer is the parent's end of a Peer.
type peer struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string
	done  chan error
}

// start executes this program again in a role. The context kills it.
func (d *Demo) start(ctx context.Context, extra []*os.File, args ...string) (*peer, error) {
	self, err := d.Self()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self.Path)
	cmd.Args = append(append([]string{}, self.Args...), args...)
	cmd.ExtraFiles = extra
	var stderr strings.Builder
	cmd.Stderr = &stderr
	p := &peer{cmd: cmd, lines: make(chan string, 16), done: make(chan error, 1)}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start another process: %w", err)
	}
	go func() {
		sc := bufio.NewScanner(stdout)
		for sc.Scan() {
			p.lines <- sc.Text()
		}
		close(p.lines)
		err := cmd.Wait()
		if err != nil && stderr.Len() > 0 {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
		}
		p.done <- err
	}()
	return p, nil
}

func (p *peer) pid() int { return p.cmd.Process.Pid }

// tell lets the peer go on.
func (p *peer) tell() error {
	_, err := io.WriteString(p.stdin, "go\n")
	return err
}

// line gives what the peer says next.
func (p *peer) line(ctx context.Context) (string, error) {
	select {
	case s, ok := <-p.lines:
		if ok {
			return s, nil
		}
		err := <-p.done
		p.done <- err
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", errPeerBecause(err)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func errPeerBecause(err error) error {
	if err == nil {
		return errPeer
	}
	return fmt.Errorf("%w: %w", errPeer, err)
}

// end closes the peer's input, which ends it, and waits for it. A peer that
// does not end in time is killed.
func (p *peer) end() error {
	p.stdin.Close()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(3 * time.Second):
		p.cmd.Process.Kill()
		<-p.done
		p.done <- errPeer
		return errPeer
	}
}

// watch gives a context that ends when the peer does.
func (p *peer) watch(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case err := <-p.done:
			p.done <- err
			cancel(errPeerBecause(err))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}
