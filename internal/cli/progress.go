package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress shows on a terminal how far work has come that takes longer than a
// second. The nil progress shows nothing.
type progress struct {
	w     io.Writer
	what  string
	total int64 // bytes, -1 when it is not known
	done  int64
	begin time.Time
	shown time.Time // the last time
	width int       // of what is shown now
}

const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

// newProgress gives nil where standard error is no terminal.
func newProgress(env *Env, what string, total int64) *progress {
	if _, tty := terminal(env.Stderr); !tty {
		return nil
	}
	return &progress{w: env.Stderr, what: what, total: total, begin: time.Now()}
}

// add says that n more bytes are done.
func (p *progress) add(n int) {
	if p == nil {
		return
	}
	p.done += int64(n)
	now := time.Now()
	if now.Sub(p.begin) < progressAfter || now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	text := fmt.Sprintf("shm: %s %s", p.what, humanSize(p.done))
	if p.total > 0 {
		text += fmt.Sprintf(" of %s, %d%%", humanSize(p.total), int(100*float64(p.done)/float64(p.total)))
	}
	fmt.Fprintf(p.w, "\r%-*s", p.width, text)
	p.width = len(text)
}

// end takes away what is shown.
func (p *progress) end() {
	if p != nil && p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

// progressWriter counts what passes through it.
type progressWriter struct {
	io.Writer
	p *progress
}

func (w progressWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.p.add(n)
	return n, err
}

// progressReader is the same for reading.
type progressReader struct {
	io.Reader
	p *progress
}

func (r progressReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.p.add(n)
	return n, err
}
