package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// hexDump writes r as lines of 16 bytes, in the form of hexdump -C, counted
// from offset on. A run of equal lines is shown once, and then as "*".
func hexDump(w io.Writer, r io.Reader, offset int64) error {
	out := bufio.NewWriter(w)
	in := bufio.NewReaderSize(r, 1<<16)
	var last []byte
	starred := false
	for {
		line := make([]byte, 16)
		n, err := io.ReadFull(in, line)
		if n == 0 {
			if err != io.EOF {
				return err
			}
			fmt.Fprintf(out, "%08x\n", offset)
			return out.Flush()
		}
		line = line[:n]
		if n == 16 && bytes.Equal(line, last) {
			if !starred {
				fmt.Fprintln(out, "*")
			}
			starred = true
		} else {
			starred = false
			fmt.Fprintf(out, "%08x  %-24s %-24s |%s|\n", offset, spaced(line[:min(n, 8)]), spaced(line[min(n, 8):]), printable(line))
		}
		last = line
		offset += int64(n)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
	}
}

func spaced(b []byte) string {
	var s []byte
	for _, c := range b {
		s = fmt.Appendf(s, "%02x ", c)
	}
	return string(s)
}

func printable(b []byte) []byte {
	p := bytes.Clone(b)
	for i, c := range p {
		if c < ' ' || c > '~' {
			p[i] = '.'
		}
	}
	return p
}
