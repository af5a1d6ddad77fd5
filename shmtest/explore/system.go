package explore

import (
	"fmt"
	"strconv"
)

// System is what is explored: words of shared memory, and threads that run on
// them. It is built first (Word, Thread, Rounds) and explored then, as often
// as one likes; it is not for concurrent use.
type System struct {
	words   []*Word
	threads []*program
	final   []*Word
}

// Word is a word of shared memory.
type Word struct {
	name string
	init uint64
	loc  int
	show func(uint64) string
}

// mostWords and mostThreads are what fits into the sets that are kept as bits.
const (
	mostWords   = 64
	mostThreads = 8
)

// Word adds a word that holds value in the beginning, which all threads see.
// A system has 64 words at most.
func (s *System) Word(name string, value uint64) *Word {
	if len(s.words) == mostWords {
		panic(fmt.Sprintf("explore: more than %d words", mostWords))
	}
	w := &Word{name: name, init: value, loc: len(s.words)}
	s.words = append(s.words, w)
	return w
}

// Show sets how values of the word are written in traces, and gives the word.
func (w *Word) Show(f func(value uint64) string) *Word {
	w.show = f
	return w
}

func (w *Word) String() string { return w.name }

func (w *Word) value(v uint64) string {
	if w.show != nil {
		return w.show(v)
	}
	return strconv.FormatUint(v, 10)
}

// Final makes what the words hold in the end a part of each outcome.
func (s *System) Final(words ...*Word) { s.final = append(s.final, words...) }

// Thread adds a thread that runs body once. See Rounds for what a body may do.
func (s *System) Thread(name string, body func(t *Thread)) {
	Rounds(s, name, struct{}{}, func(t *Thread, _ *struct{}) bool {
		body(t)
		return false
	})
}

// Rounds adds a thread that calls round until it gives false. What it keeps
// from one call to the next stands in local, and nowhere else: two states of
// the system in which a thread begins a round with equal locals are one. So
// rounds are short (one sample, one loan), and a local holds nothing that is
// of no use any more.
//
// A round is called again and again with the same local, and must do the same
// each time that its operations give the same values: it must not touch
// anything else that changes. It communicates through the methods of its
// Thread alone. A system has 8 threads at most.
func Rounds[L comparable](s *System, name string, local L, round func(t *Thread, local *L) bool) {
	if len(s.threads) == mostThreads {
		panic(fmt.Sprintf("explore: more than %d threads", mostThreads))
	}
	s.threads = append(s.threads, &program{name: name, start: local, round: func(t *Thread, local any) (any, bool) {
		l := local.(L)
		more := round(t, &l)
		return l, more
	}})
}
