package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	headLines = 20  // of what a failed test said first
	tailLines = 60  // and last
	lastWords = 12  // in the summary
	lineMost  = 300 // bytes of a line
)

// sayings are the lines that a test said, without the frame that go test puts
// round them; of many the first and the last, so that what is written to a
// log by mistake buries nothing.
func sayings(output string) []string {
	var lines []string
	left := 0
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, " \t\r\n")
		if bare := strings.TrimSpace(line); bare == "" || strings.HasPrefix(bare, "=== ") || strings.HasPrefix(bare, "--- ") {
			continue
		}
		if lines = append(lines, line); len(lines) > headLines+tailLines {
			lines = append(lines[:headLines], lines[headLines+1:]...)
			left++
		}
	}
	for i, line := range lines {
		lines[i] = printable(line)
	}
	if left > 0 {
		more := fmt.Sprintf("    (%d lines more)", left)
		lines = append(lines[:headLines:headLines], append([]string{more}, lines[headLines:]...)...)
	}
	return lines
}

// printable is a line as it may stand in a log.
func printable(line string) string {
	more := ""
	if len(line) > lineMost {
		line, more = line[:lineMost], fmt.Sprintf("... (%d bytes more)", len(line)-lineMost)
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) }) {
		line = strconv.Quote(line)
	}
	return line + more
}

// write prints a failure, the last so many lines of it.
func (f *failure) write(w io.Writer, kind string, most int) {
	fmt.Fprintf(w, "FAILED: %s: %s\n", kind, f.Name)
	for _, line := range f.Said[max(0, len(f.Said)-most):] {
		fmt.Fprintf(w, "    %s\n", line)
	}
}
