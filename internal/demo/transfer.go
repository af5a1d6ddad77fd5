package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/seed-298b2b26/shm"
)

// chunk is how much a pipe is written and read at once: what it holds.
const chunk = 64 << 10

// transfer hands a large block to another process, which reads all of it:
// through a memfd, then through a pipe. The block is there before the clock
// starts, so that what is timed is the way of handing over and the reading.
func (d *Demo) transfer(ctx context.Context) (verdict string, err error) {
	size := d.Size
	s, err := shm.Create("memfd:shm-demo", size, nil)
	for errors.Is(err, shm.ErrNoSpace) && size > 1<<20 {
		size /= 2
		s, err = shm.Create("memfd:shm-demo", size, nil)
	}
	if err != nil {
		return "", err
	}
	defer s.Close()
	d.title("%s to another process", mib(size))
	if size < d.Size {
		d.tell("", "There is no room for %s here, so it is less.", mib(d.Size))
	}
	var sum uint32
	if err := s.Update(func(b []byte) error {
		fill(b, 2)
		sum = checksum(0, b)
		return nil
	}); err != nil {
		return "", err
	}
	d.tell("memory", "a memfd of %s, which has no name; checksum %08x", exactly(size), sum)

	shared, err := best(func() (way, error) { return d.throughMemory(ctx, s, sum) })
	if err != nil {
		return "", err
	}
	piped, err := best(func() (way, error) { return d.throughPipe(ctx, s, sum) })
	if err != nil {
		return "", err
	}
	d.tell("", "The better of two runs each:")
	d.tell("", "%-15s %10s %10s %8s %24s", "way", "time", "GB/s", "copies", "system calls, both sides")
	for _, w := range []way{shared, piped} {
		d.tell("", "%-15s %10s %10.1f %8d %24d", w.name, w.took.Round(100*time.Microsecond), float64(size)/w.took.Seconds()/1e9, w.copies, w.calls)
	}
	ratio := piped.took.Seconds() / shared.took.Seconds()
	if ratio < 1 && size < 1<<20 {
		return fmt.Sprintf("Verdict: everything arrived intact; the pipe was quicker (%.1f times): for so little, waking the other process is the whole cost.", 1/ratio), nil
	}
	if ratio < 1 {
		return fmt.Sprintf("Verdict: everything arrived intact; the pipe was quicker this time (%.1f times): the machine was busy.", 1/ratio), nil
	}
	return fmt.Sprintf("Verdict: everything arrived intact, and %s came over %.1f times faster through shared memory than through a pipe.", mib(size), ratio), nil
}

// way is how one transfer went.
type way struct {
	name   string
	took   time.Duration
	copies int   // of every byte, by the kernel
	calls  int64 // to move the data: writes and reads of both sides
}

// best runs a transfer twice and gives the quicker one: on a busy machine one
// of them may have had to wait for a processor.
func best(run func() (way, error)) (way, error) {
	first, err := run()
	if err != nil {
		return way{}, err
	}
	second, err := run()
	if err != nil || second.took < first.took {
		return second, err
	}
	return first, nil
}

func (d *Demo) throughMemory(ctx context.Context, s *shm.Segment, sum uint32) (way, error) {
	f, err := s.Memfd().OSFile()
	if err != nil {
		return way{}, err
	}
	p, err := d.start(ctx, []*os.File{f}, "memfd", "-")
	f.Close()
	if err != nil {
		return way{}, err
	}
	defer p.end()
	if _, err := p.line(ctx); err != nil {
		return way{}, err
	}
	begin := time.Now()
	if err := p.tell(); err != nil {
		return way{}, err
	}
	line, err := p.line(ctx)
	took := time.Since(begin)
	if err != nil {
		return way{}, err
	}
	if err := arrived(line, sum, s.Size()); err != nil {
		return way{}, fmt.Errorf("through shared memory: %w", err)
	}
	// Saying "go" is a write here and a read there; the data itself is
	// where it was.
	return way{"shared memory", took, 0, 2}, p.end()
}

func (d *Demo) throughPipe(ctx context.Context, s *shm.Segment, sum uint32) (way, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return way{}, err
	}
	defer w.Close()
	p, err := d.start(ctx, []*os.File{r}, "pipe", "-")
	r.Close()
	if err != nil {
		return way{}, err
	}
	defer p.end()
	if _, err := p.line(ctx); err != nil {
		return way{}, err
	}
	stop := context.AfterFunc(ctx, func() { w.Close() })
	defer stop()
	var calls int64
	begin := time.Now()
	err = s.View(func(b []byte) error {
		for len(b) > 0 {
			n, err := w.Write(b[:min(len(b), chunk)])
			if err != nil {
				return err
			}
			calls++
			b = b[n:]
		}
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return way{}, err
	}
	w.Close()
	line, err := p.line(ctx)
	took := time.Since(begin)
	if err != nil {
		return way{}, err
	}
	if err := arrived(line, sum, s.Size()); err != nil {
		return way{}, fmt.Errorf("through the pipe: %w", err)
	}
	calls += atoi(strings.Fields(line)[2])
	// Into the pipe and out of it.
	return way{"pipe", took, 2, calls}, p.end()
}

// arrived checks what a peer says: checksum, bytes, calls.
func arrived(line string, sum uint32, size int64) error {
	f := strings.Fields(line)
	if len(f) != 3 || f[0] != fmt.Sprintf("%08x", sum) || atoi(f[1]) != size {
		return fmt.Errorf("%q arrived, sent were checksum %08x and %d bytes", line, sum, size)
	}
	return nil
}

func mib(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return exactly(n)
}

func exactly(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}
