package demo

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-298b2b26/shm"
)

// mailbox is how parent and child talk: two pages of shared memory with one
// word that says whose turn it is, and one place for a text in each
// direction, as a C program would declare it.
//
//	offset 0    turn (uint32): 0 nobody has written; 1 the child has; 2 the parent has
//	offset 64   the child's text, ended by a NUL byte
//	offset 2048 the parent's text, likewise
type mailbox struct {
	s    *shm.Segment
	turn *atomic.Uint32
}

const (
	mailboxSize = 4096
	turnChild   = 1
	turnParent  = 2
)

var textAt = map[uint32]int64{turnChild: 64, turnParent: 2048}

func newMailbox(s *shm.Segment) (*mailbox, error) {
	turn, err := shm.Atomic[atomic.Uint32](s, 0)
	if err != nil {
		return nil, err
	}
	return &mailbox{s, turn}, nil
}

// write puts a text in place, then says so: the atomic store comes after the
// bytes for everyone who has seen it.
func (m *mailbox) write(turn uint32, text string) error {
	if _, err := m.s.WriteAt([]byte(text+"\x00"), textAt[turn]); err != nil {
		return err
	}
	m.turn.Store(turn)
	return nil
}

// read waits for the other side's turn and gives its text.
func (m *mailbox) read(ctx context.Context, turn uint32) (string, error) {
	for m.turn.Load() != turn {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-time.After(50 * time.Microsecond):
		}
	}
	b := make([]byte, 1024)
	n, err := m.s.ReadAt(b, textAt[turn])
	if err != nil {
		return "", err
	}
	for i, c := range b[:n] {
		if c == 0 {
			return string(b[:i]), nil
		}
	}
	return "", fmt.Errorf("the text has no end")
}

// readLast is read for a text after which the peer ends: the text counts,
// whether the end is noticed before it or after.
func (m *mailbox) readLast(ctx context.Context) (string, error) {
	text, err := m.read(ctx, turnChild)
	if err != nil && m.turn.Load() == turnChild {
		return m.read(context.Background(), turnChild)
	}
	return text, err
}
