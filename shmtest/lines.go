package shmtest

import (
	"bufio"
	"io"
	"strings"
	"sync"
)

// lines collects the lines that come from a pipe until it ends, however many,
// so that the writer never has to wait for the reader.
type lines struct {
	mu    sync.Mutex
	all   []string
	next  int
	eof   bool
	event chan struct{} // replaced at each line, closed when one comes
	ended chan struct{} // closed at the end
}

// collect reads r in a goroutine until its end. Each line is also given to
// tell, if that is not nil.
func collect(r io.Reader, tell func(string)) *lines {
	l := &lines{event: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		in := bufio.NewReader(r)
		for {
			line, err := in.ReadString('\n')
			if line != "" {
				line = strings.TrimSuffix(line, "\n")
				if tell != nil {
					tell(line)
				}
			}
			l.mu.Lock()
			if line != "" || err == nil {
				l.all = append(l.all, line)
			}
			l.eof = err != nil
			close(l.event)
			l.event = make(chan struct{})
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return l
}

// take returns the next line if there is one, whether the end has come, and
// otherwise a channel that is closed when something happens.
func (l *lines) take() (line string, ok, eof bool, event <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next < len(l.all) {
		l.next++
		return l.all[l.next-1], true, false, nil
	}
	return "", false, l.eof, l.event
}

// text returns all lines so far.
func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}
